/* SPDX-License-Identifier: MIT
 *
 * Each call asks first the stream whose segment was written to the longest ago. A reader that goes
 * on to its next segment says so (READER_BUSY), and then the choice is made anew.
 *
 * After bytes that end inside a line, the same stream is asked first, and what it gives is cut
 * after the first newline, so that the other one gets its turn.
 */
#include "logrotate/merge.h"

#include <stdio.h>
#include <string.h>

enum {
    LINE_MAX_BYTES = 64 << 10 /* a longer line may be interrupted */
};

const char *merge_stream_name(enum merge_stream stream)
{
    return stream == MERGE_STDOUT ? "stdout" : "stderr";
}

int merge_open(struct log_merge *m, int dirfd, const char *task,
               const struct reader_start *const starts[MERGE_STREAM_N], struct err *e)
{
    *m = (struct log_merge)LOG_MERGE_INIT;
    for (size_t i = 0; i < MERGE_STREAM_N; i++) {
        char name[SEGMENT_NAME_MAX];
        int rc;

        if (!starts[i])
            continue;
        (void)snprintf(name, sizeof(name), "%s.%s", task, merge_stream_name(i));
        rc = reader_open(&m->readers[i], dirfd, name, starts[i], e);
        if (rc < 0) {
            merge_close(m);
            return rc;
        }
        m->wanted[i] = true;
    }
    return 0;
}

int merge_stop_at_end(struct log_merge *m, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < MERGE_STREAM_N; i++)
        if (m->wanted[i])
            rc = reader_stop_at_end(&m->readers[i], e);
    return rc;
}

int merge_change_dir(struct log_merge *m, int dirfd, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < MERGE_STREAM_N; i++)
        if (m->wanted[i])
            rc = reader_change_dir(&m->readers[i], dirfd, e);
    return rc;
}

static bool has_both(const struct log_merge *m)
{
    return m->wanted[MERGE_STDOUT] && m->wanted[MERGE_STDERR];
}

static enum merge_stream choose(const struct log_merge *m)
{
    if (m->unfinished)
        return m->last;
    if (!has_both(m))
        return m->wanted[MERGE_STDOUT] ? MERGE_STDOUT : MERGE_STDERR;
    return reader_written_ns(&m->readers[MERGE_STDERR]) <
                   reader_written_ns(&m->readers[MERGE_STDOUT])
               ? MERGE_STDERR
               : MERGE_STDOUT;
}

/* `n` bytes were read from `stream`. Takes back what has to wait, and returns how many are left. */
static size_t end_line(struct log_merge *m, enum merge_stream stream, const char *buf, size_t n)
{
    bool goes_on = m->unfinished && stream == m->last;
    const char *newline = goes_on ? memchr(buf, '\n', n) : NULL;
    size_t taken = newline ? (size_t)(newline - buf) + 1 : n;

    reader_unread(&m->readers[stream], n - taken);
    if (!goes_on)
        newline = memrchr(buf, '\n', taken);
    m->unfinished = newline || !goes_on ? 0 : m->unfinished;
    m->unfinished += newline ? (size_t)(buf + taken - newline - 1) : taken;
    if (m->unfinished > LINE_MAX_BYTES)
        m->unfinished = 0;
    m->last = stream;
    return taken;
}

int merge_find_starts(struct log_merge *m, struct err *e)
{
    int rc = READER_DATA;

    for (size_t i = 0; rc == READER_DATA && i < MERGE_STREAM_N; i++)
        if (m->wanted[i])
            rc = reader_find_start(&m->readers[i], e);
    return rc;
}

int merge_read(struct log_merge *m, char *buf, size_t size, size_t *ret_n,
               enum merge_stream *ret_stream, struct err *e)
{
    enum merge_stream stream;
    size_t n = 0;
    int rc = merge_find_starts(m, e);

    if (rc != READER_DATA)
        return rc;
    rc = READER_IDLE;
    stream = choose(m);
    for (int i = 0; i < MERGE_STREAM_N && rc == READER_IDLE; i++) {
        *ret_stream = i ? !stream : stream;
        if (m->wanted[*ret_stream])
            rc = reader_read(&m->readers[*ret_stream], buf, size, &n, e);
    }
    if (rc == READER_DATA)
        *ret_n = has_both(m) ? end_line(m, *ret_stream, buf, n) : n;
    return rc;
}

void merge_close(struct log_merge *m)
{
    for (size_t i = 0; i < MERGE_STREAM_N; i++)
        reader_close(&m->readers[i]);
    *m = (struct log_merge)LOG_MERGE_INIT;
}
