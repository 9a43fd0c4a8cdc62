/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a manager's order to an executor. What decodes must come back the same from its own
 * encoding.
 */
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/proto/spec.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autofree char *first = NULL, *second = NULL;
    struct exec_spec *spec = NULL, *again = NULL;
    size_t n_first, n_second;
    struct err e = ERR_INIT;
    int r = spec_decode((const char *)data, size, &spec, &e);

    if (r < 0) {
        if (e.code != r || !e.text[0] || spec)
            abort();
        return 0;
    }
    if (spec_encode(spec, &first, &n_first) < 0 || spec_decode(first, n_first, &again, &e) < 0 ||
        spec_encode(again, &second, &n_second) < 0 || n_first != n_second ||
        memcmp(first, second, n_first) != 0)
        abort();
    (void)spec_free(spec);
    (void)spec_free(again);
    return 0;
}
