/* SPDX-License-Identifier: MIT
 *
 * The order of steps is what makes a crash harmless: write the hidden file, sync it, give it its
 * name, remove the plain one. The plain one is the truth as long as it is there, so whatever a
 * crash left is simply done again.
 *
 * The task may be able to write to the directory: the source is opened without following links and
 * must have one name, the hidden file is made with O_EXCL, and rename(2) replaces a link instead of
 * following it.
 */
#include "logrotate/compress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "logrotate/segment.h"
#include "shared/cleanup.h"
#include "shared/clock.h"

enum {
    BLOCK = 64 * 1024
};

/* Returns a descriptor, -ENOENT where there is no plain file of that number, or -EMLINK where it
 * has a second name, so that it may be anything. */
static int open_source(int dirfd, const char *name, int64_t number, struct stat *st)
{
    char file[SEGMENT_NAME_MAX + 1];
    autofd int fd = -1;

    segment_file(file, name, number);
    fd = openat(dirfd, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ELOOP || errno == ENXIO ? -ENOENT : -errno;
    if (fstat(fd, st) < 0)
        return -errno;
    if (!S_ISREG(st->st_mode))
        return -ENOENT;
    return st->st_nlink == 1 ? take_fd(&fd) : -EMLINK;
}

static int gzip_error(gzFile out)
{
    int code = Z_OK;

    (void)gzerror(out, &code);
    if (code == Z_ERRNO)
        return errno ? -errno : -EIO;
    return code == Z_MEM_ERROR ? -ENOMEM : -EIO;
}

static int copy_into(int source, gzFile out)
{
    char block[BLOCK];
    ssize_t n;

    while ((n = read(source, block, sizeof(block))) > 0)
        if (gzwrite(out, block, (unsigned int)n) != n)
            return gzip_error(out);
    return n < 0 ? -errno : 0;
}

/* Compresses all of `source` into `target`, on disk when it returns 0. */
static int compress_into(int source, int target)
{
    int own = fcntl(target, F_DUPFD_CLOEXEC, 0); /* gzclose() closes it */
    gzFile out = own < 0 ? NULL : gzdopen(own, "wb");
    int closed, r;

    if (!out) {
        r = own < 0 ? -errno : -ENOMEM;
        close_fd(&own);
        return r;
    }
    r = copy_into(source, out);
    errno = 0;
    closed = gzclose(out);
    if (!r && closed != Z_OK)
        r = errno ? -errno : -EIO;
    return !r && fdatasync(target) < 0 ? -errno : r;
}

static int write_partial(int dirfd, const char *partial, int source, const struct stat *st)
{
    const struct timespec times[2] = {st->st_mtim, st->st_mtim};
    autofd int fd = -1;
    int r;

    (void)unlinkat(dirfd, partial, 0);
    fd = openat(dirfd, partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    r = compress_into(source, fd);
    return !r && futimens(fd, times) < 0 ? -errno : r;
}

/* Only if it was last written by `before_ns`; or in the future, from where the clock was put back.
 */
static int compress_one(int dirfd, const char *name, int64_t number, uint64_t before_ns)
{
    char plain[SEGMENT_NAME_MAX + 1], partial[SEGMENT_NAME_MAX + 1], gzip[SEGMENT_NAME_MAX + 1];
    struct stat st;
    autofd int source = open_source(dirfd, name, number, &st);
    uint64_t written_ns;
    int r;

    if (source < 0)
        return source == -ENOENT ? 0 : source;
    written_ns = clock_to_ns(&st.st_mtim);
    if (written_ns > before_ns && written_ns <= clock_now_ns(CLOCK_REALTIME))
        return 0;
    segment_file(plain, name, number);
    segment_file_as(partial, name, number, SEGMENT_PARTIAL);
    segment_file_as(gzip, name, number, SEGMENT_GZIP);
    r = write_partial(dirfd, partial, source, &st);
    if (!r && renameat(dirfd, partial, dirfd, gzip) < 0)
        r = -errno;
    if (r < 0) {
        (void)unlinkat(dirfd, partial, 0);
        return r;
    }
    return unlinkat(dirfd, plain, 0) < 0 && errno != ENOENT ? -errno : 0;
}

struct leftovers {
    int dirfd;
    const char *name;
};

static int remove_partial(void *arg, int64_t number, enum segment_form form)
{
    const struct leftovers *l = arg;
    char file[SEGMENT_NAME_MAX + 1];

    segment_file_as(file, l->name, number, form);
    if (form == SEGMENT_PARTIAL)
        (void)unlinkat(l->dirfd, file, 0);
    return 0;
}

void compress_clear_away(int dirfd, const char *name)
{
    struct leftovers leftovers = {dirfd, name};

    (void)segment_scan(dirfd, name, remove_partial, &leftovers);
}

int compress_due(int dirfd, const char *name, int64_t live, uint64_t before_ns)
{
    autofree int64_t *numbers = NULL;
    size_t n = 0;
    int first;

    compress_clear_away(dirfd, name);
    first = segment_list(dirfd, name, &numbers, &n, NULL);
    for (size_t i = 0; i < n && numbers[i] < live; i++) {
        int r = compress_one(dirfd, name, numbers[i], before_ns);

        first = first ? first : r;
    }
    return first;
}

int compress_lock(int dirfd, unsigned int tenths)
{
    const struct timespec tenth = {.tv_nsec = 100000000};
    autofd int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return -errno;
        if (!tenths--)
            return -EBUSY;
        (void)nanosleep(&tenth, NULL);
    }
    return take_fd(&fd);
}
