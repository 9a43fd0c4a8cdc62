/* SPDX-License-Identifier: MIT
 *
 * Functions on texts.
 */
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/hcl/functions.h"
#include "shared/hcl/json.h"
#include "shared/text/letters.h"
#include "shared/text/regex.h"

enum {
    HASTY_REGEX_BYTES = 16 << 10
};

static int in_case(struct call *c, enum letters_case to)
{
    autofree char *made = NULL;
    const char *text;
    size_t size;
    int r = call_text(c, 0, &text);

    if (r < 0)
        return r;
    made = letters_map(text, strlen(text), to, &size);
    return made ? call_give_text(c, made, size) : -ENOMEM;
}

static int f_lower(struct call *c)
{
    return in_case(c, LETTERS_LOWER);
}

static int f_upper(struct call *c)
{
    return in_case(c, LETTERS_UPPER);
}

static int f_title(struct call *c)
{
    return in_case(c, LETTERS_TITLE);
}

static bool is_flag(char c)
{
    return c && strchr("-+ 0#", c);
}

/* One verb of format(); `item` NULL: there is none left for it. */
static int format_verb(struct call *c, FILE *out, const char *spec, size_t len, char verb,
                       const struct hcl_value *item)
{
    char form[40];
    const char *text;
    double number;
    bool boolean;
    int r = 0;

    if (!item)
        return call_fail(c, "format() has no value for %.*s", (int)len, spec);
    if (len > sizeof(form) - 4)
        return call_fail(c, "%.*s is too long", 20, spec);
    (void)snprintf(form, sizeof(form), "%.*s", (int)len - 1, spec);
    if (strchr("dbxXoeEfgG", verb)) {
        if (!value_to_number(item, &number))
            return call_fail(c, "%.*s is for a number, not %s", (int)len, spec,
                             hcl_kind_name(item->kind));
        if (verb == 'b' || (strchr("dxXo", verb) && number != floor(number)))
            return call_fail(c, "%.*s does not fit this number", (int)len, spec);
        if (strchr("dxXo", verb) && fabs(number) > 9e18)
            return call_fail(c, "this number is too large for %.*s", (int)len, spec);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        if (strchr("dxXo", verb)) {
            (void)snprintf(form + strlen(form), 4, "ll%c", verb);
            (void)fprintf(out, form, (long long)number);
        } else {
            (void)snprintf(form + strlen(form), 4, "%c", verb);
            (void)fprintf(out, form, number);
        }
        return 0;
    }
    if (verb == 't') {
        if (!value_to_bool(item, &boolean))
            return call_fail(c, "%%t is for true or false, not %s", hcl_kind_name(item->kind));
        (void)fputs(boolean ? "true" : "false", out);
        return 0;
    }
    if (verb == 'q' || (verb == 'v' && (item->kind == HCL_LIST || item->kind == HCL_MAP ||
                                        item->kind == HCL_NULL))) {
        struct hcl_value quoted = *item;

        if (verb == 'q' && (item->kind == HCL_NUMBER || item->kind == HCL_BOOL)) {
            quoted.kind = HCL_STRING;
            r = value_to_text(c->x, c->at, item, (const char **)&quoted.string);
        }
        return r < 0 ? r : call_put_json(c, out, &quoted);
    }
    if (verb != 's' && verb != 'v')
        return call_fail(c, "format() does not know %.*s", (int)len, spec);
    r = value_to_text(c->x, c->at, item, &text);
    if (r == 0) {
        (void)snprintf(form + strlen(form), 4, "s");
        (void)fprintf(out, form, text);
    }
#pragma GCC diagnostic pop
    return r;
}

static int format_with(struct call *c, const char *form, const struct hcl_value *args, size_t n)
{
    char *text = NULL;
    size_t size, used = 0;
    FILE *out = open_memstream(&text, &size);
    int r = 0;

    if (!out)
        return -ENOMEM;
    while (r == 0 && *form) {
        size_t plain = strcspn(form, "%"), len = 1, width;

        (void)fwrite(form, 1, plain, out);
        form += plain;
        if (!*form)
            break;
        while (is_flag(form[len]))
            len++;
        width = strtoul(form + len, NULL, 10);
        len += strspn(form + len, "0123456789");
        if (form[len] == '.') {
            size_t precision = strtoul(form + len + 1, NULL, 10);

            width = precision > width ? precision : width;
            len += 1 + strspn(form + len + 1, "0123456789");
        }
        if (!form[len] || width > 1000) {
            r = call_fail(c, "format() does not know \"%.20s\"", form);
        } else if (form[len] == '%') {
            (void)fputc('%', out);
        } else {
            r = format_verb(c, out, form, len + 1, form[len], used < n ? &args[used] : NULL);
            used++;
        }
        form += len + 1;
    }
    if (r == 0 && used < n)
        r = call_fail(c, "format() has %zu values and uses %zu", n, used);
    return call_give_stream(c, out, &text, r);
}

static int f_format(struct call *c)
{
    const char *form;
    int r = call_text(c, 0, &form);

    return r < 0 ? r : format_with(c, form, c->args + 1, c->n - 1);
}

static int f_formatlist(struct call *c)
{
    struct hcl_value row[16], list = {.kind = HCL_LIST}, *ret = c->ret;
    size_t rows = 1;
    const char *form;
    int r = call_text(c, 0, &form);

    if (r == 0 && c->n > ARRAY_LEN(row))
        r = call_fail(c, "formatlist() takes up to %zu arguments", ARRAY_LEN(row));
    for (size_t i = 1; r == 0 && i < c->n; i++)
        if (c->args[i].kind == HCL_LIST)
            rows = c->args[i].n_items;
    for (size_t i = 0; r == 0 && i < rows; i++) {
        struct hcl_value one;

        for (size_t k = 1; r == 0 && k < c->n; k++) {
            if (c->args[k].kind == HCL_LIST && i >= c->args[k].n_items)
                r = call_fail(c, "the lists of formatlist() are not of one length");
            else
                row[k] = c->args[k].kind == HCL_LIST ? c->args[k].items[i] : c->args[k];
        }
        c->ret = &one;
        if (r == 0)
            r = format_with(c, form, row + 1, c->n - 1);
        if (r == 0)
            r = value_append(c->x, &list, NULL, &one);
    }
    *ret = list;
    return r;
}

static int f_join(struct call *c)
{
    const char *separator, *item;
    bool first = true;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    int r = out ? call_text(c, 0, &separator) : -ENOMEM;

    for (size_t k = 1; r == 0 && k < c->n; k++) {
        r = call_kind(c, k, HCL_LIST);
        for (size_t i = 0; r == 0 && i < c->args[k].n_items; i++) {
            r = value_to_text(c->x, c->at, &c->args[k].items[i], &item);
            if (r == 0)
                (void)fprintf(out, "%s%s", first ? "" : separator, item);
            if (r == 0 && ftell(out) > HCL_EVAL_MAX_BYTES)
                r = call_fail(c, "this is too long");
            first = false;
        }
    }
    return out ? call_give_stream(c, out, &text, r) : r;
}

static bool is_tail(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* Behind `n` characters. */
static const char *skip_characters(const char *text, double n)
{
    for (; n >= 1 && *text; n--)
        for (text++; is_tail(*text);)
            text++;
    return text;
}

static int f_split(struct call *c)
{
    const char *separator, *text, *next;
    int r = call_text(c, 0, &separator);

    if (r == 0)
        r = call_text(c, 1, &text);
    call_give_list(c);
    while (r == 0 && *separator && (next = strstr(text, separator))) {
        r = call_add_text(c, text, (size_t)(next - text));
        text = next + strlen(separator);
    }
    while (r == 0 && !*separator && *(next = skip_characters(text, 1))) {
        r = call_add_text(c, text, (size_t)(next - text));
        text = next;
    }
    return r < 0 ? r : call_add_text(c, text, strlen(text));
}

static int f_replace(struct call *c)
{
    const char *text, *from, *to, *next;
    char *made = NULL;
    size_t size;
    FILE *out;
    int r = call_text(c, 0, &text);

    if (r == 0)
        r = call_text(c, 1, &from);
    if (r == 0)
        r = call_text(c, 2, &to);
    if (r < 0)
        return r;
    out = open_memstream(&made, &size);
    if (!out)
        return -ENOMEM;
    while (*from && (next = strstr(text, from)) && ftell(out) <= HCL_EVAL_MAX_BYTES) {
        (void)fprintf(out, "%.*s%s", (int)(next - text), text, to);
        text = next + strlen(from);
    }
    while (!*from && *text && ftell(out) <= HCL_EVAL_MAX_BYTES) { /* before each character */
        (void)fprintf(out, "%s%.*s", to, (int)(skip_characters(text, 1) - text), text);
        text = skip_characters(text, 1);
    }
    (void)fprintf(out, "%s%s", text, *from ? "" : to);
    return call_give_stream(c, out, &made, 0);
}

struct replacement {
    struct call *c;
    FILE *out;
};

static int replace_step(void *context, const char *bytes, size_t size)
{
    const struct replacement *to = context;
    int r = 0;

    (void)bytes;
    (void)size;
    for (int i = 0; r == 0 && i < 16; i++)
        r = eval_step(to->c->x, to->c->at);
    return r;
}

static int replace_sink(void *context, const char *bytes, size_t size)
{
    const struct replacement *to = context;

    if (ftell(to->out) > HCL_EVAL_MAX_BYTES)
        return call_fail(to->c, "this is too long");
    (void)fwrite(bytes, 1, size, to->out);
    return 0;
}

/* "$${1}" is how "${1}" is written in a text; it is taken here, where it is used. */
static char *unescaped(const char *text)
{
    char *made = strdup(text);

    for (char *at = made; at && (at = strstr(at, "$${")); at += 2)
        memmove(at, at + 1, strlen(at));
    return made;
}

static int f_regex_replace(struct call *c)
{
    bool hasty = c->x->ev->options->hasty;
    struct replacement into = {.c = c};
    const char *text, *pattern, *written;
    autofree char *to = NULL;
    struct err e = ERR_INIT;
    struct regex *re = NULL;
    char *made = NULL;
    size_t size;
    int r = call_text(c, 0, &text);

    if (r == 0)
        r = call_text(c, 1, &pattern);
    if (r == 0)
        r = call_text(c, 2, &written);
    if (r == 0 && !(to = unescaped(written)))
        r = -ENOMEM;
    if (r == 0 && hasty && strlen(text) > HASTY_REGEX_BYTES)
        r = call_fail(c, "regex_replace() of more than %d bytes is for the command line",
                      HASTY_REGEX_BYTES);
    if (r < 0)
        return r;
    r = regex_new(pattern, strlen(pattern), hasty ? REGEX_STEPS / 100 : REGEX_STEPS, &re, &e);
    if (r == -EINVAL)
        return call_fail(c, "%.200s", e.text);
    into.out = r == 0 ? open_memstream(&made, &size) : NULL;
    if (into.out)
        r = regex_replace(re, text, strlen(text), to, strlen(to), replace_step, replace_sink,
                          &into);
    re = regex_free(re);
    if (r == -ETIME)
        r = call_fail(c, REGEX_TOO_LONG);
    return into.out ? call_give_stream(c, into.out, &made, r) : -ENOMEM;
}

int call_reverse_text(struct call *c)
{
    const char *text, *end;
    int r = call_text(c, 0, &text);

    if (r < 0)
        return r;
    end = text + strlen(text);
    r = call_give_text(c, text, strlen(text));
    for (char *to = c->ret->string; r == 0 && end > text;) {
        const char *start = end - 1;

        while (start > text && is_tail(*start))
            start--;
        memcpy(to, start, (size_t)(end - start));
        to += end - start;
        end = start;
    }
    return r;
}

/* trim(), trimspace(), chomp() … by which ends and which bytes. */
static int trim_bytes(struct call *c, const char *bytes, bool start, bool end)
{
    const char *text;
    int r = call_text(c, 0, &text);
    size_t n;

    if (r < 0)
        return r;
    if (start)
        text += strspn(text, bytes);
    n = strlen(text);
    while (end && n && strchr(bytes, text[n - 1]))
        n--;
    return call_give_text(c, text, n);
}

static int f_trimspace(struct call *c)
{
    return trim_bytes(c, " \t\r\n\v\f", true, true);
}

static int f_chomp(struct call *c)
{
    return trim_bytes(c, "\r\n", false, true);
}

static int f_trim(struct call *c)
{
    const char *bytes;
    int r = call_text(c, 1, &bytes);

    return r < 0 ? r : trim_bytes(c, bytes, true, true);
}

static int f_trimprefix(struct call *c)
{
    const char *text, *cut;
    int r = call_text(c, 0, &text);

    if (r == 0)
        r = call_text(c, 1, &cut);
    if (r < 0)
        return r;
    text += strncmp(text, cut, strlen(cut)) == 0 ? strlen(cut) : 0;
    return call_give_text(c, text, strlen(text));
}

static int f_trimsuffix(struct call *c)
{
    const char *text, *cut;
    int r = call_text(c, 0, &text);
    size_t n;

    if (r == 0)
        r = call_text(c, 1, &cut);
    if (r < 0)
        return r;
    n = strlen(text);
    if (n >= strlen(cut) && strcmp(text + n - strlen(cut), cut) == 0)
        n -= strlen(cut);
    return call_give_text(c, text, n);
}

static int f_strlen(struct call *c)
{
    const char *text;
    int r = call_text(c, 0, &text);

    return r < 0 ? r : call_give_number(c, (double)call_characters(text));
}

static int f_substr(struct call *c)
{
    double offset, length;
    const char *text;
    int r = call_text(c, 0, &text);

    if (r == 0)
        r = call_number(c, 1, &offset);
    if (r == 0)
        r = call_number(c, 2, &length);
    if (r < 0)
        return r;
    if (offset < 0)
        offset += (double)call_characters(text);
    text = skip_characters(text, offset);
    return call_give_text(
        c, text, length < 0 ? strlen(text) : (size_t)(skip_characters(text, length) - text));
}

static int f_indent(struct call *c)
{
    double spaces;
    const char *text;
    char *made = NULL;
    size_t size;
    FILE *out;
    int r = call_number(c, 0, &spaces);

    if (r == 0)
        r = call_text(c, 1, &text);
    if (r == 0 && (spaces < 0 || spaces > 200))
        r = call_fail(c, "indent() takes 0 to 200 blanks");
    if (r < 0)
        return r;
    out = open_memstream(&made, &size);
    if (!out)
        return -ENOMEM;
    for (; *text && ftell(out) <= HCL_EVAL_MAX_BYTES; text++) {
        (void)fputc(*text, out);
        if (*text == '\n')
            (void)fprintf(out, "%*s", (int)spaces, "");
    }
    return call_give_stream(c, out, &made, 0);
}

static int f_startswith(struct call *c)
{
    const char *text, *part;
    int r = call_text(c, 0, &text);

    if (r == 0)
        r = call_text(c, 1, &part);
    return r < 0 ? r : call_give_bool(c, strncmp(text, part, strlen(part)) == 0);
}

static int f_endswith(struct call *c)
{
    const char *text, *part;
    int r = call_text(c, 0, &text);

    if (r == 0)
        r = call_text(c, 1, &part);
    return r < 0 ? r
                 : call_give_bool(c, strlen(text) >= strlen(part) &&
                                         strcmp(text + strlen(text) - strlen(part), part) == 0);
}

const struct function functions_text[] = {
    {"chomp", 1, 1, f_chomp},
    {"endswith", 2, 2, f_endswith},
    {"format", 1, 0, f_format},
    {"formatlist", 1, 0, f_formatlist},
    {"indent", 2, 2, f_indent},
    {"join", 2, 0, f_join},
    {"lower", 1, 1, f_lower},
    {"regex_replace", 3, 3, f_regex_replace},
    {"replace", 3, 3, f_replace},
    {"split", 2, 2, f_split},
    {"startswith", 2, 2, f_startswith},
    {"strlen", 1, 1, f_strlen},
    {"strrev", 1, 1, call_reverse_text},
    {"substr", 3, 3, f_substr},
    {"title", 1, 1, f_title},
    {"trim", 2, 2, f_trim},
    {"trimprefix", 2, 2, f_trimprefix},
    {"trimspace", 1, 1, f_trimspace},
    {"trimsuffix", 2, 2, f_trimsuffix},
    {"upper", 1, 1, f_upper},
    {0},
};
