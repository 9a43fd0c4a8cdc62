/* SPDX-License-Identifier: MIT */
#include "manager/template/base64.h"

#include <errno.h>
#include <stdint.h>

static int sextet(char c, bool url)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (url ? '-' : '+'))
        return 62;
    return c == (url ? '_' : '/') ? 63 : -1;
}

int base64_decode(const char *in, size_t size, bool url, char *out, size_t *ret_size)
{
    uint32_t group = 0;
    size_t n = 0, padding = 0, used = 0;

    for (size_t i = 0; i < size; i++) {
        int six = sextet(in[i], url);

        if (in[i] == '\n' || in[i] == '\r')
            continue;
        if (in[i] == '=' && n % 4 >= 2)
            padding++;
        else if (six < 0 || padding)
            return -EINVAL;
        group = group << 6 | (uint32_t)(six < 0 ? 0 : six);
        if (++n % 4)
            continue;
        for (size_t j = 0; j + padding < 3; j++)
            out[used++] = (char)(group >> (16 - 8 * j));
        group = 0;
        if (padding) {
            for (i++; i < size; i++)
                if (in[i] != '\n' && in[i] != '\r')
                    return -EINVAL;
        }
    }
    *ret_size = used;
    return n % 4 ? -EINVAL : 0;
}
