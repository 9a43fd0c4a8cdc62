/* SPDX-License-Identifier: MIT
 *
 * The messages of alloc exec over a WebSocket, as Nomad has them: one JSON object each.
 *
 *   client  {"stdin": {"data": BASE64, "close": BOOL}}, {"tty_size": {"height": N, "width": N}}, {}
 *   server  {"stdout" or "stderr": {"data": BASE64, "close": BOOL}},
 *           {"exited": true, "result": {"exit_code": N}}
 *
 * {} is a sign of life. Unknown keys are skipped. Pure over buffers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "shared/err.h"
#include "shared/proto/exec.h"

enum exec_stream {
    EXEC_STDIN,
    EXEC_STDOUT,
    EXEC_STDERR,
    EXEC_STREAM_N
};

enum {
    EXEC_FRAME_DATA_MAX = 32 << 10, /* what we put into one message */
    EXEC_FRAME_MAX = 48 << 10,      /* the longest message that gives */
    EXEC_FRAME_RECEIVE_MAX = 1 << 20,
};

struct exec_data {
    char *data; /* malloc'ed by the decoder; NULL: none */
    size_t size;
    bool close; /* nothing follows */
};

struct exec_frame {
    struct exec_data streams[EXEC_STREAM_N];
    bool has_size;
    struct exec_size size;
    bool exited;
    int exit_code;
};

/* Writes the message for what is set in `frame`: one stream (at most EXEC_FRAME_DATA_MAX bytes), or
 * the size, or the exit, or nothing, which is {}. Returns its length. */
size_t exec_frame_encode(const struct exec_frame *frame, char buf[EXEC_FRAME_MAX]);

/* -EBADMSG with what is wrong in `e`; -ENOMEM. On success the caller deinits the frame. */
int exec_frame_decode(const char *text, size_t size, struct exec_frame *ret_frame, struct err *e);
void exec_frame_deinit(struct exec_frame *frame);
