/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a state file. Its envelope is read as it is; and then with the length and checksum
 * that belong to what stands behind its first line, so that these two are not what stops it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "shared/cleanup.h"
#include "shared/statefile.h"
#include "tests/fuzz/fuzz.h"

static int check(const char *text, size_t size)
{
    uint32_t version;
    size_t start;

    if (statefile_decode(text, size, &version, &start) < 0)
        return -1;
    if (start > size || text[start - 1] != '\n')
        abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *eol = memchr(data, '\n', size);
    size_t left = eol ? (size_t)(data + size - eol) - 1 : 0;
    autofree char *text = malloc(size + 64);
    int n;

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    (void)check(text, size);
    if (!eol)
        return 0;
    n = sprintf(text, "CLEAT-STATE %u %zu %08lx\n", data[0], left, crc32(0, eol + 1, (uInt)left));
    memcpy(text + n, eol + 1, left);
    text[(size_t)n + left] = '\0';
    if (check(text, (size_t)n + left) < 0)
        abort();
    return 0;
}
