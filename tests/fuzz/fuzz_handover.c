/* SPDX-License-Identifier: MIT
 *
 * executor/handover: whatever another release left in the memfd, as it is and with a status slot
 * whose header fits. What is accepted is written down again and must read back the same.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "executor/handover.h"
#include "shared/cleanup.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/slot.h"

/* Seals the slot, the third part behind its length. */
static void seal_status(char *data, size_t size)
{
    for (int part = 0; part < 3; part++) {
        uint64_t length;

        if (size < sizeof(length))
            return;
        memcpy(&length, data, sizeof(length));
        data += sizeof(length);
        size -= sizeof(length);
        if (length > size)
            return;
        if (part == 2 && length >= SLOT_HEADER_BYTES)
            slot_seal(data, length);
        data += length;
        size -= length;
    }
}

static void check(const char *data, size_t size)
{
    struct exec_spec *spec = NULL, *again_spec = NULL;
    struct task_status status, again_status;
    struct handover h, again;
    struct err e = ERR_INIT;
    autofd int fd = -1;

    if (handover_decode(data, size, &h, &spec, &status, &e) < 0) {
        assert(e.text[0] && !spec);
        return;
    }
    assert(handover_write(&h, spec, &status, &fd, &e) == 0);
    assert(handover_read(fd, &again, &again_spec, &again_status, &e) == 0);
    assert(again.child_pid == h.child_pid && again.life.state == h.life.state);
    assert(again_status.seq == status.seq);
    for (size_t i = 0; i < HANDOVER_STREAMS; i++) {
        assert(again.held[i].size == h.held[i].size);
        assert(h.version < 2 || memcmp(again.held[i].data, h.held[i].data, h.held[i].size) == 0);
    }
    handover_free_held(&h);
    handover_free_held(&again);
    (void)spec_free(spec);
    (void)spec_free(again_spec);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autofree char *copy = malloc(size + 1);

    if (!copy)
        return 0;
    memcpy(copy, data, size);
    check(copy, size);
    seal_status(copy, size);
    check(copy, size);
    return 0;
}
