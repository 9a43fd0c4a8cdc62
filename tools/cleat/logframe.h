/* SPDX-License-Identifier: MIT
 *
 * The frames of /v1/client/fs/logs as they come: JSON objects one after the other,
 * {"File", "Offset", "Data" (base64), "FileEvent", "LostSegments"}; {} is a sign of life. Pure over
 * buffers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "logrotate/merge.h"

enum {
    LOG_FRAME_MAX = 1 << 20
};

struct log_frame {
    enum merge_stream stream;
    int64_t number;  /* of the segment */
    uint64_t offset; /* in it, of the first byte */
    const char *data;
    size_t size;
    const char *event; /* or NULL */
    uint64_t lost_segments;
};

/* What is left of the last call's bytes. Zeroed before the first. */
struct log_frames {
    char *text;
    size_t size, seen; /* `seen` of them were looked at */
    unsigned int depth;
    bool in_string, escaped;
};

/* Takes in bytes and calls `found` for each frame that names a segment of a stream. Whatever else
 * is in a frame is skipped. `found` ends it with a negative return, which is returned. -EBADMSG:
 * these are no such frames; -ENOMEM. */
int log_frames_feed(struct log_frames *f, const char *data, size_t size,
                    int (*found)(void *arg, const struct log_frame *frame), void *arg);

/* Forgets what was left. */
void log_frames_reset(struct log_frames *f);
