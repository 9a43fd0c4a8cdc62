/* SPDX-License-Identifier: MIT
 *
 * Printing as Go's package fmt does it: print, println, printf. Source: its documentation.
 *
 * Odd cases: what a verb cannot print is printed as "%!d(string=hi)", what there is too little or
 * too much of as "%!d(MISSING)" and "%!(EXTRA …)". A verb goes over the elements of lists and maps.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/template/engine.h"
#include "shared/cleanup.h"
#include "shared/text/real.h"
#include "shared/tmpl/lexer.h"

enum {
    MAX_WIDTH = 1000000, /* Go's own limit */
    MAX_NESTED = 1000,
};

struct verb {
    char c; /* 0: none */
    bool plus, minus, sharp, space, zero;
    int width, precision; /* -1: none */
};

/* ---- numbers ---- */

static size_t count_runes(const char *bytes, size_t size)
{
    const char *end = bytes + size;
    size_t n = 0, step;

    for (; bytes < end; bytes += step, n++)
        (void)tmpl_utf8_next(bytes, end, &step);
    return n;
}

static int pad(struct text *out, const struct verb *v, const char *bytes, size_t size)
{
    size_t runes = v->width > 0 ? count_runes(bytes, size) : 0;
    size_t missing = v->width > 0 && (size_t)v->width > runes ? (size_t)v->width - runes : 0;
    int r = 0;

    if (!v->minus)
        r = text_repeat(out, v->zero ? '0' : ' ', missing);
    if (!r)
        r = text_add(out, bytes, size);
    if (!r && v->minus)
        r = text_repeat(out, ' ', missing);
    return r;
}

/* Zeros go between the sign and the digits. */
static int pad_number(struct text *out, const struct verb *v, char sign, const char *digits)
{
    struct verb rest = *v;
    char mark[2] = {sign}, signed_digits[2048];
    int r = 0;

    if (v->zero && !v->minus && sign) {
        r = text_add(out, &sign, 1);
        rest.width = v->width > 0 ? v->width - 1 : v->width;
        mark[0] = '\0';
    }
    (void)snprintf(signed_digits, sizeof(signed_digits), "%s%s", mark, digits);
    return r ? r : pad(out, &rest, signed_digits, strlen(signed_digits));
}

static char sign_of(const struct verb *v, bool negative)
{
    return (char)(negative ? '-' : v->plus ? '+' : v->space ? ' ' : 0);
}

static int put_integer(struct text *out, const struct verb *v, int64_t value)
{
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    unsigned int base = v->c == 'b'                  ? 2
                        : v->c == 'o' || v->c == 'O' ? 8
                        : v->c == 'x' || v->c == 'X' ? 16
                                                     : 10;
    const char *figures = v->c == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    int least = v->precision >= 0 ? v->precision : 1;
    struct verb plain = *v;
    char buf[1100], *at = buf + sizeof(buf);

    if (least > 1000)
        least = 1000;
    if (v->precision >= 0)
        plain.zero = false;
    if (v->precision == 0 && value == 0) {
        plain.zero = false;
        return pad(out, &plain, "", 0);
    }
    *--at = '\0';
    for (; rest || least > 0; rest /= base, least--)
        *--at = figures[rest % base];
    if (v->sharp && base == 16) {
        *--at = v->c;
        *--at = '0';
    } else if (v->sharp && base == 2) {
        *--at = 'b';
        *--at = '0';
    } else if (v->c == 'O') {
        *--at = 'o';
        *--at = '0';
    } else if (v->sharp && base == 8 && *at != '0') {
        *--at = '0';
    }
    return pad_number(out, &plain, sign_of(v, value < 0), at);
}

/* C's hexadecimal digits, with an exponent of two digits at least. */
static void format_hex(double size, const struct verb *v, char *buf, size_t room)
{
    char format[16] = "%a", *exponent;

    if (v->precision >= 0)
        (void)snprintf(format, sizeof(format), "%%.%da", v->precision > 1000 ? 1000 : v->precision);
    (void)strfromd(buf, room, format, size);
    exponent = strchr(buf, 'p') + 2;
    if (!exponent[1]) {
        exponent[2] = '\0';
        exponent[1] = exponent[0];
        exponent[0] = '0';
    }
    for (char *p = buf; v->c == 'X' && *p; p++)
        *p = (char)toupper((unsigned char)*p);
}

static int put_real(struct text *out, const struct verb *v, double value)
{
    char buf[2048], format[16];
    bool shortest = v->precision < 0 && (v->c == 'v' || v->c == 'g' || v->c == 'G');
    int precision = v->precision < 0 ? 6 : v->precision > 1000 ? 1000 : v->precision;
    struct verb plain = *v;
    double size = fabs(value);

    if (isnan(value) || isinf(value)) {
        plain.zero = false;
        return pad_number(out, &plain,
                          isnan(value) ? sign_of(v, false)
                          : value < 0  ? '-'
                                       : '+',
                          isnan(value) ? "NaN" : "Inf");
    }
    (void)snprintf(format, sizeof(format), "%%.%d%c", precision, v->c == 'v' ? 'g' : v->c);
    if (v->c == 'x' || v->c == 'X')
        format_hex(size, v, buf, sizeof(buf));
    else if (shortest)
        format_real(size, -4, 6, buf);
    else
        (void)strfromd(buf, sizeof(buf), format, size);
    if (shortest && v->c == 'G')
        for (char *p = buf; *p; p++)
            *p = (char)toupper((unsigned char)*p);
    return pad_number(out, &plain, sign_of(v, signbit(value)), buf);
}

/* ---- strings ---- */

static bool is_printable(uint32_t c)
{
    return c >= 0x20 && c != 0x7f && !(c >= 0x80 && c < 0xa1) && c != 0xad &&
           !(c >= 0x2000 && c <= 0x200f) && !(c >= 0x2028 && c <= 0x202f) && c != 0xfeff;
}

static int put_quoted_rune(struct text *out, uint32_t c, char quote, bool ascii)
{
    static const char names[] = "abfnrtv", values[] = "\a\b\f\n\r\t\v";
    const char *name = c && c < 0x20 ? strchr(values, (int)c) : NULL;

    if (name)
        return text_printf(out, "\\%c", names[name - values]);
    if (c == (unsigned char)quote || c == '\\')
        return text_printf(out, "\\%c", (int)c);
    if (c < 0x80 ? is_printable(c) : !ascii && is_printable(c))
        return text_rune(out, c);
    return text_printf(out, c < 0x80 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
}

static int quote(struct text *out, const char *bytes, size_t size, bool ascii)
{
    const char *end = bytes + size;
    int r = text_puts(out, "\"");
    size_t n;

    for (; !r && bytes < end; bytes += n) {
        uint32_t c = tmpl_utf8_next(bytes, end, &n);

        if (c == 0xfffd && n == 1)
            r = text_printf(out, "\\x%02x", (unsigned char)*bytes);
        else
            r = put_quoted_rune(out, c, '"', ascii);
    }
    return r ? r : text_puts(out, "\"");
}

static int put_quoted(struct text *out, const struct verb *v, const char *bytes, size_t size)
{
    struct text quoted;
    int r;

    text_init(&quoted, out->ev);
    if (v->sharp && !memchr(bytes, '`', size) && !memchr(bytes, '\n', size)) {
        r = text_printf(&quoted, "`");
        r = r ? r : text_add(&quoted, bytes, size);
        r = r ? r : text_printf(&quoted, "`");
    } else {
        r = quote(&quoted, bytes, size, v->plus);
    }
    if (!r)
        r = pad(out, v, quoted.data, quoted.size);
    text_deinit(&quoted);
    return r;
}

static int put_hex(struct text *out, const struct verb *v, const char *bytes, size_t size)
{
    struct text hex;
    int r = 0;

    if (v->precision >= 0 && (size_t)v->precision < size)
        size = (size_t)v->precision;
    text_init(&hex, out->ev);
    for (size_t i = 0; i < size && !r; i++) {
        if (v->space && i)
            r = text_puts(&hex, " ");
        if (!r && v->sharp && (v->space || i == 0))
            r = text_puts(&hex, v->c == 'X' ? "0X" : "0x");
        if (!r)
            r = v->c == 'X' ? text_printf(&hex, "%02X", (unsigned char)bytes[i])
                            : text_printf(&hex, "%02x", (unsigned char)bytes[i]);
    }
    if (!r)
        r = pad(out, v, hex.data ? hex.data : "", hex.size);
    text_deinit(&hex);
    return r;
}

static size_t cut(const struct verb *v, const char *bytes, size_t size)
{
    const char *at = bytes, *end = bytes + size;
    size_t n;

    if (v->precision < 0)
        return size;
    for (int i = 0; i < v->precision && at < end; i++, at += n)
        (void)tmpl_utf8_next(at, end, &n);
    return (size_t)(at - bytes);
}

/* ---- any value ---- */

static int put(struct text *out, const struct verb *v, const json_t *value, unsigned int depth);

static bool is_one_of(const char *verbs, char c)
{
    return c && strchr(verbs, c);
}

static int put_bad(struct text *out, const struct verb *v, const json_t *value)
{
    struct verb plain = *v; /* width and flags stay in force */
    char c = v->c;
    int r;

    plain.c = 'v';
    plain.sharp = false;

    if (value_is_nil(value))
        return text_printf(out, "%%!%c(<nil>)", c);
    r = text_printf(out, "%%!%c(%s=", c, value_type(value));
    if (!r)
        r = put(out, &plain, value, 0);
    return r ? r : text_puts(out, ")");
}

static int put_string(struct text *out, const struct verb *v, const json_t *value)
{
    const char *bytes = json_string_value(value);
    size_t size = json_string_length(value);

    switch (v->c) {
    case 'v':
        if (v->sharp)
            return put_quoted(out, &(struct verb){.width = v->width, .precision = -1}, bytes, size);
        return pad(out, v, bytes, cut(v, bytes, size));
    case 's':
        return pad(out, v, bytes, cut(v, bytes, size));
    case 'q':
        return put_quoted(out, v, bytes, cut(v, bytes, size));
    case 'x':
    case 'X':
        return put_hex(out, v, bytes, size);
    default:
        return put_bad(out, v, value);
    }
}

static int put_rune(struct text *out, const struct verb *v, const json_t *value)
{
    json_int_t c = json_integer_value(value);
    uint32_t rune = c < 0 || c > 0x10ffff ? 0xfffd : (uint32_t)c;
    struct text one;
    char buf[16];
    int r;

    if (v->c == 'U') {
        (void)snprintf(buf, sizeof(buf), "U+%04X", rune);
        return pad(out, v, buf, strlen(buf));
    }
    text_init(&one, out->ev);
    if (v->c == 'c') {
        r = text_rune(&one, rune);
    } else {
        r = text_puts(&one, "'");
        r = r ? r : put_quoted_rune(&one, rune, '\'', v->plus);
        r = r ? r : text_puts(&one, "'");
    }
    if (!r)
        r = pad(out, v, one.data, one.size);
    text_deinit(&one);
    return r;
}

static int put_list(struct text *out, const struct verb *v, const json_t *list, unsigned int depth)
{
    int r = text_puts(out, v->c == 'v' && v->sharp ? "[]interface {}{" : "[");

    for (size_t i = 0; i < json_array_size(list) && !r; i++) {
        if (i)
            r = text_puts(out, v->c == 'v' && v->sharp ? ", " : " ");
        if (!r)
            r = put(out, v, json_array_get(list, i), depth + 1);
    }
    return r ? r : text_puts(out, v->c == 'v' && v->sharp ? "}" : "]");
}

static int put_map(struct text *out, const struct verb *v, const json_t *map, unsigned int depth)
{
    autofree const char **keys = value_keys(map);
    bool go = v->c == 'v' && v->sharp;
    int r = keys ? text_puts(out, go ? "map[string]interface {}{" : "map[") : -ENOMEM;

    for (size_t i = 0; !r && keys[i]; i++) {
        json_t *key = json_string_nocheck(keys[i]);

        if (i)
            r = text_puts(out, go ? ", " : " ");
        if (!r)
            r = key ? put(out, v, key, depth + 1) : -ENOMEM;
        json_decref(key);
        if (!r)
            r = text_puts(out, ":");
        if (!r)
            r = put(out, v, json_object_get(map, keys[i]), depth + 1);
    }
    return r ? r : text_puts(out, go ? "}" : "]");
}

static int put(struct text *out, const struct verb *v, const json_t *value, unsigned int depth)
{
    const char *text;
    int r = eval_step(out->ev, 1);

    if (r)
        return r;
    if (depth > MAX_NESTED)
        return eval_fail(out->ev, out->ev->pos, -E2BIG, "a value nests deeper than %d", MAX_NESTED);
    if (value_is_nil(value) && depth)
        return text_puts(out, v->c == 'v' && v->sharp ? "interface {}(nil)" : "<nil>");
    if (value_is_nil(value))
        return v->c == 'v' ? pad(out, v, "<nil>", 5) : put_bad(out, v, value);
    switch (json_typeof(value)) {
    case JSON_STRING:
        return put_string(out, v, value);
    case JSON_INTEGER:
        if (is_one_of("cqU", v->c))
            return put_rune(out, v, value);
        return is_one_of("vdboOxX", v->c) ? put_integer(out, v, json_integer_value(value))
                                          : put_bad(out, v, value);
    case JSON_REAL:
        return is_one_of("veEfFgGxX", v->c) ? put_real(out, v, json_real_value(value))
                                            : put_bad(out, v, value);
    case JSON_ARRAY:
        return put_list(out, v, value, depth);
    case JSON_OBJECT:
        return put_map(out, v, value, depth);
    default:
        text = json_is_true(value) ? "true" : "false";
        return is_one_of("vt", v->c) ? pad(out, v, text, strlen(text)) : put_bad(out, v, value);
    }
}

int format_value(struct text *out, const json_t *value)
{
    static const struct verb plain = {.c = 'v', .width = -1, .precision = -1};

    return put(out, &plain, value, 0);
}

int format_print(struct call *c, struct text *out, bool line)
{
    int r = 0;

    for (size_t i = 0; i < c->n && !r; i++) {
        /* print puts a space between two operands where neither is a string */
        if (i && (line || (!json_is_string(c->args[i]) && !json_is_string(c->args[i - 1]))))
            r = text_puts(out, " ");
        if (!r)
            r = format_value(out, c->args[i]);
    }
    return r || !line ? r : text_puts(out, "\n");
}

/* ---- printf ---- */

struct format {
    const char *at, *end;
    size_t arg; /* the next one to be printed */
    struct call *c;
    struct text *out;
};

static void take_flags(struct format *f, struct verb *v)
{
    for (; f->at < f->end; f->at++) {
        switch (*f->at) {
        case '#':
            v->sharp = true;
            break;
        case '0':
            v->zero = !v->minus;
            break;
        case '+':
            v->plus = true;
            break;
        case '-':
            v->minus = true;
            v->zero = false;
            break;
        case ' ':
            v->space = true;
            break;
        default:
            return;
        }
    }
}

static int take_number(struct format *f, int *ret, bool *ret_bad)
{
    const json_t *arg;
    int64_t n = 0;

    *ret_bad = false;
    if (f->at < f->end && *f->at == '*') {
        f->at++;
        arg = f->arg < f->c->n ? f->c->args[f->arg] : NULL;
        *ret_bad = !json_is_integer(arg) || json_integer_value(arg) > MAX_WIDTH ||
                   json_integer_value(arg) < -MAX_WIDTH;
        f->arg++;
        *ret = *ret_bad ? -1 : (int)json_integer_value(arg);
        return 1;
    }
    if (f->at >= f->end || !isdigit((unsigned char)*f->at))
        return 0;
    for (; f->at < f->end && isdigit((unsigned char)*f->at); f->at++)
        n = n > MAX_WIDTH ? n : n * 10 + (*f->at - '0');
    *ret = n > MAX_WIDTH ? -1 : (int)n;
    return 1;
}

static int take_size(struct format *f, struct verb *v)
{
    bool bad;
    int r = 0;

    if (take_number(f, &v->width, &bad)) {
        if (bad)
            r = text_puts(f->out, "%!(BADWIDTH)");
        if (!bad && v->width < 0) {
            v->minus = true;
            v->zero = false;
            v->width = -v->width;
        }
    }
    if (r || f->at >= f->end || *f->at != '.')
        return r;
    f->at++;
    v->precision = 0;
    if (take_number(f, &v->precision, &bad) && (bad || v->precision < 0)) {
        v->precision = -1;
        r = bad ? text_puts(f->out, "%!(BADPREC)") : 0;
    }
    return r;
}

static int put_verb(struct format *f)
{
    struct verb v = {.width = -1, .precision = -1};
    const json_t *arg;
    int r;

    take_flags(f, &v);
    r = take_size(f, &v);
    if (r)
        return r;
    if (f->at >= f->end)
        return text_puts(f->out, "%!(NOVERB)");
    if ((unsigned char)*f->at >= 0x80 || *f->at == '[')
        return call_fail(f->c, "\"%%%.1s\" is not supported in a format",
                         *f->at == '[' ? "[" : "?");
    v.c = *f->at++;
    if (v.c == '%')
        return text_puts(f->out, "%");
    if (f->arg >= f->c->n)
        return text_printf(f->out, "%%!%c(MISSING)", v.c);
    arg = f->c->args[f->arg++];
    if (v.c == 'T') {
        v.c = 's';
        return pad(f->out, &v, value_type(arg), strlen(value_type(arg)));
    }
    if (v.c == 'v')
        v.plus = false; /* %+v is for structs */
    return put(f->out, &v, arg, 0);
}

static int put_extra(struct format *f)
{
    int r = text_puts(f->out, "%!(EXTRA ");

    for (size_t i = f->arg; i < f->c->n && !r; i++) {
        if (i > f->arg)
            r = text_puts(f->out, ", ");
        if (!r && value_is_nil(f->c->args[i])) {
            r = text_puts(f->out, "<nil>");
            continue;
        }
        if (!r)
            r = text_printf(f->out, "%s=", value_type(f->c->args[i]));
        if (!r)
            r = format_value(f->out, f->c->args[i]);
    }
    return r ? r : text_puts(f->out, ")");
}

int format_printf(struct call *c, struct text *out)
{
    const char *format;
    size_t size;
    int r = call_string(c, 0, &format, &size);
    struct format f = {.at = format, .arg = 1, .c = c, .out = out};

    if (r)
        return r;
    f.end = format + size;
    while (f.at < f.end && !r) {
        const char *percent = memchr(f.at, '%', (size_t)(f.end - f.at));
        const char *to = percent ? percent : f.end;

        r = text_add(out, f.at, (size_t)(to - f.at));
        f.at = to;
        if (!r && percent) {
            f.at++;
            r = put_verb(&f);
        }
    }
    return r || f.arg >= c->n ? r : put_extra(&f);
}
