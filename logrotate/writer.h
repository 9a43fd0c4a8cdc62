/* SPDX-License-Identifier: MIT
 *
 * Writes one stream into rotated segments. No I/O but open, write and unlink in one directory; no
 * allocation; never blocks beyond write(2) to a regular file.
 *
 * Contract: the concatenation of the segments is the input. No segment exceeds max_size. A line of
 * at most writer_line_window() bytes is never cut; a longer one may be cut, only exactly at
 * max_size. Everything accepted by writer_write() is in a file when it returns, except a tail of a
 * line that it says it left (see below), which the caller keeps and offers again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "logrotate/segment.h"
#include "shared/err.h"

struct log_writer {
    int dirfd;        /* borrowed */
    const char *name; /* borrowed */
    uint64_t max_size;
    uint32_t max_files;
    int fd;               /* live segment, O_APPEND, -1 while closed */
    int64_t number;       /* of the live segment */
    uint64_t size;        /* of the live segment */
    bool line_open;       /* the last byte written was not a newline */
    bool gap;             /* bytes were dropped after what the live segment holds */
    int64_t after_gap;    /* the last segment that has a number left out before it, or -1 */
    unsigned int refused; /* times in a row that it had to wait for room */
    uint64_t written;     /* bytes written since writer_open() */
    uint64_t lost;        /* bytes dropped by writer_drop() */
};

#define LOG_WRITER_INIT                                                                            \
    {                                                                                              \
        .dirfd = -1, .fd = -1, .number = -1, .after_gap = -1                                       \
    }

/* Opens (or continues) the newest segment of `name` in `dirfd` and trims: segments numbered
 * max_files or more below it go. max_size and max_files must be >= 1. Only regular files with one
 * name are written to: a symbolic link, a hard link or a directory in a segment's place is skipped
 * over. Negative errno with `e`. */
int writer_open(struct log_writer *w, int dirfd, const char *name, uint64_t max_size,
                uint32_t max_files, struct err *e);

/* Other limits from now on: what is too old by them goes, and the live segment ends where it is too
 * large. Both >= 1. */
void writer_set_limits(struct log_writer *w, uint64_t max_size, uint32_t max_files);

/* Writes from `data`. `more`: further bytes are at hand, so a partial line near the cut may be left
 * for the caller to offer again with what follows; never more than writer_line_window() bytes are.
 * Returns the number of bytes consumed (all of `size` when !more), or a negative errno when the
 * next byte cannot be written now (-ENOSPC, -EDQUOT, -EIO, -EROFS …; a segment that may not get
 * larger is followed by the next, and later ones end there). *ret_done is the number of
 * bytes consumed in either case. After an error a later call simply tries again. No bytes: only
 * opens the segment that the next ones go to. */
ssize_t writer_write(struct log_writer *w, const char *data, size_t size, bool more,
                     size_t *ret_done);

/* Accounts for `size` bytes the caller had to throw away. What is written next goes to a new
 * segment, with one number left out before it: readers see that something is missing, and pieces of
 * two lines never look like one. */
void writer_drop(struct log_writer *w, uint64_t size);

/* The directory behind `dirfd` may be another one now, or the live segment gone from it. The next
 * write goes to the newest segment there, or to a new one; numbers do not go back. */
void writer_look_again(struct log_writer *w);

enum {
    WRITER_LINE_WINDOW_MAX = 64 * 1024
};

/* The longest line that is never cut: min(64 KiB, max_size / 4). */
static inline uint64_t writer_line_window(const struct log_writer *w)
{
    uint64_t window = w->max_size / 4;

    return window < WRITER_LINE_WINDOW_MAX ? window : WRITER_LINE_WINDOW_MAX;
}

/* How many bytes, whatever they are, the caller may write to w->fd himself, who then says so by
 * writer_wrote(): 0 where no segment is open, or its end is near. */
static inline uint64_t writer_room(const struct log_writer *w)
{
    uint64_t kept = w->size + writer_line_window(w);

    return w->fd < 0 || w->gap || kept > w->max_size ? 0 : w->max_size - kept;
}

/* Accounts for `size` bytes, more than none, that are in the live segment; `last` of them. */
static inline void writer_wrote(struct log_writer *w, uint64_t size, char last)
{
    w->size += size;
    w->written += size;
    w->line_open = last != '\n';
}

/* Closes the segment; the struct is as LOG_WRITER_INIT after it. */
void writer_close(struct log_writer *w);
