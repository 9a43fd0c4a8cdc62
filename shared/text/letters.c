/* SPDX-License-Identifier: MIT
 *
 * Upper and lower case of Unicode's letters, by the C library, whatever the locale is.
 */
#include "shared/text/letters.h"

#include <locale.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

/* U+FFFD and one byte for what is no character. */
static uint32_t next_character(const char *at, const char *end, size_t *ret_size)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)*at;
    size_t n = first < 0x80   ? 1
               : first < 0xc2 ? 0
               : first < 0xe0 ? 2
               : first < 0xf0 ? 3
               : first < 0xf5 ? 4
                              : 0;
    uint32_t c = n < 2 ? first : first & (0x7fU >> n);

    *ret_size = 1;
    if (!n || (size_t)(end - at) < n)
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

static char *put_character(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
        return to;
    }
    if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *to++ = (char)(0xe0 | c >> 12);
        } else {
            *to++ = (char)(0xf0 | c >> 18);
            *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        }
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    *to++ = (char)(0x80 | (c & 0x3f));
    return to;
}

static uint32_t in_case(uint32_t c, bool upper)
{
    static locale_t unicode;

    if (!unicode)
        unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
    if (!unicode)
        return (uint32_t)(upper ? towupper(c) : towlower(c));
    return (uint32_t)(upper ? towupper_l(c, unicode) : towlower_l(c, unicode));
}

/* A letter behind one of these begins a word. */
static bool is_separator(uint32_t c)
{
    if (c >= 0x80)
        return c == 0x85 || c == 0xa0;
    return !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             c == '_');
}

char *letters_map(const char *text, size_t size, enum letters_case to, size_t *ret_size)
{
    char *made = malloc(4 * size + 1), *out = made;
    const char *end = text + size;
    uint32_t before = ' ';
    size_t n;

    if (!made)
        return NULL;
    for (; text < end; text += n) {
        uint32_t c = next_character(text, end, &n);

        if (to == LETTERS_TITLE)
            out = put_character(out, is_separator(before) ? in_case(c, true) : c);
        else
            out = put_character(out, in_case(c, to == LETTERS_UPPER));
        before = c;
    }
    *out = '\0';
    *ret_size = (size_t)(out - made);
    return made;
}
