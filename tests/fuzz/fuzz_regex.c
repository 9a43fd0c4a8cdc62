/* SPDX-License-Identifier: MIT
 *
 * Regular expressions: three lines, the expression, the replacement, the text. Any bytes give a
 * result or an error with a text, in bounded time.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/text/regex.h"
#include "tests/fuzz/fuzz.h"

static size_t left;

static int spend(void *context, const char *bytes, size_t size)
{
    (void)context;
    (void)bytes;
    if (left < size + 16)
        return -E2BIG;
    left -= size + 16;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *pattern = (const char *)data, *end = pattern + size, *to, *text;
    struct err e = ERR_INIT;
    struct regex *re;

    to = memchr(pattern, '\n', size);
    text = to ? memchr(to + 1, '\n', (size_t)(end - to - 1)) : NULL;
    if (!text)
        return 0;
    if (regex_new(pattern, (size_t)(to - pattern), 10000, &re, &e) < 0) {
        if (!e.text[0])
            abort();
        return 0;
    }
    left = 1 << 16;
    (void)regex_replace(re, text + 1, (size_t)(end - text - 1), to + 1, (size_t)(text - to - 1),
                        spend, spend, NULL);
    (void)regex_free(re);
    return 0;
}
