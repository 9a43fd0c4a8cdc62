/* SPDX-License-Identifier: MIT
 *
 * What a directory of segments has to be rid of by age and by size, and when to look again. (The
 * writer itself keeps to max_files.) The live segment of a stream is never touched. An entry that
 * cannot be removed or looked at stands in nobody's way: it is left, and tried again next time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 0 or false: no such rule. */
struct trim_rules {
    uint32_t max_files;         /* for what came back behind the writer's back */
    uint64_t max_age_ns;        /* since a segment was last written */
    uint64_t max_total_bytes;   /* all streams together, live segments too; oldest go first,
                                 * each stream's by number */
    bool compress;              /* finished segments get compressed … */
    uint64_t compress_after_ns; /* … so long after they were last written */
};

enum {
    TRIM_STREAMS = 2 /* at most */
};

struct trim_stream {
    const char *name;
    int64_t live; /* number of the live segment; -1: not known, the stream is left alone */
};

struct trim_result {
    bool compress;    /* a segment is due for compression now */
    uint64_t next_ns; /* CLOCK_REALTIME at which the next thing is due; 0: nothing will be */
};

/* `now_ns`: CLOCK_REALTIME. Negative errno where a directory cannot be listed. */
int trim_look(int dirfd, const struct trim_rules *rules, const struct trim_stream *streams,
              size_t n, uint64_t now_ns, struct trim_result *ret_result);
