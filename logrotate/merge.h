/* SPDX-License-Identifier: MIT
 *
 * Reads one or both streams of a task, in order of arrival as far as it is known. Segments have no
 * times in them, so what is known of two streams is when their segments were last written:
 *
 * - within a stream the order is exact;
 * - of what was there before, the segment that was finished first comes first, as a whole;
 * - of what is written while it is followed, what came since the last call comes in the order of
 *   the last writes;
 * - the other stream does not interrupt a line, but where the rest of the line is late, or long.
 */
#pragma once

#include "logrotate/reader.h"

enum merge_stream {
    MERGE_STDOUT,
    MERGE_STDERR,
    MERGE_STREAM_N
};

struct log_merge {
    struct log_reader readers[MERGE_STREAM_N];
    bool wanted[MERGE_STREAM_N]; /* these are open */
    enum merge_stream last;      /* who gave the last bytes */
    size_t unfinished;           /* how much of a line it has given */
};

#define LOG_MERGE_INIT                                                                             \
    {                                                                                              \
        .readers = { LOG_READER_INIT, LOG_READER_INIT }                                            \
    }

/* "stdout", "stderr" */
const char *merge_stream_name(enum merge_stream stream);

/* Opens those streams of `task` that have a start. Errors as reader_open(). */
int merge_open(struct log_merge *m, int dirfd, const char *task,
               const struct reader_start *const starts[MERGE_STREAM_N], struct err *e);

/* As reader_stop_at_end(), for all streams. */
int merge_stop_at_end(struct log_merge *m, struct err *e);

/* As reader_find_start(), for all streams. */
int merge_find_starts(struct log_merge *m, struct err *e);

/* As reader_read(). *ret_stream is whose bytes or whose gap it is. */
int merge_read(struct log_merge *m, char *buf, size_t size, size_t *ret_n,
               enum merge_stream *ret_stream, struct err *e);

/* As reader_change_dir(), for all streams. */
int merge_change_dir(struct log_merge *m, int dirfd, struct err *e);

void merge_close(struct log_merge *m);
