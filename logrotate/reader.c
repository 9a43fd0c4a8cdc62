/* SPDX-License-Identifier: MIT
 *
 * A reader is a place in the stream: a segment's number, its open descriptor and an offset. Opening
 * walks over the segments that exist, forwards or backwards, until a `find` function says that the
 * start lies in one of them. Reading goes on from there; at the end of a segment a later one means
 * that this one is finished, and it is read once more before it is left, because the writer may
 * have written between our read and its rotation.
 *
 * Segments may be trimmed at any time: one that is gone when it is to be opened is passed over.
 */
#include "logrotate/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"

enum {
    TAIL_BLOCK = 16 * 1024
};

/* Returns the descriptor. -ENOENT also where something other than a file has the name. */
static int open_segment(const struct log_reader *r, int64_t number)
{
    char file[SEGMENT_NAME_MAX + 1];
    struct stat st;
    autofd int fd = -1;

    segment_file(file, r->name, number);
    /* O_NONBLOCK: a FIFO without a writer must not hold us up. */
    fd = openat(r->dirfd, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ELOOP || errno == ENXIO ? -ENOENT : -errno;
    if (fstat(fd, &st) < 0)
        return -errno;
    return S_ISREG(st.st_mode) ? take_fd(&fd) : -ENOENT;
}

/* What is left to pass on the way to the start: bytes, or newlines. */
struct search {
    uint64_t left;
    bool end_seen; /* the last byte of all has been looked at */
};

/* Looks for the start in one segment of `size` bytes. 1: it is at *ret_offset. 0: it is in a
 * segment further on in the walk, and *ret_offset is the place if there is none. Negative errno. */
typedef int find_fn(int fd, uint64_t size, struct search *s, uint64_t *ret_offset);

static int find_bytes_forward(int fd, uint64_t size, struct search *s, uint64_t *ret_offset)
{
    (void)fd;
    *ret_offset = s->left < size ? s->left : size;
    s->left -= *ret_offset;
    return *ret_offset < size;
}

static int find_bytes_backward(int fd, uint64_t size, struct search *s, uint64_t *ret_offset)
{
    (void)fd;
    *ret_offset = s->left < size ? size - s->left : 0;
    s->left -= size - *ret_offset;
    return s->left == 0;
}

/* s->left is the number of lines wanted. The newline that ends the line before them is the one
 * after as many others; the last line may have none of its own. */
static int find_lines_backward(int fd, uint64_t size, struct search *s, uint64_t *ret_offset)
{
    char block[TAIL_BLOCK];

    *ret_offset = 0;
    for (uint64_t at = size; at > 0;) {
        size_t len = at < sizeof(block) ? (size_t)at : sizeof(block);
        const char *newline;
        ssize_t n = pread(fd, block, len, (off_t)(at - len));

        if (n <= 0)
            return n < 0 ? -errno : 1; /* somebody truncated it: all of it, then */
        at -= len;
        len = (size_t)n;
        if (!s->end_seen && block[len - 1] != '\n')
            s->left--;
        s->end_seen = true;
        for (; (newline = memrchr(block, '\n', len)); s->left--) {
            len = (size_t)(newline - block);
            if (s->left == 0) {
                *ret_offset = at + len + 1;
                return 1;
            }
        }
    }
    return 0;
}

/* Walks over numbers[0..n), by `step` 1 upwards or -1 downwards, and leaves `r` at the start. */
static int seek(struct log_reader *r, const int64_t *numbers, size_t n, int step, find_fn *find,
                uint64_t left)
{
    struct search s = {.left = left};

    for (size_t i = step > 0 ? 0 : n - 1; i < n; i += (size_t)step) {
        struct stat st;
        int found, fd = open_segment(r, numbers[i]);

        if (fd == -ENOENT)
            continue;
        if (fd < 0)
            return fd;
        close_fd(&r->fd);
        r->fd = fd;
        r->number = numbers[i];
        if (fstat(fd, &st) < 0)
            return -errno;
        found = find(fd, (uint64_t)st.st_size, &s, &r->offset);
        if (found)
            return found < 0 ? found : 0;
    }
    return 0;
}

static int open_at(struct log_reader *r, int dirfd, const char *name, int step, find_fn *find,
                   uint64_t left, struct err *e)
{
    autofree int64_t *numbers = NULL;
    size_t n;
    int rc = segment_check_name(name, e);

    if (rc < 0)
        return rc;
    *r = (struct log_reader)LOG_READER_INIT;
    (void)stpcpy(r->name, name);
    r->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
    if (r->dirfd < 0)
        return err_sys(e, -errno, "cannot keep the log directory of '%s' open", name);
    rc = segment_list(r->dirfd, name, &numbers, &n, e);
    if (rc == 0) {
        rc = seek(r, numbers, n, step, find, left);
        if (rc < 0)
            (void)err_sys(e, rc, "cannot read a log segment of '%s'", name);
    }
    if (rc < 0)
        reader_close(r);
    return rc;
}

int reader_open(struct log_reader *r, int dirfd, const char *name, enum reader_origin origin,
                uint64_t offset, struct err *e)
{
    if (origin == READER_ORIGIN_START)
        return open_at(r, dirfd, name, 1, find_bytes_forward, offset, e);
    return open_at(r, dirfd, name, -1, find_bytes_backward, offset, e);
}

int reader_open_tail(struct log_reader *r, int dirfd, const char *name, uint64_t lines,
                     struct err *e)
{
    if (lines == 0)
        return reader_open(r, dirfd, name, READER_ORIGIN_END, 0, e);
    return open_at(r, dirfd, name, -1, find_lines_backward, lines, e);
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

/* Opens the next segment there is. Returns its descriptor, -ENOENT when there is none yet. */
static int open_next(const struct log_reader *r, int64_t *ret_number)
{
    struct next next = {.after = r->number, .lowest = r->number + 1};
    int fd = open_segment(r, next.lowest);

    while (fd == -ENOENT) {
        int rc;

        next.lowest = -1;
        /* The first scan may have missed one made during it and seen a later one. The second sees
         * all that were made before that. */
        rc = segment_scan(r->dirfd, r->name, find_lowest, &next);
        if (rc == 0 && next.lowest >= 0)
            rc = segment_scan(r->dirfd, r->name, find_lowest, &next);
        if (rc < 0)
            return rc;
        if (next.lowest < 0)
            return -ENOENT;
        fd = open_segment(r, next.lowest);
        next.after = next.lowest; /* if that is gone or no file, so are all before it */
    }
    *ret_number = next.lowest;
    return fd;
}

static ssize_t read_here(struct log_reader *r, char *buf, size_t size)
{
    ssize_t n = r->fd < 0 ? 0 : pread(r->fd, buf, size, (off_t)r->offset);

    if (n < 0)
        return -errno;
    r->offset += (size_t)n;
    return n;
}

ssize_t reader_read(struct log_reader *r, char *buf, size_t size, struct err *e)
{
    for (;;) {
        autofd int next_fd = -1;
        int64_t next = -1;
        ssize_t n = read_here(r, buf, size);

        if (n == 0) {
            next_fd = open_next(r, &next);
            if (next_fd == -ENOENT)
                return 0;
            n = next_fd < 0 ? next_fd : read_here(r, buf, size);
        }
        if (n < 0)
            return err_sys(e, (int)n, "cannot read log segment %lld of '%s'", (long long)r->number,
                           r->name);
        if (n > 0)
            return n;
        close_fd(&r->fd);
        r->fd = take_fd(&next_fd);
        r->skipped += (uint64_t)(next - r->number - 1);
        r->number = next;
        r->offset = 0;
    }
}

void reader_close(struct log_reader *r)
{
    close_fd(&r->fd);
    close_fd(&r->dirfd);
    *r = (struct log_reader)LOG_READER_INIT;
}
