/* SPDX-License-Identifier: MIT */
#include "tests/unit/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/vfs.h>
#include <unistd.h>

int (*syscall_verdict)(const char *name);

/* The linker's names for the functions that stand in, and for those they stand in for (ld(1),
 * --wrap). */
ssize_t __wrap_write(int fd, const void *data, size_t size);
ssize_t __real_write(int fd, const void *data, size_t size);
int __wrap_openat(int dirfd, const char *path, int flags, ...);
int __real_openat(int dirfd, const char *path, int flags, ...);
int __wrap_unlinkat(int dirfd, const char *path, int flags);
int __real_unlinkat(int dirfd, const char *path, int flags);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_fdatasync(int fd);
ssize_t __wrap_pread(int fd, void *data, size_t size, off_t at);
ssize_t __real_pread(int fd, void *data, size_t size, off_t at);
int __wrap_fstatfs(int fd, struct statfs *st);
int __real_fstatfs(int fd, struct statfs *st);

/* The verdict; errno is set to one that is an errno. */
static int ask(const char *name)
{
    int verdict = syscall_verdict ? syscall_verdict(name) : SYSCALL_GO_ON;

    if (verdict > 0)
        errno = verdict;
    return verdict;
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    int verdict = ask("write");

    if (verdict > 0)
        return -1;
    return __real_write(fd, data, verdict == SYSCALL_SHORT ? (size + 1) / 2 : size);
}

ssize_t __wrap_pread(int fd, void *data, size_t size, off_t at)
{
    return ask("pread") > 0 ? -1 : __real_pread(fd, data, size, at);
}

int __wrap_openat(int dirfd, const char *path, int flags, ...)
{
    mode_t mode = 0;

    if (flags & O_CREAT) {
        va_list ap;

        va_start(ap, flags);
        mode = va_arg(ap, mode_t);
        va_end(ap);
    }
    return ask("openat") > 0 ? -1 : __real_openat(dirfd, path, flags, mode);
}

int __wrap_fstatfs(int fd, struct statfs *st)
{
    int verdict = ask("fstatfs"), r = __real_fstatfs(fd, st);

    if (verdict > 0)
        st->f_bfree = st->f_bavail = 0;
    if (verdict == ENOSYS)
        st->f_blocks = 0;
    return r;
}

int __wrap_unlinkat(int dirfd, const char *path, int flags)
{
    return ask("unlinkat") > 0 ? -1 : __real_unlinkat(dirfd, path, flags);
}

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return ask("renameat") > 0 ? -1 : __real_renameat(from_fd, from, to_fd, to);
}

int __wrap_fdatasync(int fd)
{
    (void)fd; /* nothing here loses power */
    return ask("fdatasync") > 0 ? -1 : 0;
}
