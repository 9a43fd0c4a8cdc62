/* SPDX-License-Identifier: MIT
 *
 * Reads one stream back from its segments, across rotations, while it is being written. Pure reads:
 * nothing is locked, nobody is told. The caller decides when to look again (inotify, a timer).
 *
 * A segment that was trimmed while being read is still read to its end (the descriptor is open); if
 * segments were trimmed before they were opened, the reader goes on at the oldest one left and
 * counts the gap in `skipped`.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "logrotate/segment.h"
#include "shared/err.h"

enum reader_origin {
    READER_ORIGIN_START,
    READER_ORIGIN_END
};

struct log_reader {
    int dirfd; /* owned (dup of the caller's) */
    char name[SEGMENT_STREAM_MAX];
    int fd;           /* segment being read, -1 before the first exists */
    int64_t number;   /* its number, -1 before the first */
    uint64_t offset;  /* of the next byte in it */
    uint64_t skipped; /* segments that were gone before they could be read */
};

#define LOG_READER_INIT                                                                            \
    {                                                                                              \
        .dirfd = -1, .fd = -1, .number = -1                                                        \
    }

/* Starts `offset` bytes from the origin, over all segments that exist now (Nomad's meaning of
 * offset and origin). No segment yet is fine. */
int reader_open(struct log_reader *r, int dirfd, const char *name, enum reader_origin origin,
                uint64_t offset, struct err *e);

/* Starts at the last `lines` lines. */
int reader_open_tail(struct log_reader *r, int dirfd, const char *name, uint64_t lines,
                     struct err *e);

/* Reads up to `size` bytes, never across a segment's end. Returns bytes read; 0 when all that is
 * there now is read; negative errno. r->number and r->offset (after the read) tell where it was. */
ssize_t reader_read(struct log_reader *r, char *buf, size_t size, struct err *e);

void reader_close(struct log_reader *r);
