/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a slot of the status record: as they are, and with a header that fits them. What
 * decodes must come back the same from its own encoding.
 */
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/proto/status.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/slot.h"

static void check_slot(const char *slot, size_t size)
{
    char first[STATUS_SLOT_BYTES], second[STATUS_SLOT_BYTES];
    struct task_status status, again;
    struct err e = ERR_INIT;
    int r = status_decode(slot, size, &status, &e);
    size_t n;

    if (r < 0) {
        if (e.code != r || !e.text[0])
            abort();
        return;
    }
    n = status_encode(&status, first);
    if (status_decode(first, n, &again, &e) < 0 || status_encode(&again, second) != n ||
        memcmp(first, second, n) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autofree char *slot = malloc(size + 1);

    if (!slot)
        return 0;
    memcpy(slot, data, size);
    check_slot(slot, size);
    if (size < SLOT_HEADER_BYTES)
        return 0;
    slot_seal(slot, size);
    check_slot(slot, size);
    return 0;
}
