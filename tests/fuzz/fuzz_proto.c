/* SPDX-License-Identifier: MIT
 *
 * The decoders of shared/proto. The first byte of an input picks one; what decodes must encode
 * again.
 */
#include <stdlib.h>

#include "shared/cleanup.h"
#include "shared/proto/spec.h"
#include "shared/proto/status.h"
#include "shared/proto/wire.h"
#include "tests/fuzz/fuzz.h"

static void try_spec(const char *data, size_t size)
{
    autofree char *again = NULL;
    struct exec_spec *spec;
    size_t again_size;
    struct err e;

    if (spec_decode(data, size, &spec, &e) < 0)
        return;
    if (spec_encode(spec, &again, &again_size) < 0)
        abort();
    spec_free(spec);
}

static void try_status(const char *data, size_t size)
{
    char slot[STATUS_SLOT_BYTES];
    struct task_status status;
    struct err e;

    if (status_decode(data, size, &status, &e) == 0)
        (void)status_encode(&status, slot);
}

static void try_frames(const char *data, size_t size)
{
    const char *payload;
    size_t payload_size, consumed;

    while (wire_frame(data, size, &payload, &payload_size, &consumed) == 0) {
        char frame[WIRE_FRAME_MAX];
        struct ctl_msg ctl;
        struct evt_msg evt;
        struct err e;

        if (ctl_decode(payload, payload_size, &ctl, &e) == 0)
            (void)ctl_encode(&ctl, frame);
        if (evt_decode(payload, payload_size, &evt, &e) == 0)
            (void)evt_encode(&evt, frame);
        data += consumed;
        size -= consumed;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(const char *, size_t) = {try_spec, try_status, try_frames};

    if (size > 0 && data[0] < sizeof(tries) / sizeof(tries[0]))
        tries[data[0]]((const char *)data + 1, size - 1);
    return 0;
}
