/* SPDX-License-Identifier: MIT */
#include "tests/unit/logdir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <zlib.h>

#include "shared/cleanup.h"

void logdir_make(struct logdir *d)
{
    strcpy(d->path, "/tmp/cleat-test-logs-XXXXXX");
    assert_non_null(mkdtemp(d->path));
    d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(d->fd >= 0);
}

void logdir_remove(struct logdir *d)
{
    autodir DIR *dir = opendir(d->path);
    struct dirent *entry;

    assert_non_null(dir);
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            if (unlinkat(d->fd, entry->d_name, 0) < 0)
                (void)unlinkat(d->fd, entry->d_name, AT_REMOVEDIR);
    close_fd(&d->fd);
    assert_int_equal(rmdir(d->path), 0);
}

void logdir_put(const struct logdir *d, const char *file, const void *data, size_t size)
{
    autofd int fd = openat(d->fd, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), size);
}

void logdir_put_gzip(const struct logdir *d, const char *file, const void *data, size_t size)
{
    int fd = openat(d->fd, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    gzFile gz = gzdopen(fd, "wb");

    assert_non_null(gz);
    assert_int_equal(size ? gzwrite(gz, data, (unsigned int)size) : 0, size);
    assert_int_equal(gzclose(gz), Z_OK);
}

char *logdir_get(const struct logdir *d, const char *file, size_t *ret_size)
{
    autofd int fd = openat(d->fd, file, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char *data;

    if (fd < 0)
        fail_msg("no file %s", file);
    assert_int_equal(fstat(fd, &st), 0);
    data = malloc((size_t)st.st_size + 1);
    assert_non_null(data);
    assert_int_equal(read(fd, data, (size_t)st.st_size), st.st_size);
    data[st.st_size] = '\0';
    *ret_size = (size_t)st.st_size;
    return data;
}

int logdir_has(const struct logdir *d, const char *file)
{
    return faccessat(d->fd, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}
