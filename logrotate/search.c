/* SPDX-License-Identifier: MIT
 *
 * A search walks over the segments listed when it began, from the oldest or from the newest. In
 * each it first looks (how many bytes, how many lines), then either goes on to the next one, with
 * fewer left to pass, or skips within it to the place that was found. What a plain file holds, its
 * size tells, and its last lines are found from its end. A compressed one has to be unpacked, once
 * to look and, where the start lies in it, once more to get there.
 *
 * A segment that was trimmed meanwhile is passed over.
 */
#include "logrotate/search.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/clock.h"

struct reader_search {
    struct reader_start start;
    int64_t *numbers; /* ascending */
    size_t n, next;   /* how many of them were opened */
    enum {
        STEP_OPEN,
        STEP_LOOK,
        STEP_SKIP
    } step;
    uint64_t left; /* bytes or lines still to pass */
    bool end_seen; /* lines: the last byte of all was looked at */

    /* The segment that is open. */
    uint64_t size;     /* known once it was looked at */
    uint64_t newlines; /* of a compressed one */
    char last;         /* its last byte */
    uint64_t at;       /* of a plain one: lines from here on were counted */
    uint64_t to_bytes; /* STEP_SKIP: the start is at this offset … */
    uint64_t to_lines; /* … or after so many newlines */
};

int search_new(struct log_reader *r, const struct reader_start *start,
               struct reader_search **ret_search, struct err *e)
{
    struct reader_search *s = calloc(1, sizeof(*s));
    int rc = s ? segment_list(r->dirfd, r->name, &s->numbers, &s->n, e)
               : err_sys(e, -ENOMEM, "cannot read logs");

    if (rc < 0) {
        free(s);
        return rc;
    }
    s->start = *start;
    s->left = start->count;
    if (s->start.origin == READER_LINES && !s->left)
        s->start.origin = READER_END;
    if (s->n)
        r->number = s->numbers[0] - 1; /* all of them may be gone before one can be opened */
    *ret_search = s;
    return 0;
}

struct reader_search *search_free(struct reader_search *s)
{
    if (s)
        free(s->numbers);
    free(s);
    return NULL;
}

static bool goes_backward(const struct reader_search *s)
{
    return s->start.origin == READER_END || s->start.origin == READER_LINES;
}

/* The open segment holds the start. */
static int skip_to(struct reader_search *s, struct log_reader *r, uint64_t bytes, uint64_t lines)
{
    if (!r->in.gz && !lines) {
        r->in.offset = bytes;
        return READER_DATA;
    }
    input_rewind(&r->in);
    s->to_bytes = bytes;
    s->to_lines = lines;
    s->step = STEP_SKIP;
    return bytes || lines ? READER_BUSY : READER_DATA;
}

/* The start is not in the open segment. Where there is no other one, it is at its far end. */
static int go_on(struct reader_search *s, struct log_reader *r)
{
    if (goes_backward(s))
        input_rewind(&r->in);
    else if (!r->in.gz)
        r->in.offset = s->size;
    s->step = STEP_OPEN;
    return READER_BUSY;
}

/* The place of another reader, whose segment may be gone by now. */
static int go_to_place(struct reader_search *s, struct log_reader *r)
{
    int64_t number = s->start.number;
    struct stat st;
    int rc = input_open(&r->in, r->dirfd, r->name, number);

    if (!rc) {
        uint64_t offset = s->start.count;

        r->number = number;
        if (!r->in.gz && !fstat(r->in.fd, &st) && offset > (uint64_t)st.st_size)
            offset = (uint64_t)st.st_size; /* the host went down before it was on disk */
        return skip_to(s, r, offset, 0);
    }
    if (rc != -ENOENT && rc != -EINVAL)
        return rc;
    if (s->n && s->numbers[s->n - 1] < number) { /* another directory, numbered anew */
        r->lost_first = number;
        r->lost_segments = 1;
        r->gap_due = true;
    } else
        r->number = number - 1; /* the next one there is shows how many are gone */
    return READER_DATA;
}

static int open_one(struct reader_search *s, struct log_reader *r)
{
    struct segment_input in = SEGMENT_INPUT_INIT;
    struct stat st;
    size_t i = goes_backward(s) ? s->n - 1 - s->next : s->next;
    int rc;

    if (s->start.origin == READER_PLACE)
        return go_to_place(s, r);
    if (s->next == s->n)
        return READER_DATA;
    s->next++;
    rc = input_open(&in, r->dirfd, r->name, s->numbers[i]);
    if (rc < 0)
        return rc == -ENOENT || rc == -EINVAL ? READER_BUSY : rc;
    input_close(&r->in);
    r->in = in;
    r->number = s->numbers[i];
    if (fstat(in.fd, &st) < 0)
        return -errno;
    s->size = in.gz ? 0 : (uint64_t)st.st_size;
    s->at = s->size;
    s->newlines = 0;
    s->step = STEP_LOOK;
    if (s->start.origin == READER_START && !s->left)
        return READER_DATA;
    if (s->start.origin != READER_SINCE)
        return READER_BUSY;
    if (clock_to_ns(&st.st_mtim) >= s->start.since_ns)
        return READER_DATA;
    return s->next < s->n ? go_on(s, r) : skip_to(s, r, in.gz ? UINT64_MAX : s->size, 0);
}

static uint64_t count_newlines(const char *p, size_t n)
{
    const char *end = p + n;
    uint64_t newlines = 0;

    for (; (p = memchr(p, '\n', (size_t)(end - p))); p++)
        newlines++;
    return newlines;
}

/* Unpacks a block of a compressed segment to see what it holds. READER_DATA: all is seen. */
static int look_into(struct reader_search *s, struct log_reader *r, char *block)
{
    ssize_t n = input_read(&r->in, block, INPUT_STEP);

    if (n == 0 || n == -EBADMSG) /* a damaged one counts as far as it can be read */
        return READER_DATA;
    if (n == -EINPROGRESS)
        return READER_BUSY;
    if (n < 0)
        return (int)n;
    s->size += (uint64_t)n;
    s->newlines += count_newlines(block, (size_t)n);
    s->last = block[n - 1];
    return READER_BUSY;
}

/* The last line of all may have no newline of its own. */
static void see_last_byte(struct reader_search *s, char last)
{
    if (!s->end_seen && last != '\n')
        s->left--;
    s->end_seen = true;
}

/* One block further towards the beginning of a plain file. The newline that ends the line before
 * those wanted is the one after as many others. */
static int find_lines(struct reader_search *s, struct log_reader *r, char *block)
{
    size_t len = s->at < INPUT_STEP ? (size_t)s->at : INPUT_STEP;
    const char *newline;
    ssize_t n;

    if (!len)
        return go_on(s, r);
    n = pread(r->in.fd, block, len, (off_t)(s->at - len));
    if (n <= 0) /* somebody truncated it, or the disk does not give it: all there is, then */
        return skip_to(s, r, 0, 0);
    s->at -= len;
    len = (size_t)n;
    see_last_byte(s, block[len - 1]);
    for (; (newline = memrchr(block, '\n', len)); s->left--) {
        len = (size_t)(newline - block);
        if (s->left == 0)
            return skip_to(s, r, s->at + len + 1, 0);
    }
    return READER_BUSY;
}

static int judge_lines(struct reader_search *s, struct log_reader *r)
{
    if (!s->size)
        return go_on(s, r);
    see_last_byte(s, s->last);
    if (s->newlines > s->left)
        return skip_to(s, r, 0, s->newlines - s->left);
    s->left -= s->newlines;
    return go_on(s, r);
}

static int look(struct reader_search *s, struct log_reader *r)
{
    char block[INPUT_STEP];
    int rc = READER_DATA;

    if (s->start.origin == READER_LINES && !r->in.gz)
        return find_lines(s, r, block);
    if (r->in.gz)
        rc = look_into(s, r, block);
    if (rc != READER_DATA)
        return rc;
    if (s->start.origin == READER_LINES)
        return judge_lines(s, r);
    if (s->left < s->size || (s->left == s->size && goes_backward(s)))
        return skip_to(s, r, goes_backward(s) ? s->size - s->left : s->left, 0);
    s->left -= s->size;
    return go_on(s, r);
}

/* How many of the `n` bytes come before the start. */
static size_t before_start(struct reader_search *s, const char *block, size_t n)
{
    const char *p = block;

    if (!s->to_lines) {
        size_t pass = s->to_bytes < n ? (size_t)s->to_bytes : n;

        s->to_bytes -= pass;
        return pass;
    }
    while (s->to_lines && (p = memchr(p, '\n', n - (size_t)(p - block)))) {
        p++;
        s->to_lines--;
    }
    return p ? (size_t)(p - block) : n;
}

static int skip(struct reader_search *s, struct log_reader *r)
{
    char block[INPUT_STEP];
    ssize_t n = input_read(&r->in, block, sizeof(block));
    size_t passed;

    if (n == 0 || n == -EBADMSG) /* shorter than it was: its end */
        return READER_DATA;
    if (n == -EINPROGRESS)
        return READER_BUSY;
    if (n < 0)
        return (int)n;
    passed = before_start(s, block, (size_t)n);
    input_unread(&r->in, (size_t)n - passed);
    return s->to_bytes || s->to_lines ? READER_BUSY : READER_DATA;
}

int search_step(struct reader_search *s, struct log_reader *r)
{
    switch (s->step) {
    case STEP_OPEN:
        return open_one(s, r);
    case STEP_LOOK:
        return look(s, r);
    default:
        return skip(s, r);
    }
}
