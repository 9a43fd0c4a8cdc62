/* SPDX-License-Identifier: MIT
 *
 * Between texts and values: base64, JSON, YAML, CSV, and texts in URLs.
 */
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/hcl/functions.h"
#include "shared/hcl/json.h"
#include "shared/text/yaml.h"

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int call_give_base64(struct call *c, const char *text, size_t n)
{
    autofree char *out = malloc(4 * (n + 2) / 3 + 4);
    char *p = out;

    if (!out)
        return -ENOMEM;
    for (size_t i = 0; i < n; i += 3) {
        unsigned int b = (unsigned int)(unsigned char)text[i] << 16;

        if (i + 1 < n)
            b |= (unsigned int)(unsigned char)text[i + 1] << 8;
        if (i + 2 < n)
            b |= (unsigned char)text[i + 2];
        *p++ = base64[b >> 18];
        *p++ = base64[b >> 12 & 63];
        *p++ = i + 1 < n ? base64[b >> 6 & 63] : '=';
        *p++ = i + 2 < n ? base64[b & 63] : '=';
    }
    return call_give_text(c, out, (size_t)(p - out));
}

static int f_base64encode(struct call *c)
{
    const char *text;
    int r = call_text(c, 0, &text);

    return r < 0 ? r : call_give_base64(c, text, strlen(text));
}

static int f_base64decode(struct call *c)
{
    const char *text;
    int r = call_text(c, 0, &text);
    autofree char *out = r < 0 ? NULL : malloc(strlen(text) + 4);
    unsigned int bits = 0, n_bits = 0;
    char *p = out;

    if (r < 0 || !out)
        return r < 0 ? r : -ENOMEM;
    for (; *text && *text != '='; text++) {
        const char *digit = strchr(base64, *text);

        if (!digit)
            return call_fail(c, "this is not base64");
        bits = bits << 6 | (unsigned int)(digit - base64);
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            *p++ = (char)(bits >> n_bits & 0xff);
        }
    }
    if (text[strspn(text, "=")])
        return call_fail(c, "this is not base64");
    *p = '\0';
    return call_give_bytes(c, out, (size_t)(p - out));
}

static int put_json_text(FILE *out, const char *text)
{
    json_t *json = json_string(text);
    autofree char *dump = json ? json_dumps(json, JSON_ENCODE_ANY) : NULL;

    json_decref(json);
    if (!dump)
        return -ENOMEM;
    for (const char *at = dump; *at; at++) {
        if (strchr("<>&", *at))
            (void)fprintf(out, "\\u%04x", (unsigned int)*at);
        else
            (void)fputc(*at, out);
    }
    return 0;
}

int call_put_json(struct call *c, FILE *out, const struct hcl_value *value)
{
    bool is_map = value->kind == HCL_MAP;
    struct hcl_value ordered;
    const char *text;
    int r = value_in_order(c->x, value, &ordered);

    if (r == 0 && ftell(out) > HCL_EVAL_MAX_BYTES)
        r = call_fail(c, "this is too long");
    if (r < 0)
        return r;
    switch (value->kind) {
    case HCL_STRING:
        return put_json_text(out, value->string);
    case HCL_NUMBER:
    case HCL_BOOL:
        r = value_to_text(c->x, c->at, value, &text);
        if (r == 0)
            (void)fputs(text, out);
        return r;
    case HCL_LIST:
    case HCL_MAP:
        (void)fputc(is_map ? '{' : '[', out);
        for (size_t i = 0; r == 0 && i < ordered.n_items; i++) {
            if (i)
                (void)fputc(',', out);
            if (is_map)
                r = put_json_text(out, ordered.keys[i]);
            if (is_map)
                (void)fputc(':', out);
            if (r == 0)
                r = call_put_json(c, out, &ordered.items[i]);
        }
        (void)fputc(is_map ? '}' : ']', out);
        return r;
    default:
        (void)fputs("null", out);
        return 0;
    }
}

static int f_jsonencode(struct call *c)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    return out ? call_give_stream(c, out, &text, call_put_json(c, out, &c->args[0])) : -ENOMEM;
}

static int f_jsondecode(struct call *c)
{
    json_error_t error;
    const char *text;
    int r = call_text(c, 0, &text);
    json_t *json;

    if (r == 0)
        r = eval_account(c->x, c->at, 8 * strlen(text));
    if (r < 0)
        return r;
    json = json_loads(text, JSON_DECODE_ANY, &error);
    if (!json)
        return call_fail(c, "this is not JSON: line %d column %d: %.80s", error.line, error.column,
                         error.text);
    r = hcl_from_json(c->x->ev->arena, json, c->ret);
    json_decref(json);
    return r == -EINVAL ? call_fail(c, "this JSON has a text with a NUL, or is nested too deeply")
                        : r;
}

/* ---- YAML ---- */

static int f_yamlencode(struct call *c)
{
    json_t *json = hcl_to_json(&c->args[0]);
    autofree char *text = NULL;
    size_t size = 0;
    int r = json ? yaml_write(json, YAML_AS_HCL, &text, &size) : -ENOMEM;

    json_decref(json);
    if (r == -EINVAL)
        return call_fail(c, "yamlencode() of a value nested deeper than %d", YAML_MAX_DEPTH);
    return r < 0 ? r : call_give_text(c, text, size);
}

static int f_yamldecode(struct call *c)
{
    struct err e = ERR_INIT;
    json_t *json = NULL;
    const char *text;
    int r = call_text(c, 0, &text);

    if (r == 0)
        r = eval_account(c->x, c->at, 8 * strlen(text));
    if (r < 0)
        return r;
    r = yaml_read(text, strlen(text), YAML_AS_HCL, &json, &e);
    if (r == -EINVAL)
        return call_fail(c, "this is not YAML: %.160s", e.text);
    if (r == 0)
        r = hcl_from_json(c->x->ev->arena, json, c->ret);
    json_decref(json);
    return r;
}

/* ---- CSV, as RFC 4180 has it ---- */

struct csv {
    struct call *c;
    const char *at;
    size_t line;
};

static int csv_quoted(struct csv *csv, FILE *out)
{
    size_t line = csv->line;

    for (csv->at++; *csv->at; csv->at++) {
        if (*csv->at == '"' && *++csv->at != '"')
            return strchr(",\r\n", *csv->at)
                       ? 0
                       : call_fail(csv->c, "line %zu of the CSV has a text behind a quoted one",
                                   csv->line);
        csv->line += *csv->at == '\n';
        if (csv->at[0] != '\r' || csv->at[1] != '\n')
            (void)fputc(*csv->at, out);
    }
    return call_fail(csv->c, "a quote of line %zu of the CSV is not closed", line);
}

static int csv_field(struct csv *csv, struct hcl_value *ret)
{
    char *text = NULL;
    size_t size, n;
    FILE *out;
    int r = 0;

    if (*csv->at != '"') {
        n = strcspn(csv->at, ",\n");
        if (memchr(csv->at, '"', n))
            return call_fail(csv->c, "line %zu of the CSV has a quote in a text without quotes",
                             csv->line);
        r = value_set_text(csv->c->x, csv->c->at, csv->at,
                           n && csv->at[n] != ',' && csv->at[n - 1] == '\r' ? n - 1 : n, ret);
        csv->at += n;
        return r;
    }
    out = open_memstream(&text, &size);
    if (!out)
        return -ENOMEM;
    r = csv_quoted(csv, out);
    if (fclose(out) != 0 && r == 0)
        r = -ENOMEM;
    if (r == 0)
        r = value_set_text(csv->c->x, csv->c->at, text, size, ret);
    free(text);
    return r;
}

/* Lines with nothing in them are none. */
static int csv_row(struct csv *csv, struct hcl_value *ret)
{
    *ret = (struct hcl_value){.kind = HCL_LIST};
    for (; *csv->at == '\n' || (*csv->at == '\r' && csv->at[1] == '\n'); csv->at++)
        csv->line += *csv->at == '\n';
    while (*csv->at) {
        struct hcl_value field;
        int r = csv_field(csv, &field);

        if (r == 0)
            r = value_append(csv->c->x, ret, NULL, &field);
        if (r < 0)
            return r;
        csv->at += *csv->at == '\r';
        if (*csv->at != ',')
            break;
        if (!*++csv->at || *csv->at == '\n') /* an empty one at the end */
            r = value_set_text(csv->c->x, csv->c->at, "", 0, &field);
        else
            continue;
        return r < 0 ? r : value_append(csv->c->x, ret, NULL, &field);
    }
    return 0;
}

static int f_csvdecode(struct call *c)
{
    struct csv csv = {.c = c, .line = 1};
    struct hcl_value names, row;
    int r = call_text(c, 0, &csv.at);

    if (r == 0)
        r = csv_row(&csv, &names);
    if (r == 0 && !names.n_items)
        r = call_fail(c, "the first line of the CSV names its columns, and there is none");
    call_give_list(c);
    while (r == 0) {
        struct hcl_value map = {.kind = HCL_MAP};

        r = csv_row(&csv, &row);
        if (r < 0 || !row.n_items)
            break;
        if (row.n_items != names.n_items)
            return call_fail(c, "line %zu of the CSV has %zu columns, its first line %zu", csv.line,
                             row.n_items, names.n_items);
        for (size_t i = 0; r == 0 && i < row.n_items; i++) {
            if (value_get(&map, names.items[i].string))
                return call_fail(c, "two columns of the CSV are named \"%.64s\"",
                                 names.items[i].string);
            r = value_append(c->x, &map, names.items[i].string, &row.items[i]);
        }
        if (r == 0)
            r = call_add(c, NULL, &map);
    }
    return r;
}

static int f_urlencode(struct call *c)
{
    const char *text;
    char *made = NULL;
    size_t size;
    FILE *out;
    int r = call_text(c, 0, &text);

    out = r < 0 ? NULL : open_memstream(&made, &size);
    if (!out)
        return r < 0 ? r : -ENOMEM;
    for (; *text; text++) {
        if (isalnum((unsigned char)*text) || strchr("-_.~", *text))
            (void)fputc(*text, out);
        else if (*text == ' ')
            (void)fputc('+', out);
        else
            (void)fprintf(out, "%%%02X", (unsigned char)*text);
    }
    return call_give_stream(c, out, &made, 0);
}

const struct function functions_data[] = {
    {"base64decode", 1, 1, f_base64decode},
    {"base64encode", 1, 1, f_base64encode},
    {"csvdecode", 1, 1, f_csvdecode},
    {"jsondecode", 1, 1, f_jsondecode},
    {"jsonencode", 1, 1, f_jsonencode},
    {"urlencode", 1, 1, f_urlencode},
    {"yamldecode", 1, 1, f_yamldecode},
    {"yamlencode", 1, 1, f_yamlencode},
    {0},
};
