/* SPDX-License-Identifier: MIT
 *
 * A reader is a place in the stream: a segment's number, the open file and an offset. First
 * search.c finds the start. At the end of a segment a later one means that this one is finished,
 * and it is read once more before it is left, because the writer may have written between our read
 * and its rotation.
 *
 * A segment that is trimmed or compressed while it is read is read to its end, since it is open.
 * Segments may be gone when they are to be opened: then what comes next is announced as a gap.
 *
 * The next number is tried by name. The directory is listed only where that cannot tell: once at
 * the end of each segment, and while the current one has lost its name or something odd has the
 * next one's. So a follower of a quiet stream costs a read and two opens per wake-up, and a task
 * that fills the directory with files costs its readers little.
 */
#include "logrotate/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "logrotate/search.h"
#include "shared/cleanup.h"
#include "shared/clock.h"

int reader_open(struct log_reader *r, int dirfd, const char *name, const struct reader_start *start,
                struct err *e)
{
    int rc = segment_check_name(name, e);

    if (rc < 0)
        return rc;
    *r = (struct log_reader)LOG_READER_INIT;
    (void)stpcpy(r->name, name);
    r->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
    if (r->dirfd < 0)
        return err_sys(e, -errno, "cannot keep the log directory of '%s' open", name);
    rc = search_new(r, start, &r->search, e);
    if (!rc)
        rc = reader_find_start(r, e); /* its first step: the end is where it is now, not later */
    if (rc < 0)
        reader_close(r);
    return rc < 0 ? rc : 0;
}

int reader_stop_at_end(struct log_reader *r, struct err *e)
{
    autofree int64_t *numbers = NULL;
    char file[SEGMENT_NAME_MAX + 1];
    struct stat st;
    size_t n;
    int rc = segment_list(r->dirfd, r->name, &numbers, &n, e);

    if (rc < 0)
        return rc;
    r->end_number = n ? numbers[n - 1] : -1;
    r->end_offset = UINT64_MAX; /* compressed: it does not grow */
    segment_file(file, r->name, r->end_number < 0 ? 0 : r->end_number);
    if (n && !fstatat(r->dirfd, file, &st, AT_SYMLINK_NOFOLLOW))
        r->end_offset = (uint64_t)st.st_size;
    return 0;
}

static int fail(const struct log_reader *r, int rc, struct err *e)
{
    return err_sys(e, rc, "cannot read log segment %lld of '%s'", (long long)r->number, r->name);
}

int reader_find_start(struct log_reader *r, struct err *e)
{
    int rc = r->search ? search_step(r->search, r) : READER_DATA;

    if (rc != READER_BUSY)
        r->search = search_free(r->search);
    return rc < 0 ? fail(r, rc, e) : rc;
}

struct next {
    int64_t after, lowest; /* lowest: -1 while none is found */
};

static int find_lowest(void *arg, int64_t number, enum segment_form form)
{
    struct next *next = arg;

    if (form != SEGMENT_PARTIAL && number > next->after &&
        (next->lowest < 0 || number < next->lowest))
        next->lowest = number;
    return 0;
}

static bool has_a_name(const struct log_reader *r)
{
    struct stat st;

    return r->in.fd >= 0 && !fstat(r->in.fd, &st) && st.st_nlink > 0;
}

/* A listing may miss what comes, or changes its form, meanwhile: `in` is open as *number, but those
 * between it and the current one that are there come first. */
static int open_lower(const struct log_reader *r, struct segment_input *in, int64_t *number)
{
    while (*number - 1 > r->number) {
        struct segment_input lower = SEGMENT_INPUT_INIT;
        int rc = input_open(&lower, r->dirfd, r->name, *number - 1);

        if (rc < 0)
            return rc == -ENOENT || rc == -EINVAL ? 0 : rc;
        input_close(in);
        *in = lower;
        --*number;
    }
    return 0;
}

/* Opens the next segment there is. -ENOENT when there is none yet. */
static int open_next(struct log_reader *r, struct segment_input *in, int64_t *ret_number)
{
    struct next next = {.after = r->number, .lowest = r->number + 1};
    int rc = input_open(in, r->dirfd, r->name, next.lowest);

    if (rc == -ENOENT && r->newest && has_a_name(r)) {
        rc = input_open(in, r->dirfd, r->name, ++next.lowest); /* one is left out after a loss */
        if (rc == -ENOENT)
            return rc;
    }
    while (rc == -ENOENT || rc == -EINVAL) {
        next.lowest = -1;
        rc = segment_scan(r->dirfd, r->name, find_lowest, &next);
        r->newest = next.lowest < 0;
        if (rc < 0 || r->newest)
            return rc < 0 ? rc : -ENOENT;
        rc = input_open(in, r->dirfd, r->name, next.lowest);
        next.after = next.lowest; /* if that is gone or no file, so are all before it */
    }
    *ret_number = next.lowest;
    return rc < 0 ? rc : open_lower(r, in, ret_number);
}

/* What can still be read of the segment that is open, before reader_stop_at_end()'s end. */
static size_t limit(const struct log_reader *r, size_t size)
{
    uint64_t left = r->end_offset > r->in.offset ? r->end_offset - r->in.offset : 0;

    if (r->number > r->end_number)
        return 0;
    return r->number == r->end_number && left < size ? (size_t)left : size;
}

static int give_up_damaged(struct log_reader *r)
{
    r->lost_first = r->number;
    r->lost_segments = 1;
    r->damaged = true;
    input_close(&r->in);
    return READER_GAP;
}

/* Leaves a finished segment for the next. */
static int move_on(struct log_reader *r, const struct segment_input *in, int64_t number)
{
    int64_t lost = r->moved ? 0 : number - r->number - 1;

    input_close(&r->in);
    r->in = *in;
    r->lost_first = r->number + 1;
    r->lost_segments = (uint64_t)lost;
    r->damaged = false;
    r->number = number;
    r->newest = r->moved = false;
    return lost ? READER_GAP : READER_BUSY;
}

/* Negative errno, or a positive reader_result where nothing was read. */
static int read_here(struct log_reader *r, char *buf, size_t size, size_t *ret_n)
{
    ssize_t n = r->in.fd < 0 ? 0 : input_read(&r->in, buf, size);

    if (n == -EBADMSG)
        return give_up_damaged(r);
    if (n <= 0)
        return n == -EINPROGRESS ? READER_BUSY : n ? (int)n : READER_IDLE;
    *ret_n = (size_t)n;
    return READER_DATA;
}

/* Whether the segment goes on in another file of its name: in a copy that rsync(1) brings up to
 * date. */
static bool go_on_in_copy(struct log_reader *r)
{
    struct segment_input in = SEGMENT_INPUT_INIT;
    struct stat st;

    if (r->in.fd < 0 || r->in.gz || has_a_name(r) ||
        input_open(&in, r->dirfd, r->name, r->number) < 0)
        return false;
    if (in.gz || fstat(in.fd, &st) < 0 || (uint64_t)st.st_size <= r->in.offset) {
        input_close(&in);
        return false;
    }
    in.offset = r->in.offset;
    input_close(&r->in);
    r->in = in;
    return true;
}

static int read_or_move_on(struct log_reader *r, char *buf, size_t size, size_t *ret_n)
{
    struct segment_input next = SEGMENT_INPUT_INIT;
    int64_t number = r->number;
    int rc = read_here(r, buf, size, ret_n);

    if (rc == READER_IDLE && go_on_in_copy(r))
        return READER_BUSY;
    if (rc != READER_IDLE || r->number >= r->end_number)
        return rc;
    rc = open_next(r, &next, &number);
    if (rc < 0) {
        input_close(&next);
        return rc == -ENOENT ? READER_IDLE : rc;
    }
    rc = read_here(r, buf, size, ret_n); /* what was written just before the next one was made */
    if (rc == READER_IDLE)
        return move_on(r, &next, number);
    input_close(&next);
    return rc;
}

int reader_read(struct log_reader *r, char *buf, size_t size, size_t *ret_n, struct err *e)
{
    int rc = reader_find_start(r, e);

    if (rc != READER_DATA)
        return rc;
    if (r->gap_due) {
        r->gap_due = false;
        return READER_GAP;
    }
    size = limit(r, size);
    if (!size)
        return READER_IDLE;
    rc = read_or_move_on(r, buf, size, ret_n);
    return rc < 0 ? fail(r, rc, e) : rc;
}

int reader_change_dir(struct log_reader *r, int dirfd, struct err *e)
{
    int fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);

    if (fd < 0)
        return err_sys(e, -errno, "cannot keep the log directory of '%s' open", r->name);
    close_fd(&r->dirfd);
    r->dirfd = fd;
    input_close(&r->in);
    r->number = -1;
    r->newest = false;
    r->moved = true;
    return 0;
}

void reader_unread(struct log_reader *r, size_t n)
{
    input_unread(&r->in, n);
}

uint64_t reader_written_ns(const struct log_reader *r)
{
    struct stat st;

    if (r->in.fd < 0 || fstat(r->in.fd, &st) < 0)
        return 0;
    return clock_to_ns(&st.st_mtim);
}

void reader_place(const struct log_reader *r, int64_t *ret_number, uint64_t *ret_offset)
{
    bool open = r->in.fd >= 0;

    *ret_number = open ? r->number : r->number + 1;
    *ret_offset = open ? r->in.offset : 0;
}

void reader_close(struct log_reader *r)
{
    r->search = search_free(r->search);
    input_close(&r->in);
    close_fd(&r->dirfd);
    *r = (struct log_reader)LOG_READER_INIT;
}
