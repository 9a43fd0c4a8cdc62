/* SPDX-License-Identifier: MIT
 *
 * The functions of expressions: those of Nomad's that job files use, with its meanings. Each is a
 * row with how many arguments it takes, and gets them evaluated. Not here: what depends on the time
 * or on chance, hashes, networks, dates, and regular expressions, whose syntax is Go's own.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/hcl/eval_internal.h"
#include "shared/hcl/json.h"

/* One call. */
struct call {
    const struct expr *x;
    const char *at;
    const char *name;
    const struct hcl_value *args;
    size_t n;
    struct hcl_value *ret;
};

#define fail(c, ...) expr_fail((c)->x, (c)->at, __VA_ARGS__)

/* ---- arguments and results ---- */

static int text_arg(struct call *c, size_t i, const char **ret)
{
    if (c->args[i].kind == HCL_NULL || c->args[i].kind == HCL_LIST || c->args[i].kind == HCL_MAP)
        return fail(c, "argument %zu of %s() is a text, not %s", i + 1, c->name,
                    hcl_kind_name(c->args[i].kind));
    return value_to_text(c->x, c->at, &c->args[i], ret);
}

static int number_arg(struct call *c, size_t i, double *ret)
{
    if (value_to_number(&c->args[i], ret))
        return 0;
    return fail(c, "argument %zu of %s() is a number, not %s", i + 1, c->name,
                hcl_kind_name(c->args[i].kind));
}

static int kind_arg(struct call *c, size_t i, enum hcl_kind kind)
{
    if (c->args[i].kind == kind)
        return 0;
    return fail(c, "argument %zu of %s() is %s, not %s", i + 1, c->name, hcl_kind_name(kind),
                hcl_kind_name(c->args[i].kind));
}

static int give_text(struct call *c, const char *text, size_t n)
{
    return value_set_text(c->x, c->at, text, n, c->ret);
}

static int give_number(struct call *c, double number)
{
    *c->ret = (struct hcl_value){.kind = HCL_NUMBER, .number = number};
    return isfinite(number) ? 0 : fail(c, "%s() of this is no number", c->name);
}

static int give_bool(struct call *c, bool boolean)
{
    *c->ret = (struct hcl_value){.kind = HCL_BOOL, .boolean = boolean};
    return 0;
}

static void give_list(struct call *c)
{
    *c->ret = (struct hcl_value){.kind = HCL_LIST};
}

static int add(struct call *c, const char *key, const struct hcl_value *item)
{
    return value_append(c->x, c->ret, key, item);
}

/* What is written to `out`, closed here. */
static int give_stream(struct call *c, FILE *out, char **text, int r)
{
    if (fclose(out) != 0 && r == 0)
        r = -ENOMEM;
    if (r == 0)
        r = give_text(c, *text, strlen(*text));
    free(*text);
    return r;
}

/* ---- texts ---- */

static int map_bytes(struct call *c, int (*map)(int))
{
    const char *text;
    int r = text_arg(c, 0, &text);

    if (r == 0)
        r = give_text(c, text, strlen(text));
    for (char *p = c->ret->string; r == 0 && *p; p++)
        if ((unsigned char)*p < 0x80)
            *p = (char)map((unsigned char)*p);
    return r;
}

static int f_lower(struct call *c)
{
    return map_bytes(c, tolower);
}

static int f_upper(struct call *c)
{
    return map_bytes(c, toupper);
}

static int f_title(struct call *c)
{
    const char *text;
    int r = text_arg(c, 0, &text);

    if (r == 0)
        r = give_text(c, text, strlen(text));
    for (char *p = c->ret->string; r == 0 && *p; p++)
        if (p == c->ret->string || isspace((unsigned char)p[-1]))
            *p = (char)toupper((unsigned char)*p);
    return r;
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
        return fail(c, "format() has no value for %.*s", (int)len, spec);
    if (len > sizeof(form) - 4)
        return fail(c, "%.*s is too long", 20, spec);
    (void)snprintf(form, sizeof(form), "%.*s", (int)len - 1, spec);
    if (strchr("dbxXoeEfgG", verb)) {
        if (!value_to_number(item, &number))
            return fail(c, "%.*s is for a number, not %s", (int)len, spec,
                        hcl_kind_name(item->kind));
        if (verb == 'b' || (strchr("dxXo", verb) && number != floor(number)))
            return fail(c, "%.*s does not fit this number", (int)len, spec);
        if (strchr("dxXo", verb) && fabs(number) > 9e18)
            return fail(c, "this number is too large for %.*s", (int)len, spec);
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
            return fail(c, "%%t is for true or false, not %s", hcl_kind_name(item->kind));
        (void)fputs(boolean ? "true" : "false", out);
        return 0;
    }
    if (verb == 'q' || (verb == 'v' && (item->kind == HCL_LIST || item->kind == HCL_MAP ||
                                        item->kind == HCL_NULL))) {
        json_t *json = hcl_to_json(item);
        char *dump = json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

        (void)fputs(dump ? dump : "", out);
        free(dump);
        json_decref(json);
        return dump ? 0 : -ENOMEM;
    }
    if (verb != 's' && verb != 'v')
        return fail(c, "format() does not know %.*s", (int)len, spec);
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
            r = fail(c, "format() does not know \"%.20s\"", form);
        } else if (form[len] == '%') {
            (void)fputc('%', out);
        } else {
            r = format_verb(c, out, form, len + 1, form[len], used < n ? &args[used] : NULL);
            used++;
        }
        form += len + 1;
    }
    if (r == 0 && used < n)
        r = fail(c, "format() has %zu values and uses %zu", n, used);
    return give_stream(c, out, &text, r);
}

static int f_format(struct call *c)
{
    const char *form;
    int r = text_arg(c, 0, &form);

    return r < 0 ? r : format_with(c, form, c->args + 1, c->n - 1);
}

static int f_formatlist(struct call *c)
{
    struct hcl_value row[16], list = {.kind = HCL_LIST}, *ret = c->ret;
    size_t rows = 1;
    const char *form;
    int r = text_arg(c, 0, &form);

    if (r == 0 && c->n > ARRAY_LEN(row))
        r = fail(c, "formatlist() takes up to %zu arguments", ARRAY_LEN(row));
    for (size_t i = 1; r == 0 && i < c->n; i++)
        if (c->args[i].kind == HCL_LIST)
            rows = c->args[i].n_items;
    for (size_t i = 0; r == 0 && i < rows; i++) {
        struct hcl_value one;

        for (size_t k = 1; r == 0 && k < c->n; k++) {
            if (c->args[k].kind == HCL_LIST && i >= c->args[k].n_items)
                r = fail(c, "the lists of formatlist() are not of one length");
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
    int r = out ? text_arg(c, 0, &separator) : -ENOMEM;

    for (size_t k = 1; r == 0 && k < c->n; k++) {
        r = kind_arg(c, k, HCL_LIST);
        for (size_t i = 0; r == 0 && i < c->args[k].n_items; i++) {
            r = value_to_text(c->x, c->at, &c->args[k].items[i], &item);
            if (r == 0)
                (void)fprintf(out, "%s%s", first ? "" : separator, item);
            if (r == 0 && ftell(out) > HCL_EVAL_MAX_BYTES)
                r = fail(c, "this is too long");
            first = false;
        }
    }
    return out ? give_stream(c, out, &text, r) : r;
}

static int add_text(struct call *c, const char *text, size_t n)
{
    struct hcl_value item;
    int r = value_set_text(c->x, c->at, text, n, &item);

    return r < 0 ? r : add(c, NULL, &item);
}

static int f_split(struct call *c)
{
    const char *separator, *text, *next;
    int r = text_arg(c, 0, &separator);

    if (r == 0)
        r = text_arg(c, 1, &text);
    give_list(c);
    while (r == 0 && *separator && (next = strstr(text, separator))) {
        r = add_text(c, text, (size_t)(next - text));
        text = next + strlen(separator);
    }
    while (r == 0 && !*separator && *text && text[1])
        r = add_text(c, text++, 1);
    return r < 0 ? r : add_text(c, text, strlen(text));
}

static int f_replace(struct call *c)
{
    const char *text, *from, *to, *next;
    char *made = NULL;
    size_t size;
    FILE *out;
    int r = text_arg(c, 0, &text);

    if (r == 0)
        r = text_arg(c, 1, &from);
    if (r == 0)
        r = text_arg(c, 2, &to);
    if (r < 0)
        return r;
    if (!*from || (*from == '/' && from[1] && from[strlen(from) - 1] == '/'))
        return fail(c, "replace() of %s is not supported",
                    *from ? "regular expressions (/…/)" : "an empty text");
    out = open_memstream(&made, &size);
    if (!out)
        return -ENOMEM;
    while ((next = strstr(text, from)) && ftell(out) <= HCL_EVAL_MAX_BYTES) {
        (void)fprintf(out, "%.*s%s", (int)(next - text), text, to);
        text = next + strlen(from);
    }
    (void)fputs(text, out);
    return give_stream(c, out, &made, 0);
}

/* trim(), trimspace(), chomp() … by which ends and which bytes. */
static int trim_bytes(struct call *c, const char *bytes, bool start, bool end)
{
    const char *text;
    int r = text_arg(c, 0, &text);
    size_t n;

    if (r < 0)
        return r;
    if (start)
        text += strspn(text, bytes);
    n = strlen(text);
    while (end && n && strchr(bytes, text[n - 1]))
        n--;
    return give_text(c, text, n);
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
    int r = text_arg(c, 1, &bytes);

    return r < 0 ? r : trim_bytes(c, bytes, true, true);
}

static int f_trimprefix(struct call *c)
{
    const char *text, *cut;
    int r = text_arg(c, 0, &text);

    if (r == 0)
        r = text_arg(c, 1, &cut);
    if (r < 0)
        return r;
    text += strncmp(text, cut, strlen(cut)) == 0 ? strlen(cut) : 0;
    return give_text(c, text, strlen(text));
}

static int f_trimsuffix(struct call *c)
{
    const char *text, *cut;
    int r = text_arg(c, 0, &text);
    size_t n;

    if (r == 0)
        r = text_arg(c, 1, &cut);
    if (r < 0)
        return r;
    n = strlen(text);
    if (n >= strlen(cut) && strcmp(text + n - strlen(cut), cut) == 0)
        n -= strlen(cut);
    return give_text(c, text, n);
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

static size_t count_characters(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += !is_tail(*text);
    return n;
}

static int f_strlen(struct call *c)
{
    const char *text;
    int r = text_arg(c, 0, &text);

    return r < 0 ? r : give_number(c, (double)count_characters(text));
}

static int f_substr(struct call *c)
{
    double offset, length;
    const char *text;
    int r = text_arg(c, 0, &text);

    if (r == 0)
        r = number_arg(c, 1, &offset);
    if (r == 0)
        r = number_arg(c, 2, &length);
    if (r < 0)
        return r;
    if (offset < 0)
        offset += (double)count_characters(text);
    text = skip_characters(text, offset);
    return give_text(c, text,
                     length < 0 ? strlen(text) : (size_t)(skip_characters(text, length) - text));
}

static int f_indent(struct call *c)
{
    double spaces;
    const char *text;
    char *made = NULL;
    size_t size;
    FILE *out;
    int r = number_arg(c, 0, &spaces);

    if (r == 0)
        r = text_arg(c, 1, &text);
    if (r == 0 && (spaces < 0 || spaces > 200))
        r = fail(c, "indent() takes 0 to 200 blanks");
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
    return give_stream(c, out, &made, 0);
}

static int f_startswith(struct call *c)
{
    const char *text, *part;
    int r = text_arg(c, 0, &text);

    if (r == 0)
        r = text_arg(c, 1, &part);
    return r < 0 ? r : give_bool(c, strncmp(text, part, strlen(part)) == 0);
}

static int f_endswith(struct call *c)
{
    const char *text, *part;
    int r = text_arg(c, 0, &text);

    if (r == 0)
        r = text_arg(c, 1, &part);
    return r < 0 ? r
                 : give_bool(c, strlen(text) >= strlen(part) &&
                                    strcmp(text + strlen(text) - strlen(part), part) == 0);
}

/* ---- base64, JSON, files ---- */

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int f_base64encode(struct call *c)
{
    const char *text;
    int r = text_arg(c, 0, &text);
    size_t n = r < 0 ? 0 : strlen(text);
    autofree char *out = malloc(4 * (n + 2) / 3 + 4);
    char *p = out;

    if (r < 0 || !out)
        return r < 0 ? r : -ENOMEM;
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
    return give_text(c, out, (size_t)(p - out));
}

static int f_base64decode(struct call *c)
{
    const char *text;
    int r = text_arg(c, 0, &text);
    autofree char *out = r < 0 ? NULL : malloc(strlen(text) + 4);
    unsigned int bits = 0, n_bits = 0;
    json_t *probe;
    char *p = out;

    if (r < 0 || !out)
        return r < 0 ? r : -ENOMEM;
    for (; *text && *text != '='; text++) {
        const char *digit = strchr(base64, *text);

        if (!digit)
            return fail(c, "this is not base64");
        bits = bits << 6 | (unsigned int)(digit - base64);
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            *p = (char)(bits >> n_bits & 0xff);
            if (!*p++)
                return fail(c, "what base64decode() makes of this is no text");
        }
    }
    if (text[strspn(text, "=")])
        return fail(c, "this is not base64");
    *p = '\0';
    probe = json_string(out); /* NULL: not UTF-8 */
    if (!probe)
        return fail(c, "what base64decode() makes of this is no text");
    json_decref(probe);
    return give_text(c, out, (size_t)(p - out));
}

static int f_jsonencode(struct call *c)
{
    json_t *json = hcl_to_json(&c->args[0]);
    autofree char *text =
        json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;

    json_decref(json);
    return text ? give_text(c, text, strlen(text)) : -ENOMEM;
}

static int f_jsondecode(struct call *c)
{
    json_error_t error;
    const char *text;
    int r = text_arg(c, 0, &text);
    json_t *json;

    if (r == 0)
        r = eval_account(c->x, c->at, 8 * strlen(text));
    if (r < 0)
        return r;
    json = json_loads(text, JSON_DECODE_ANY, &error);
    if (!json)
        return fail(c, "this is not JSON: line %d column %d: %.80s", error.line, error.column,
                    error.text);
    r = hcl_from_json(c->x->ev->arena, json, c->ret);
    json_decref(json);
    return r == -EINVAL ? fail(c, "this JSON has a text with a NUL, or is nested too deeply") : r;
}

static int open_file(struct call *c, const char **ret_path)
{
    int r = text_arg(c, 0, ret_path), fd;

    if (r < 0)
        return r;
    if (!c->x->ev->options->files)
        return fail(c, "%s() is for the command line: the manager reads no files for a job file",
                    c->name);
    fd = open(*ret_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static int f_file(struct call *c)
{
    const char *path = "";
    autofd int fd = open_file(c, &path);
    autofree char *text = NULL;
    struct stat st;
    json_t *probe;
    ssize_t n;

    if (fd == -EINVAL)
        return fd;
    if (fd < 0 || fstat(fd, &st) < 0)
        return fail(c, "%.100s: %s", path, strerror(fd < 0 ? -fd : errno));
    if (!S_ISREG(st.st_mode) || st.st_size > HCL_MAX_BYTES)
        return fail(c, "%.100s is no file of at most %d bytes", path, HCL_MAX_BYTES);
    text = malloc((size_t)st.st_size + 1);
    n = text ? read(fd, text, (size_t)st.st_size) : -1;
    if (n < 0)
        return fail(c, "%.100s cannot be read", path);
    text[n] = '\0';
    probe = json_stringn(text, (size_t)n);
    json_decref(probe);
    if (!probe || strlen(text) != (size_t)n)
        return fail(c, "%.100s is not UTF-8 text", path);
    return give_text(c, text, (size_t)n);
}

static int f_fileexists(struct call *c)
{
    const char *path;
    autofd int fd = open_file(c, &path);
    struct stat st;

    if (fd == -EINVAL)
        return fd;
    return give_bool(c, fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode));
}

static int f_basename(struct call *c)
{
    const char *path, *slash;
    int r = text_arg(c, 0, &path);

    if (r < 0)
        return r;
    slash = strrchr(path, '/');
    path = slash ? slash + 1 : path;
    return give_text(c, path, strlen(path));
}

static int f_dirname(struct call *c)
{
    const char *path, *slash;
    int r = text_arg(c, 0, &path);

    if (r < 0)
        return r;
    slash = strrchr(path, '/');
    if (!slash)
        return give_text(c, ".", 1);
    return give_text(c, path, slash == path ? 1 : (size_t)(slash - path));
}

/* ---- numbers ---- */

static int f_abs(struct call *c)
{
    double n;
    int r = number_arg(c, 0, &n);

    return r < 0 ? r : give_number(c, fabs(n));
}

static int f_ceil(struct call *c)
{
    double n;
    int r = number_arg(c, 0, &n);

    return r < 0 ? r : give_number(c, ceil(n));
}

static int f_floor(struct call *c)
{
    double n;
    int r = number_arg(c, 0, &n);

    return r < 0 ? r : give_number(c, floor(n));
}

static int f_pow(struct call *c)
{
    double a, b;
    int r = number_arg(c, 0, &a);

    if (r == 0)
        r = number_arg(c, 1, &b);
    return r < 0 ? r : give_number(c, pow(a, b));
}

static int most(struct call *c, bool largest)
{
    double best = 0, n;
    int r = 0;

    for (size_t i = 0; r == 0 && i < c->n; i++) {
        r = number_arg(c, i, &n);
        if (r == 0 && (i == 0 || (largest ? n > best : n < best)))
            best = n;
    }
    return r < 0 ? r : give_number(c, best);
}

static int f_max(struct call *c)
{
    return most(c, true);
}

static int f_min(struct call *c)
{
    return most(c, false);
}

static int f_parseint(struct call *c)
{
    const char *text;
    double base;
    char *end;
    long long n;
    int r = text_arg(c, 0, &text);

    if (r == 0)
        r = number_arg(c, 1, &base);
    if (r < 0)
        return r;
    if (base < 2 || base > 36 || base != floor(base))
        return fail(c, "the base of parseint() is 2 to 36");
    errno = 0;
    n = strtoll(text, &end, (int)base);
    if (!*text || *end || errno)
        return fail(c, "\"%.64s\" is no number to the base %d", text, (int)base);
    return give_number(c, (double)n);
}

static int f_range(struct call *c)
{
    double start = 0, limit, step;
    int r = number_arg(c, c->n == 1 ? 0 : 1, &limit);

    if (r == 0 && c->n > 1)
        r = number_arg(c, 0, &start);
    step = start <= limit ? 1 : -1;
    if (r == 0 && c->n > 2)
        r = number_arg(c, 2, &step);
    if (r == 0 && (step == 0 || fabs(limit - start) / fabs(step) > 65536))
        r = fail(c, "range() of more than 65536 numbers");
    give_list(c);
    for (double n = start; r == 0 && (step > 0 ? n < limit : n > limit); n += step) {
        const struct hcl_value item = {.kind = HCL_NUMBER, .number = n};

        r = add(c, NULL, &item);
    }
    return r;
}

/* ---- lists and maps ---- */

static int f_length(struct call *c)
{
    const char *text;

    if (c->args[0].kind == HCL_LIST || c->args[0].kind == HCL_MAP)
        return give_number(c, (double)c->args[0].n_items);
    return text_arg(c, 0, &text) < 0 ? -EINVAL : give_number(c, (double)count_characters(text));
}

static int f_concat(struct call *c)
{
    int r = 0;

    give_list(c);
    for (size_t k = 0; r == 0 && k < c->n; k++) {
        r = kind_arg(c, k, HCL_LIST);
        for (size_t i = 0; r == 0 && i < c->args[k].n_items; i++)
            r = add(c, NULL, &c->args[k].items[i]);
    }
    return r;
}

static int f_merge(struct call *c)
{
    int r = 0;

    *c->ret = (struct hcl_value){.kind = HCL_MAP};
    for (size_t k = 0; r == 0 && k < c->n; k++) {
        if (c->args[k].kind == HCL_NULL)
            continue;
        r = kind_arg(c, k, HCL_MAP);
        for (size_t i = 0; r == 0 && i < c->args[k].n_items; i++)
            r = add(c, c->args[k].keys[i], &c->args[k].items[i]);
    }
    return r;
}

static int f_lookup(struct call *c)
{
    const struct hcl_value *found;
    const char *key;
    int r = kind_arg(c, 0, HCL_MAP);

    if (r == 0)
        r = text_arg(c, 1, &key);
    if (r < 0)
        return r;
    found = value_get(&c->args[0], key);
    if (!found && c->n < 3)
        return fail(c, "there is no \"%.64s\" in this map, and no default", key);
    *c->ret = found ? *found : c->args[2];
    return 0;
}

static int f_keys(struct call *c)
{
    int r = kind_arg(c, 0, HCL_MAP);

    give_list(c);
    for (size_t i = 0; r == 0 && i < c->args[0].n_items; i++)
        r = add_text(c, c->args[0].keys[i], strlen(c->args[0].keys[i]));
    return r;
}

static int f_values(struct call *c)
{
    int r = kind_arg(c, 0, HCL_MAP);

    give_list(c);
    for (size_t i = 0; r == 0 && i < c->args[0].n_items; i++)
        r = add(c, NULL, &c->args[0].items[i]);
    return r;
}

static int f_element(struct call *c)
{
    double index;
    int r = kind_arg(c, 0, HCL_LIST);

    if (r == 0)
        r = number_arg(c, 1, &index);
    if (r < 0)
        return r;
    if (!c->args[0].n_items || index < 0 || index != floor(index) || index > 1e15)
        return fail(c, "element() of an empty list, or before its start");
    *c->ret = c->args[0].items[(size_t)index % c->args[0].n_items];
    return 0;
}

static bool contains(const struct hcl_value *list, const struct hcl_value *item)
{
    for (size_t i = 0; i < list->n_items; i++)
        if (value_equal(&list->items[i], item))
            return true;
    return false;
}

static int f_contains(struct call *c)
{
    int r = kind_arg(c, 0, HCL_LIST);

    return r < 0 ? r : give_bool(c, contains(&c->args[0], &c->args[1]));
}

static int f_index(struct call *c)
{
    int r = kind_arg(c, 0, HCL_LIST);

    for (size_t i = 0; r == 0 && i < c->args[0].n_items; i++)
        if (value_equal(&c->args[0].items[i], &c->args[1]))
            return give_number(c, (double)i);
    return r < 0 ? r : fail(c, "index(): it is not in the list");
}

static int f_distinct(struct call *c)
{
    int r = kind_arg(c, 0, HCL_LIST);

    give_list(c);
    if (r == 0 && c->args[0].n_items > 4096)
        r = fail(c, "%s() of more than 4096 elements", c->name);
    for (size_t i = 0; r == 0 && i < c->args[0].n_items; i++)
        if (!contains(c->ret, &c->args[0].items[i]))
            r = add(c, NULL, &c->args[0].items[i]);
    return r;
}

static int flatten(struct call *c, const struct hcl_value *list, unsigned int depth)
{
    int r = depth == HCL_EVAL_MAX_DEPTH ? fail(c, "flatten(): nested too deeply") : 0;

    for (size_t i = 0; r == 0 && i < list->n_items; i++)
        r = list->items[i].kind == HCL_LIST ? flatten(c, &list->items[i], depth + 1)
                                            : add(c, NULL, &list->items[i]);
    return r;
}

static int f_flatten(struct call *c)
{
    int r = kind_arg(c, 0, HCL_LIST);

    give_list(c);
    return r < 0 ? r : flatten(c, &c->args[0], 0);
}

static int f_compact(struct call *c)
{
    int r = kind_arg(c, 0, HCL_LIST);

    give_list(c);
    for (size_t i = 0; r == 0 && i < c->args[0].n_items; i++) {
        const struct hcl_value *item = &c->args[0].items[i];

        if (item->kind != HCL_NULL && (item->kind != HCL_STRING || *item->string))
            r = add(c, NULL, item);
    }
    return r;
}

static int f_reverse(struct call *c)
{
    int r = kind_arg(c, 0, HCL_LIST);

    give_list(c);
    for (size_t i = c->args[0].n_items; r == 0 && i > 0; i--)
        r = add(c, NULL, &c->args[0].items[i - 1]);
    return r;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct hcl_value *)a)->string, ((const struct hcl_value *)b)->string);
}

static int f_sort(struct call *c)
{
    int r = kind_arg(c, 0, HCL_LIST);

    give_list(c);
    for (size_t i = 0; r == 0 && i < c->args[0].n_items; i++) {
        const char *text;

        r = value_to_text(c->x, c->at, &c->args[0].items[i], &text);
        if (r == 0)
            r = add_text(c, text, strlen(text));
    }
    if (r == 0 && c->ret->n_items)
        qsort(c->ret->items, c->ret->n_items, sizeof(*c->ret->items), by_text);
    return r;
}

static int f_slice(struct call *c)
{
    double from, to;
    int r = kind_arg(c, 0, HCL_LIST);

    if (r == 0)
        r = number_arg(c, 1, &from);
    if (r == 0)
        r = number_arg(c, 2, &to);
    give_list(c);
    if (r == 0 && (from < 0 || to < from || to > (double)c->args[0].n_items))
        r = fail(c, "slice(): the list has %zu elements, counted from 0", c->args[0].n_items);
    for (size_t i = (size_t)(r < 0 ? 0 : from); r == 0 && i < (size_t)to; i++)
        r = add(c, NULL, &c->args[0].items[i]);
    return r;
}

static int f_zipmap(struct call *c)
{
    int r = kind_arg(c, 0, HCL_LIST);

    if (r == 0)
        r = kind_arg(c, 1, HCL_LIST);
    if (r == 0 && c->args[0].n_items != c->args[1].n_items)
        r = fail(c, "the lists of zipmap() are not of one length");
    *c->ret = (struct hcl_value){.kind = HCL_MAP};
    for (size_t i = 0; r == 0 && i < c->args[0].n_items; i++) {
        const char *key;

        r = value_to_text(c->x, c->at, &c->args[0].items[i], &key);
        if (r == 0)
            r = add(c, key, &c->args[1].items[i]);
    }
    return r;
}

static int f_coalesce(struct call *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->args[i].kind != HCL_NULL && (c->args[i].kind != HCL_STRING || *c->args[i].string)) {
            *c->ret = c->args[i];
            return 0;
        }
    return fail(c, "coalesce(): all of them are null or empty");
}

static int f_coalescelist(struct call *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->args[i].kind == HCL_LIST && c->args[i].n_items) {
            *c->ret = c->args[i];
            return 0;
        }
    return fail(c, "coalescelist(): all of them are empty");
}

/* ---- conversions ---- */

static int f_convert(struct call *c)
{
    *c->ret = c->args[0];
    return type_convert(c->x, c->name + 2, c->ret); /* "tostring": "string" */
}

static int f_tolist(struct call *c)
{
    int r = kind_arg(c, 0, HCL_LIST);

    *c->ret = c->args[0];
    return r;
}

static int f_toset(struct call *c)
{
    return f_distinct(c);
}

static int f_tomap(struct call *c)
{
    int r = kind_arg(c, 0, HCL_MAP);

    *c->ret = c->args[0];
    return r;
}

static const struct {
    const char *name;
    size_t min, max; /* arguments; max 0: any number */
    int (*call)(struct call *c);
} functions[] = {
    {"abs", 1, 1, f_abs},
    {"base64decode", 1, 1, f_base64decode},
    {"base64encode", 1, 1, f_base64encode},
    {"basename", 1, 1, f_basename},
    {"ceil", 1, 1, f_ceil},
    {"chomp", 1, 1, f_chomp},
    {"coalesce", 1, 0, f_coalesce},
    {"coalescelist", 1, 0, f_coalescelist},
    {"compact", 1, 1, f_compact},
    {"concat", 1, 0, f_concat},
    {"contains", 2, 2, f_contains},
    {"dirname", 1, 1, f_dirname},
    {"distinct", 1, 1, f_distinct},
    {"element", 2, 2, f_element},
    {"endswith", 2, 2, f_endswith},
    {"file", 1, 1, f_file},
    {"fileexists", 1, 1, f_fileexists},
    {"flatten", 1, 1, f_flatten},
    {"floor", 1, 1, f_floor},
    {"format", 1, 0, f_format},
    {"formatlist", 1, 0, f_formatlist},
    {"indent", 2, 2, f_indent},
    {"index", 2, 2, f_index},
    {"join", 2, 0, f_join},
    {"jsondecode", 1, 1, f_jsondecode},
    {"jsonencode", 1, 1, f_jsonencode},
    {"keys", 1, 1, f_keys},
    {"length", 1, 1, f_length},
    {"lookup", 2, 3, f_lookup},
    {"lower", 1, 1, f_lower},
    {"max", 1, 0, f_max},
    {"merge", 1, 0, f_merge},
    {"min", 1, 0, f_min},
    {"parseint", 2, 2, f_parseint},
    {"pow", 2, 2, f_pow},
    {"range", 1, 3, f_range},
    {"replace", 3, 3, f_replace},
    {"reverse", 1, 1, f_reverse},
    {"slice", 3, 3, f_slice},
    {"sort", 1, 1, f_sort},
    {"split", 2, 2, f_split},
    {"startswith", 2, 2, f_startswith},
    {"strlen", 1, 1, f_strlen},
    {"substr", 3, 3, f_substr},
    {"title", 1, 1, f_title},
    {"tobool", 1, 1, f_convert},
    {"tolist", 1, 1, f_tolist},
    {"tomap", 1, 1, f_tomap},
    {"tonumber", 1, 1, f_convert},
    {"toset", 1, 1, f_toset},
    {"tostring", 1, 1, f_convert},
    {"trim", 2, 2, f_trim},
    {"trimprefix", 2, 2, f_trimprefix},
    {"trimspace", 1, 1, f_trimspace},
    {"trimsuffix", 2, 2, f_trimsuffix},
    {"upper", 1, 1, f_upper},
    {"values", 1, 1, f_values},
    {"zipmap", 2, 2, f_zipmap},
};

int function_call(const struct expr *x, const char *at, const char *name, size_t len,
                  const struct hcl_value *args, size_t n, struct hcl_value *ret)
{
    struct call c = {x, at, NULL, args, n, ret};

    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        if (strlen(functions[i].name) != len || strncmp(functions[i].name, name, len) != 0)
            continue;
        c.name = functions[i].name;
        if (n < functions[i].min || (functions[i].max && n > functions[i].max))
            return fail(&c, "%s() takes %zu%s arguments, not %zu", c.name, functions[i].min,
                        !functions[i].max                     ? " or more"
                        : functions[i].max > functions[i].min ? " or one more"
                                                              : "",
                        n);
        return functions[i].call(&c);
    }
    return fail(&c, "there is no function \"%.*s\" in this release; cleat-job(5) lists them",
                len > 64 ? 64 : (int)len, name);
}
