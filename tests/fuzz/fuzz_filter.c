/* SPDX-License-Identifier: MIT
 *
 * A filter expression, matched against an object with a field of each kind.
 */
#include <stdlib.h>
#include <string.h>

#include "manager/api/filter.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    json_t *object = json_pack("{s:s, s:b, s:i, s:[s,s], s:{s:s}, s:n, s:s}", "ID", "web-1", "Stop",
                               0, "N", 3, "L", "a", "b", "M", "k", "v", "Z", "A",
                               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!");
    struct err e = ERR_INIT;
    struct filter *f;
    int r = filter_parse(text, &f, &e);

    if (!r) {
        r = filter_match(f, object, &e);
        filter_free(f);
    }
    if (r < 0 && e.text[0] == '\0')
        abort();
    json_decref(object);
    free(text);
    return 0;
}
