/* SPDX-License-Identifier: MIT
 *
 * YAML: any bytes give a value or an error with a text; what is written of a value, read again, is
 * written the same (84.0 becomes 84 on the way). The first byte says which way.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/text/yaml.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum yaml_as as = size && *data % 2 ? YAML_AS_TEMPLATE : YAML_AS_HCL;
    json_t *value = NULL, *again = NULL;
    struct err e = ERR_INIT;
    char *text = NULL, *same = NULL;
    size_t n;

    if (!size)
        return 0;
    if (yaml_read((const char *)data + 1, size - 1, as, &value, &e) < 0) {
        if (!e.text[0])
            abort();
        return 0;
    }
    if (yaml_write(value, as, &text, &n) < 0)
        abort();
    if (yaml_read(text, n, as, &again, &e) == 0 &&
        (yaml_write(again, as, &same, &n) < 0 || strcmp(text, same) != 0))
        abort();
    free(text);
    free(same);
    json_decref(again);
    json_decref(value);
    return 0;
}
