/* SPDX-License-Identifier: MIT
 *
 * A compressed segment is unpacked block by block into a buffer of its own, from where it is
 * copied; so what was given last can be taken back. Its memory, about 90 KiB, is held only while
 * such a segment is open.
 *
 * A file is looked at before it is opened for reading (O_PATH, then /proc/self/fd): opening a FIFO
 * or a device that the task has put there could already do something.
 */
#include "logrotate/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "logrotate/segment.h"
#include "shared/cleanup.h"

enum {
    PACKED = 16 << 10,
    UNPACKED = 32 << 10,
};

struct gunzip {
    z_stream z;
    uint64_t at; /* of the next block in the file */
    bool ended;  /* the whole member is unpacked */
    bool damaged;
    size_t given, size; /* of what is in `unpacked` */
    unsigned char packed[PACKED], unpacked[UNPACKED];
};

static struct gunzip *gunzip_new(void)
{
    struct gunzip *gz = calloc(1, sizeof(*gz));

    if (gz && inflateInit2(&gz->z, 15 + 16) != Z_OK) { /* +16: a gzip header */
        free(gz);
        gz = NULL;
    }
    return gz;
}

static void gunzip_free(struct gunzip *gz)
{
    if (gz)
        (void)inflateEnd(&gz->z);
    free(gz);
}

/* pread(2) as input_read(): what the disk, or the server, does not give any more is damaged, too.
 */
static ssize_t read_at(int fd, void *buf, size_t size, uint64_t at)
{
    ssize_t n = pread(fd, buf, size, (off_t)at);

    if (n < 0)
        return errno == EIO || errno == ESTALE ? -EBADMSG : -errno;
    return n;
}

/* Reads the next block when the last one is used up. The file's end comes before the member's: it
 * is cut off, -EBADMSG. */
static int refill(struct gunzip *gz, int fd)
{
    ssize_t n = gz->z.avail_in ? 1 : read_at(fd, gz->packed, sizeof(gz->packed), gz->at);

    if (n <= 0)
        return n < 0 ? (int)n : -EBADMSG;
    if (!gz->z.avail_in) {
        gz->z.next_in = gz->packed;
        gz->z.avail_in = (unsigned int)n;
        gz->at += (uint64_t)n;
    }
    return 0;
}

/* Unpacks until the buffer is full or the block used up. As input_read(), into gz->unpacked. */
static ssize_t unpack(struct gunzip *gz, int fd)
{
    int r = gz->ended ? 0 : gz->damaged ? -EBADMSG : refill(gz, fd);

    if (r || gz->ended)
        return r;
    gz->z.next_out = gz->unpacked;
    gz->z.avail_out = sizeof(gz->unpacked);
    r = inflate(&gz->z, Z_NO_FLUSH);
    gz->ended = r == Z_STREAM_END;
    gz->damaged = r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR;
    gz->given = 0;
    gz->size = sizeof(gz->unpacked) - gz->z.avail_out;
    if (gz->size || gz->ended) /* what came before the damage counts */
        return (ssize_t)gz->size;
    return gz->damaged ? -EBADMSG : -EINPROGRESS;
}

static ssize_t read_packed(struct segment_input *in, char *buf, size_t size)
{
    struct gunzip *gz = in->gz;
    ssize_t n = gz->given < gz->size ? 1 : unpack(gz, in->fd);

    if (n <= 0)
        return n;
    if (size > gz->size - gz->given)
        size = gz->size - gz->given;
    memcpy(buf, gz->unpacked + gz->given, size);
    gz->given += size;
    return (ssize_t)size;
}

ssize_t input_read(struct segment_input *in, char *buf, size_t size)
{
    ssize_t n;

    if (size > INPUT_STEP)
        size = INPUT_STEP;
    n = in->gz ? read_packed(in, buf, size) : read_at(in->fd, buf, size, in->offset);
    if (n > 0)
        in->offset += (uint64_t)n;
    return n;
}

void input_unread(struct segment_input *in, size_t n)
{
    in->offset -= n;
    if (in->gz)
        in->gz->given -= n;
}

void input_rewind(struct segment_input *in)
{
    struct gunzip *gz = in->gz;

    in->offset = 0;
    if (!gz)
        return;
    (void)inflateReset(&gz->z);
    gz->z.avail_in = 0;
    gz->at = 0;
    gz->given = gz->size = 0;
    gz->ended = gz->damaged = false;
}

/* Returns a descriptor. */
static int open_regular(int dirfd, const char *file)
{
    autofd int path = openat(dirfd, file, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    char link[32];
    struct stat st;
    int fd;

    if (path < 0 || fstat(path, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", path);
    /* O_NONBLOCK: a lease (fcntl(2)) that a task put on a file of its own must not hold us up. */
    fd = open(link, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) /* there is no /proc */
        fd = openat(dirfd, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == EAGAIN ? -EINVAL : -errno;
    return fd;
}

int input_open(struct segment_input *in, int dirfd, const char *name, int64_t number)
{
    struct gunzip *gz = NULL;
    char file[SEGMENT_NAME_MAX + 1];
    int plain, fd;

    segment_file(file, name, number);
    fd = plain = open_regular(dirfd, file);
    if (plain == -ENOENT || plain == -EINVAL) {
        segment_file_as(file, name, number, SEGMENT_GZIP);
        fd = open_regular(dirfd, file);
        if (fd == -ENOENT)
            return plain;
        gz = fd < 0 ? NULL : gunzip_new();
        if (fd >= 0 && !gz) {
            (void)close(fd);
            return -ENOMEM;
        }
    }
    if (fd < 0)
        return fd;
    *in = (struct segment_input){.fd = fd, .gz = gz};
    return 0;
}

void input_close(struct segment_input *in)
{
    close_fd(&in->fd);
    gunzip_free(in->gz);
    *in = (struct segment_input)SEGMENT_INPUT_INIT;
}
