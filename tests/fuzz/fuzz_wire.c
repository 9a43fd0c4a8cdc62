/* SPDX-License-Identifier: MIT
 *
 * Any bytes as frames of either direction. What decodes must come back the same from its own
 * encoding.
 */
#include <stdlib.h>
#include <string.h>

#include "shared/proto/wire.h"
#include "tests/fuzz/fuzz.h"

static void check_refusal(int r, const struct err *e)
{
    if (e->code != r || !e->text[0])
        abort();
}

static void check_frame(const char *frame, size_t size, const char **ret_payload, size_t *ret_size)
{
    size_t used;

    if (wire_frame(frame, size, ret_payload, ret_size, &used) != 0 || used != size)
        abort();
}

static void try_ctl(const char *payload, size_t size)
{
    char first[WIRE_FRAME_MAX], second[WIRE_FRAME_MAX];
    struct err e = ERR_INIT;
    struct ctl_msg msg;
    size_t n;
    int r = ctl_decode(payload, size, &msg, &e);

    if (r < 0) {
        check_refusal(r, &e);
        return;
    }
    n = ctl_encode(&msg, first);
    check_frame(first, n, &payload, &size);
    if (ctl_decode(payload, size, &msg, &e) < 0 || ctl_encode(&msg, second) != n ||
        memcmp(first, second, n) != 0)
        abort();
}

static void try_evt(const char *payload, size_t size)
{
    char first[WIRE_FRAME_MAX], second[WIRE_FRAME_MAX];
    struct err e = ERR_INIT;
    struct evt_msg msg;
    size_t n;
    int r = evt_decode(payload, size, &msg, &e);

    if (r < 0) {
        check_refusal(r, &e);
        return;
    }
    n = evt_encode(&msg, first);
    check_frame(first, n, &payload, &size);
    if (evt_decode(payload, size, &msg, &e) < 0 || evt_encode(&msg, second) != n ||
        memcmp(first, second, n) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *left = (const char *)data, *payload;
    size_t payload_size, used;

    while (wire_frame(left, size, &payload, &payload_size, &used) == 0) {
        try_ctl(payload, payload_size);
        try_evt(payload, payload_size);
        left += used;
        size -= used;
    }
    return 0;
}
