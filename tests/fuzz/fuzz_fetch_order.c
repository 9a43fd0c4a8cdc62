/* SPDX-License-Identifier: MIT
 *
 * Any bytes as the manager's order to cleat-fetch; and, where they are one, its source and options.
 */
#include <stdlib.h>
#include <string.h>

#include "manager/fetch/order.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    struct fetch_order order = {0};
    struct err e = ERR_INIT;
    int r;

    if (!json_is_object(json)) {
        json_decref(json);
        return 0;
    }
    r = fetch_order_read(json, &order, &e);
    if (r ? e.code != r || !e.text[0] : !*order.source.url)
        abort();
    /* It is a name in a directory that nothing may lead out of. */
    if (!r && (strchr(order.source.filename, '/') || !*order.source.filename ||
               strcmp(order.source.filename, "..") == 0))
        abort();
    json_decref(json);
    fetch_order_deinit(&order);
    return 0;
}
