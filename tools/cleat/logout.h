/* SPDX-License-Identifier: MIT
 *
 * What alloc logs and logcat share: their options, and the way out of a task's bytes.
 */
#pragma once

#include "logrotate/merge.h"
#include "tools/cleat/cli.h"

struct log_options {
    bool wanted[MERGE_STREAM_N];
    struct reader_start start;
    bool mid_line[MERGE_STREAM_N]; /* the last byte that was put was no newline */
};

/* What -stdout, -stderr, -f, -tail, -n, -c and -since say. CLI_USAGE where they do not fit. */
int log_options_parse(const struct cli *cli, struct log_options *ret_options);

/* Writes a task's bytes: standard error to ours where both streams are shown, else to stdout.
 * Negative errno. */
int log_put(struct log_options *o, enum merge_stream stream, const char *data, size_t size);

/* Tells that segments are missing here. A line that was put in part ends here. */
void log_tell_gap(struct log_options *o, const char *task, enum merge_stream stream, int64_t first,
                  uint64_t segments, bool damaged);
