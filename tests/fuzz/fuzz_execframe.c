/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a message of alloc exec. What is accepted must come back the same from its own
 * encoding, as far as that holds one thing; what is refused must say why.
 */
#include <stdlib.h>
#include <string.h>

#include "shared/execframe.h"
#include "tests/fuzz/fuzz.h"

static void check_stream(const struct exec_data *data, enum exec_stream stream)
{
    static char buf[EXEC_FRAME_MAX];
    struct exec_frame frame = {0}, back;

    frame.streams[stream] = *data;
    if (data->size > EXEC_FRAME_DATA_MAX)
        frame.streams[stream].size = EXEC_FRAME_DATA_MAX;
    if (exec_frame_decode(buf, exec_frame_encode(&frame, buf), &back, NULL) < 0 ||
        back.streams[stream].size != frame.streams[stream].size ||
        back.streams[stream].close != data->close ||
        (back.streams[stream].size &&
         memcmp(back.streams[stream].data, data->data, back.streams[stream].size) != 0))
        abort();
    exec_frame_deinit(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct exec_frame frame;
    struct err e = ERR_INIT;
    int r = exec_frame_decode((const char *)data, size, &frame, &e);

    if (r < 0) {
        if (e.code != r || !e.text[0])
            abort();
        return 0;
    }
    for (int i = 0; i < EXEC_STREAM_N; i++)
        check_stream(&frame.streams[i], (enum exec_stream)i);
    exec_frame_deinit(&frame);
    return 0;
}
