/* SPDX-License-Identifier: MIT
 *
 * Reads one stream back from its segments, plain or compressed, across rotations, while it is being
 * written. Pure reads: nothing is locked, nobody is told. The caller decides when to look again
 * (inotify on the directory).
 *
 * No call does more than about INPUT_STEP bytes of work, however large the segments are: what takes
 * longer, such as finding the last lines, is spread over calls that return READER_BUSY.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "logrotate/input.h"
#include "logrotate/segment.h"
#include "shared/err.h"

/* Where to start. Segments that exist when the reader is opened count. */
enum reader_origin {
    READER_START, /* `count` bytes after the oldest byte there is, Nomad's origin=start */
    READER_END,   /* `count` bytes before the newest, origin=end */
    READER_LINES, /* the last `count` lines */
    READER_SINCE, /* the oldest segment that was last written at `since_ns` (CLOCK_REALTIME) or
                   * later: more than asked for, by what that segment holds from before */
    READER_PLACE, /* byte `count` of segment `number`: where another reader was */
};

struct reader_start {
    enum reader_origin origin;
    uint64_t count;
    uint64_t since_ns;
    int64_t number;
};

struct reader_search;

struct log_reader {
    int dirfd; /* owned (dup of the caller's) */
    char name[SEGMENT_STREAM_MAX];
    struct segment_input in;      /* the segment being read */
    int64_t number;               /* its number; where none is open, the next has a higher one */
    struct reader_search *search; /* for the start; NULL: found */
    bool moved;                   /* to another directory, of which nothing was read yet */
    bool newest;                  /* a listing showed no higher number than this one */
    int64_t end_number;           /* reader_stop_at_end(): the last segment, … */
    uint64_t end_offset;          /* … and where in it to stop */
    /* READER_GAP: what was not read; the first of them perhaps in part. */
    int64_t lost_first;
    uint64_t lost_segments;
    bool damaged; /* it cannot be unpacked; else they were trimmed before they could be read */
    bool gap_due; /* found by the search, and not told yet */
};

#define LOG_READER_INIT                                                                            \
    {                                                                                              \
        .dirfd = -1, .in = SEGMENT_INPUT_INIT, .number = -1, .end_number = INT64_MAX               \
    }

enum reader_result {
    READER_DATA, /* *ret_n bytes, at least one */
    READER_IDLE, /* all that is there now is read */
    READER_BUSY, /* something was done, more is to do: call again */
    READER_GAP,  /* something is missing between the last byte and the next: see lost_segments */
};

/* Opens nothing but the directory. No segment yet is fine. */
int reader_open(struct log_reader *r, int dirfd, const char *name, const struct reader_start *start,
                struct err *e);

/* Reading ends where the stream ends now. Without it READER_IDLE is only for now. */
int reader_stop_at_end(struct log_reader *r, struct err *e);

/* Looks for the start. READER_DATA: it is found, r->number and r->in.offset tell; READER_BUSY;
 * negative errno. */
int reader_find_start(struct log_reader *r, struct err *e);

/* Reads up to `size` bytes, never across a segment's end. Returns an enum reader_result or a
 * negative errno. */
int reader_read(struct log_reader *r, char *buf, size_t size, size_t *ret_n, struct err *e);

/* Takes back the last `n` bytes of what the last call gave. */
void reader_unread(struct log_reader *r, size_t n);

/* After READER_IDLE: goes on in another directory, with the oldest segment there. */
int reader_change_dir(struct log_reader *r, int dirfd, struct err *e);

/* When the segment being read was last written, CLOCK_REALTIME; 0 while there is none. */
uint64_t reader_written_ns(const struct log_reader *r);

/* Where the next byte comes from, for READER_PLACE. Only once the start is found. */
void reader_place(const struct log_reader *r, int64_t *ret_number, uint64_t *ret_offset);

void reader_close(struct log_reader *r);
