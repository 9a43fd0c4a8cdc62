/* SPDX-License-Identifier: MIT
 *
 * A reply that reads on as its file grows: plain bytes, or Nomad's JSON frames
 * {"Offset", "Data" (base64), "File", "FileEvent"} with {} as a sign of life each second.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>

#include "manager/api/request.h"
#include "manager/host/watch.h"

enum {
    TAIL_FRAME_MAX = 64 << 10
};

/* Where bytes come from. */
struct tail_piece {
    uint64_t offset;   /* in its file, of the piece's first byte */
    const char *event; /* "file deleted", "file truncated": something happened; no bytes then */
    uint64_t lost_segments; /* … to so many, beginning with the file */
    bool place;             /* only tells where the stream is; no bytes then */
};

/* Embedded at the start of its owner, which fills in the functions, follow, framed (and file,
 * unless next() does) and calls tail_start(). */
struct tail {
    struct source source; /* first */
    /* Up to `size` bytes. 0: nothing now, or an event or a place in `piece`. -EINPROGRESS: ask
     * again in the next turn of the loop. Another negative errno. */
    ssize_t (*next)(struct tail *t, char *buf, size_t size, struct tail_piece *piece);
    /* Nothing is written any more: what next() has not given by now is all there will be. */
    bool (*over)(struct tail *t);
    void (*deinit)(struct tail *t); /* of the owner's part; the owner's memory is freed after it */

    struct request *request;
    bool follow, framed;
    bool quiet;     /* no heartbeat */
    char file[512]; /* for frames; next() may change it */
    bool ended;
    bool beat; /* a heartbeat is due */
    ev_timer heartbeat;
    struct watch watch;
};

/* Follows another file from now on. */
void tail_rewatch(struct tail *t, int fd);

/* Makes `t` the reply of `r`. Follows the open `fd` when t->follow. */
void tail_start(struct tail *t, struct request *r, int fd);

/* Writes one frame and returns its length; 0 when memory is short. `data` may lie at the very end
 * of `buf`, if that has room for the whole frame. */
size_t frame_encode(char *buf, size_t size, const char *file, const struct tail_piece *piece,
                    const char *data, size_t n);
