/* SPDX-License-Identifier: MIT
 *
 * System calls without libc in between, for a process that is woken for one line: its caches are
 * cold, each page that it touches costs it up to 1 µs (measured), and functions of libc lie in
 * pages of their own. An error is a negative errno; errno itself stays as it is.
 *
 * The registers are those of syscall(2), "Architecture calling conventions". Elsewhere, and with
 * DIRECT_BY_LIBC (for tests that put functions of their own there), libc is called after all.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define DIRECT __attribute__((always_inline)) static inline

/* What is done for each line: the linker puts it together, apart from the rest; and no canary is
 * looked at, which has a page, too: so no buffer in it may be filled by its contents. */
#define QUICK __attribute__((hot, no_stack_protector))

#if defined(__x86_64__) && !defined(DIRECT_BY_LIBC)

DIRECT long direct_call(long number, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = 0;
    long r;

    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return r;
}

#elif defined(__aarch64__) && !defined(DIRECT_BY_LIBC)

DIRECT long direct_call(long number, long a, long b, long c, long d)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = 0;

    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}

#else

#undef DIRECT_BY_LIBC
#define DIRECT_BY_LIBC

DIRECT long direct_result(long r)
{
    return r < 0 ? -errno : r;
}

#endif

DIRECT ssize_t direct_read(int fd, void *buf, size_t size)
{
#ifdef DIRECT_BY_LIBC
    return direct_result(read(fd, buf, size));
#else
    return direct_call(SYS_read, fd, (long)buf, (long)size, 0);
#endif
}

DIRECT ssize_t direct_write(int fd, const void *buf, size_t size)
{
#ifdef DIRECT_BY_LIBC
    return direct_result(write(fd, buf, size));
#else
    return direct_call(SYS_write, fd, (long)buf, (long)size, 0);
#endif
}

/* Whether the file behind `fd` has no name left. */
DIRECT bool direct_is_removed(int fd)
{
    struct stat st;

#ifdef DIRECT_BY_LIBC
    return fstat(fd, &st) == 0 && st.st_nlink == 0;
#else
    return direct_call(SYS_fstat, fd, (long)&st, 0, 0) == 0 && st.st_nlink == 0;
#endif
}

/* Without a limit in time. */
DIRECT int direct_epoll_wait(int epfd, struct epoll_event *events, int max)
{
#if defined(DIRECT_BY_LIBC)
    return (int)direct_result(epoll_wait(epfd, events, max, -1));
#elif defined(SYS_epoll_wait)
    return (int)direct_call(SYS_epoll_wait, epfd, (long)events, max, -1);
#else /* its fifth argument, a signal mask, is NULL */
    return (int)direct_call(SYS_epoll_pwait, epfd, (long)events, max, -1);
#endif
}
