/* SPDX-License-Identifier: MIT
 *
 * Any bytes as frames of a followed log. How they are cut into pieces makes no difference.
 */
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"
#include "tools/cleat/logframe.h"

struct total {
    size_t frames, bytes;
    int64_t numbers;
};

static int count(void *arg, const struct log_frame *frame)
{
    struct total *total = arg;

    if (frame->number < 0 || (frame->size && !frame->data))
        abort();
    total->frames++;
    total->bytes += frame->size;
    total->numbers ^= frame->number;
    return 0;
}

/* In pieces of `step` bytes. */
static int feed(const uint8_t *data, size_t size, size_t step, struct total *total)
{
    struct log_frames frames = {0};
    int r = 0;

    for (size_t at = 0; !r && at < size; at += step)
        r = log_frames_feed(&frames, (const char *)data + at, size - at < step ? size - at : step,
                            count, total);
    log_frames_reset(&frames);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct total whole = {0}, pieces = {0};
    int r = feed(data, size, size ? size : 1, &whole);

    if (feed(data, size, 7, &pieces) != r || whole.frames != pieces.frames ||
        whole.bytes != pieces.bytes || whole.numbers != pieces.numbers)
        abort();
    return 0;
}
