/* SPDX-License-Identifier: MIT
 *
 * Writes a stream into segments. writer_open() finds the highest number by one scan of the
 * directory and continues that file; from then on the directory is not listed again: a rotation
 * creates the next free number, closes the old file and unlinks what fell out of max_files by its
 * number.
 *
 * Why no line up to the window is ever cut: a line is started in a segment only if its end is in
 * the data and fits, or if at least a window's worth of room is left, or if the segment is empty. A
 * line once started goes on until the segment is full. All of that is decided in next_part(), which
 * sees nothing but the struct and the data.
 *
 * A new segment is created with O_EXCL: a name that is taken, by whatever, is passed over. An
 * existing segment is continued only if it is a regular file with one name, since the task may be
 * able to write to the directory and could otherwise aim the executor's writes at files elsewhere.
 *
 * After an error the file is closed and the next write opens it again, which mends a stale handle
 * and finds out if somebody removed the file.
 */
#include "logrotate/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "shared/cleanup.h"

enum {
    ROOM_TRIES = 32, /* about a minute of the pump's */
};

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What cannot be removed now is tried again by the next writer_open(). */
static int unlink_segment(const struct log_writer *w, int64_t number, enum segment_form form)
{
    char file[SEGMENT_NAME_MAX + 1];

    segment_file_as(file, w->name, number, form);
    return unlinkat(w->dirfd, file, 0) < 0 ? -errno : 0;
}

/* Removes the segment that a rotation pushed out. */
static void drop_out(const struct log_writer *w, int64_t number)
{
    if (number >= 0 && unlink_segment(w, number, SEGMENT_PLAIN) == -ENOENT)
        (void)unlink_segment(w, number, SEGMENT_GZIP);
}

/* Whether more than a line can be written. A gap ends a segment: where each try found room for a
 * few bytes only, it would take numbers, and push out segments from before the loss. A quota of a
 * directory is part of what fstatfs(2) tells; of ramfs and of a tmpfs without a limit it tells 0 of
 * 0 blocks. */
static bool has_room(const struct log_writer *w)
{
    struct statfs st;

    return fstatfs(w->dirfd, &st) < 0 || !st.f_blocks || st.f_frsize <= 0 ||
           (uint64_t)(geteuid() == 0 ? st.f_bfree : st.f_bavail) >
               writer_line_window(w) / (uint64_t)st.f_frsize;
}

/* Whether the segment after a gap is to wait. What the file system says is not always so (blocks
 * reserved for this user, a soft quota): the more often it was believed, the longer, but never for
 * good. */
static bool waits_for_room(struct log_writer *w)
{
    if (has_room(w)) {
        w->refused = 0;
        return false;
    }
    w->refused++;
    return w->refused < ROOM_TRIES || (w->refused & (w->refused - 1));
}

/* The first name after *number that is free. Returns a descriptor. */
static int create_after(const struct log_writer *w, int64_t *number)
{
    char file[SEGMENT_NAME_MAX + 1];
    int fd;

    do {
        segment_file(file, w->name, ++*number);
        fd = openat(w->dirfd, file, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    } while (fd < 0 && errno == EEXIST);
    return fd < 0 ? -errno : fd;
}

static int create_next(struct log_writer *w)
{
    const int64_t last = w->number + w->gap; /* a number left out tells readers */
    int64_t number = last;
    int fd;

    if (w->gap && waits_for_room(w))
        return -ENOSPC;
    fd = create_after(w, &number);
    if (fd == -ENOSPC || fd == -EDQUOT) { /* no inode: what this one pushes out has one */
        drop_out(w, number - (int64_t)w->max_files);
        number = last;
        fd = create_after(w, &number);
    }
    if (fd < 0)
        return fd;
    close_fd(&w->fd);
    for (int64_t old = w->number; old < number; old++)
        drop_out(w, old + 1 - (int64_t)w->max_files);
    w->fd = fd;
    w->number = number;
    w->size = 0;
    if (w->gap) {
        w->line_open = w->gap = false;
        w->after_gap = number;
    }
    return 0;
}

/* Opens segment w->number to go on in it. -ENOENT also where something else has its name, or it is
 * another's: if the directory is, too, making the next one tells. */
static int continue_newest(struct log_writer *w)
{
    char file[SEGMENT_NAME_MAX + 1];
    struct stat st;
    autofd int fd = -1;

    segment_file(file, w->name, w->number);
    /* O_NONBLOCK: a FIFO without a reader must not hold us up. */
    fd = openat(w->dirfd, file, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 &&
        (errno == ELOOP || errno == EISDIR || errno == ENXIO || errno == EACCES || errno == EPERM))
        return -ENOENT;
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
        return -ENOENT;
    w->fd = take_fd(&fd);
    w->size = (uint64_t)st.st_size;
    return 0;
}

static int open_live(struct log_writer *w)
{
    int r = w->number < 0 ? -ENOENT : continue_newest(w);

    return r == -ENOENT ? create_next(w) : r;
}

static int find_newest(void *arg, int64_t number, enum segment_form form)
{
    struct log_writer *w = arg;

    if (form != SEGMENT_PARTIAL && number > w->number)
        w->number = number;
    return 0;
}

static int trim_old(void *arg, int64_t number, enum segment_form form)
{
    const struct log_writer *w = arg;

    if (number <= w->number - (int64_t)w->max_files)
        (void)unlink_segment(w, number, form);
    return 0;
}

static bool ends_in_line(const struct log_writer *w)
{
    char last;

    return w->size > 0 && pread(w->fd, &last, 1, (off_t)w->size - 1) == 1 && last != '\n';
}

int writer_open(struct log_writer *w, int dirfd, const char *name, uint64_t max_size,
                uint32_t max_files, struct err *e)
{
    int r = segment_check_name(name, e);

    if (r < 0)
        return r;
    if (max_size < 1 || max_files < 1)
        return err_set(e, -EINVAL, "log stream '%s' needs max_files and max_file_size of 1 or more",
                       name);
    *w = (struct log_writer)LOG_WRITER_INIT;
    w->dirfd = dirfd;
    w->max_size = max_size;
    w->max_files = max_files;
    w->name = name;
    r = segment_scan(dirfd, name, find_newest, w);
    if (r == 0)
        r = open_live(w);
    if (r == 0 && w->number >= max_files) /* else none can be too old */
        r = segment_scan(dirfd, name, trim_old, w);
    if (r < 0) {
        writer_close(w);
        return err_sys(e, r, "cannot open a log segment of '%s'", name);
    }
    w->line_open = ends_in_line(w);
    return 0;
}

void writer_set_limits(struct log_writer *w, uint64_t max_size, uint32_t max_files)
{
    bool fewer = max_files < w->max_files;

    w->max_size = max_size;
    w->max_files = max_files;
    if (fewer && w->number >= max_files)
        (void)segment_scan(w->dirfd, w->name, trim_old, w);
}

enum part {
    PART_WRITE,  /* write the first *ret_len bytes into the live segment */
    PART_ROTATE, /* go on in a new segment */
    PART_LEAVE,  /* leave the rest, a partial line, to the caller */
};

static enum part next_part(const struct log_writer *w, const char *data, size_t size, bool more,
                           size_t *ret_len)
{
    const uint64_t window = writer_line_window(w);
    const uint64_t left = w->max_size - min_u64(w->size, w->max_size);
    const char *newline;
    size_t fits, whole;

    *ret_len = size;
    if (w->gap)
        return PART_ROTATE;
    if (left >= window && size <= left - window)
        return PART_WRITE; /* far from the cut: not looked at */
    if (left == 0)
        return PART_ROTATE;
    fits = (size_t)min_u64(size, left);
    newline = memrchr(data, '\n', fits);
    whole = newline ? (size_t)(newline - data) + 1 : 0;
    if (whole == size || (fits == size && left - whole >= window))
        return PART_WRITE; /* what starts after the last newline has room enough */
    *ret_len = whole ? whole : fits;
    if (whole || w->line_open || w->size == 0)
        return PART_WRITE;
    /* At the start of a line whose end is not within reach. */
    if (left < window)
        return more && fits == size ? PART_LEAVE : PART_ROTATE;
    /* The line is longer than the window: kept whole where it is known that a segment holds it. */
    return memchr(data, '\n', (size_t)min_u64(size, w->max_size)) ? PART_ROTATE : PART_WRITE;
}

static int write_all(struct log_writer *w, const char *data, size_t size, size_t *done)
{
    while (size > 0) {
        ssize_t n = write(w->fd, data, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        writer_wrote(w, (uint64_t)n, data[n - 1]);
        *done += (size_t)n;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

ssize_t writer_write(struct log_writer *w, const char *data, size_t size, bool more,
                     size_t *ret_done)
{
    int r = 0;

    *ret_done = 0;
    while (r == 0 && (w->fd < 0 || *ret_done < size)) {
        const char *rest = data + *ret_done;
        enum part part;
        size_t len;

        if (w->fd < 0) {
            r = open_live(w);
            continue;
        }
        part = next_part(w, rest, size - *ret_done, more, &len);
        if (part == PART_LEAVE)
            break;
        r = part == PART_ROTATE ? create_next(w) : write_all(w, rest, len, ret_done);
        if (r == -EFBIG && w->size > 0) { /* RLIMIT_FSIZE, or the file system's limit */
            w->max_size = w->size;
            r = 0;
        }
    }
    if (r < 0)
        close_fd(&w->fd);
    return r < 0 ? r : (ssize_t)*ret_done;
}

void writer_drop(struct log_writer *w, uint64_t size)
{
    w->lost += size;
    w->gap = w->size > 0 || w->number != w->after_gap;
}

void writer_look_again(struct log_writer *w)
{
    close_fd(&w->fd);
    /* Where it cannot be listed, the next write tells why. */
    (void)segment_scan(w->dirfd, w->name, find_newest, w);
}

void writer_close(struct log_writer *w)
{
    close_fd(&w->fd);
    *w = (struct log_writer)LOG_WRITER_INIT;
}
