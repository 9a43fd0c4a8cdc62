/* SPDX-License-Identifier: MIT
 *
 * Envelope: one line "CLEAT-STATE <version> <length> <crc32>\n", then the payload. The line is
 * text, so that a person sees with head(1) what a file is.
 */
#include "shared/statefile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "shared/cleanup.h"

enum {
    HEADER_MAX = 64
};

static int write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t n = write(fd, data, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

static int write_file(int dirfd, const char *name, const char *header, const char *data,
                      size_t size, bool sync)
{
    autofd int fd =
        openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r;

    if (fd < 0)
        return -errno;
    r = write_all(fd, header, strlen(header));
    if (!r)
        r = write_all(fd, data, size);
    if (!r && sync && fsync(fd) < 0)
        r = -errno;
    return r;
}

static int write_renamed(int dirfd, const char *name, uint32_t version, const char *data,
                         size_t size, bool sync, struct err *e)
{
    char temp[NAME_MAX + 1];
    char header[HEADER_MAX];
    int r;

    if (snprintf(temp, sizeof(temp), "%s.tmp", name) >= (int)sizeof(temp))
        return err_sys(e, -ENAMETOOLONG, "write state file \"%s\"", name);
    (void)snprintf(header, sizeof(header), "CLEAT-STATE %u %zu %08lx\n", version, size,
                   crc32(0, (const Bytef *)data, (uInt)size));
    r = write_file(dirfd, temp, header, data, size, sync);
    if (!r && renameat(dirfd, temp, dirfd, name) < 0)
        r = -errno;
    if (r) {
        (void)unlinkat(dirfd, temp, 0);
        return err_sys(e, r, "write state file \"%s\"", name);
    }
    if (sync && fsync(dirfd) < 0)
        return err_sys(e, -errno, "sync the directory of state file \"%s\"", name);
    return 0;
}

int statefile_write(int dirfd, const char *name, uint32_t version, const char *data, size_t size,
                    struct err *e)
{
    return write_renamed(dirfd, name, version, data, size, true, e);
}

int statefile_write_unsynced(int dirfd, const char *name, uint32_t version, const char *data,
                             size_t size, struct err *e)
{
    return write_renamed(dirfd, name, version, data, size, false, e);
}

static int read_all(int fd, char *buf, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = read(fd, buf + done, size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EBADMSG; /* it shrank under us */
        done += (size_t)n;
    }
    return 0;
}

int statefile_decode(const char *text, size_t size, uint32_t *ret_version, size_t *ret_start)
{
    const char *eol = memchr(text, '\n', size < HEADER_MAX ? size : HEADER_MAX);
    unsigned long crc;
    uint32_t version;
    size_t length;
    int used = 0;

    if (!eol || sscanf(text, "CLEAT-STATE %u %zu %8lx%n", &version, &length, &crc, &used) != 3 ||
        text + used != eol)
        return -EBADMSG;
    *ret_start = (size_t)(eol + 1 - text);
    if (size - *ret_start != length ||
        crc32(0, (const Bytef *)text + *ret_start, (uInt)length) != crc)
        return -EBADMSG;
    *ret_version = version;
    return 0;
}

int statefile_read(int dirfd, const char *name, size_t max, uint32_t *ret_version, char **ret_data,
                   size_t *ret_size, struct err *e)
{
    autofd int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    autofree char *text = NULL;
    struct stat st;
    size_t size, start;
    int r;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(e, -errno, "read state file \"%s\"", name);
    if (!S_ISREG(st.st_mode))
        return err_set(e, -EBADMSG, "state file \"%s\" is not a regular file", name);
    size = (size_t)st.st_size;
    if (size > max + HEADER_MAX)
        return err_set(e, -EFBIG, "state file \"%s\" has %zu bytes, at most %zu are expected", name,
                       size, max);
    text = malloc(size + 1);
    if (!text)
        return err_sys(e, -ENOMEM, "read state file \"%s\"", name);
    r = read_all(fd, text, size);
    if (r < 0)
        return err_sys(e, r, "read state file \"%s\"", name);
    text[size] = '\0';
    r = statefile_decode(text, size, ret_version, &start);
    if (r < 0)
        return err_set(e, r, "state file \"%s\" is damaged (its header or checksum is wrong)",
                       name);
    memmove(text, text + start, size - start + 1);
    *ret_size = size - start;
    *ret_data = take_ptr(text);
    return 0;
}
