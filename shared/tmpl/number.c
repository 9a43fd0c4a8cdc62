/* SPDX-License-Identifier: MIT
 *
 * Numbers, characters and escapes as the Go language specification has them ("Integer literals",
 * "Floating-point literals", "Rune literals").
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/tmpl/lexer.h"

size_t tmpl_utf8(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        c = 0xfffd;
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

uint32_t tmpl_utf8_next(const char *at, const char *end, size_t *ret_size)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)*at;
    size_t n = first < 0x80 ? 1 : first >= 0xf0 && first < 0xf8 ? 4 : first >= 0xe0 ? 3 : 2;
    uint32_t c = n == 1 ? first : first & (0x7fU >> n);

    *ret_size = 1;
    if (n == 1)
        return c;
    if (first < 0xc0 || first >= 0xf8 || (size_t)(end - at) < n)
        return 0xfffd;
    for (size_t i = 1; i < n; i++) {
        if (((unsigned char)at[i] & 0xc0) != 0x80)
            return 0xfffd;
        c = c << 6 | ((unsigned char)at[i] & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0xfffd;
    *ret_size = n;
    return c;
}

/* `n` digits of the base, all of them. -1: there are not so many. */
static int64_t digits(const char **at, const char *end, size_t n, int base)
{
    int64_t value = 0;

    if ((size_t)(end - *at) < n)
        return -1;
    for (; n; n--, (*at)++) {
        int c = tolower((unsigned char)**at), digit = isdigit(c) ? c - '0' : c - 'a' + 10;

        if (!isalnum(c) || digit >= base)
            return -1;
        value = value * base + digit;
    }
    return value;
}

int64_t tmpl_escape(const char **at, const char *end, char quote, bool *ret_byte)
{
    static const char names[] = "abfnrtv\\", values[] = "\a\b\f\n\r\t\v\\";
    const char *name;
    int64_t c;

    *ret_byte = false;
    if (*at >= end)
        return -1;
    name = **at ? strchr(names, **at) : NULL;
    if (name || **at == quote) {
        (*at)++;
        return name ? values[name - names] : quote;
    }
    if (**at >= '0' && **at <= '7') {
        *ret_byte = true;
        c = digits(at, end, 3, 8);
        return c > 255 ? -1 : c;
    }
    switch (*(*at)++) {
    case 'x':
        *ret_byte = true;
        return digits(at, end, 2, 16);
    case 'u':
        c = digits(at, end, 4, 16);
        break;
    case 'U':
        c = digits(at, end, 8, 16);
        break;
    default:
        return -1;
    }
    return c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? -1 : c;
}

static int character(const char *text, int64_t *ret)
{
    const char *at = text + 1, *end = text + strlen(text) - 1;
    size_t n;
    bool byte;

    if (at >= end || *end != '\'')
        return -EINVAL;
    if (*at == '\\') {
        at++;
        *ret = tmpl_escape(&at, end, '\'', &byte);
    } else {
        *ret = tmpl_utf8_next(at, end, &n);
        at += n;
    }
    return *ret < 0 || at != end ? -EINVAL : 0;
}

/* Copies the digits without the "_" between them, which may also follow a base's prefix. */
static int drop_underscores(const char *text, char *out)
{
    bool prefixed = text[0] == '0' && isalpha((unsigned char)text[1]);

    for (size_t i = 0; text[i]; i++) {
        if (text[i] != '_') {
            *out++ = text[i];
            continue;
        }
        if (i == 0 || !isxdigit((unsigned char)text[i + 1]) ||
            !(isxdigit((unsigned char)text[i - 1]) || (prefixed && i == 2)))
            return -EINVAL;
    }
    *out = '\0';
    return 0;
}

static int integer(const char *text, bool negative, int64_t *ret)
{
    int base = 10;
    uint64_t limit = (uint64_t)INT64_MAX + negative, value;
    char *end;

    if (text[0] == '0' && text[1]) {
        int mark = tolower((unsigned char)text[1]);

        base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
        text += base != 8 || mark == 'o' ? 2 : 1;
    }
    if (!isxdigit((unsigned char)*text))
        return -EINVAL;
    errno = 0;
    value = strtoull(text, &end, base);
    if (*end)
        return -EINVAL;
    if (errno || value > limit)
        return -ERANGE;
    *ret = (int64_t)(negative ? 0 - value : value);
    return 0;
}

int tmpl_number(const char *text, bool *ret_is_real, int64_t *ret_integer, double *ret_real)
{
    autofree char *plain = malloc(strlen(text) + 1);
    bool negative = *text == '-', hex;
    char *end;

    *ret_is_real = false;
    if (*text == '\'')
        return character(text, ret_integer);
    if (!plain)
        return -ENOMEM;
    if (drop_underscores(text + (*text == '+' || *text == '-'), plain))
        return -EINVAL;
    hex = plain[0] == '0' && tolower((unsigned char)plain[1]) == 'x';
    if (!strpbrk(plain, hex ? ".pP" : ".eEpP"))
        return integer(plain, negative, ret_integer);
    if ((hex && !strpbrk(plain, "pP")) || (!hex && strpbrk(plain, "pPxX")) ||
        !(isdigit((unsigned char)*plain) || *plain == '.'))
        return -EINVAL;
    *ret_is_real = true;
    *ret_real = strtod(plain, &end) * (negative ? -1 : 1);
    if (*end || end == plain)
        return -EINVAL;
    return isinf(*ret_real) ? -ERANGE : 0;
}
