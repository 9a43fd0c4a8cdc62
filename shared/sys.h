/* SPDX-License-Identifier: MIT
 *
 * System calls that glibc 2.35 (Ubuntu 22.04) has no function for, and nothing else. Every wrapper
 * returns what the kernel returns with errno set, as a libc function would. The oldest supported
 * kernel is 5.15, which has all of them; see syscalls(2) for the version of each.
 */
#pragma once

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* glibc 2.35 has none of these, glibc 2.36 has them in <sys/mount.h>, and <linux/mount.h> may not
 * be included beside that in either: so the few needed stand here. */
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 0x00000004
#define MOVE_MOUNT_T_EMPTY_PATH 0x00000040
#endif
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef MOUNT_ATTR_RDONLY
#define MOUNT_ATTR_RDONLY 0x00000001
#define MOUNT_ATTR_NOSUID 0x00000002
#define MOUNT_ATTR_NODEV 0x00000004
#define MOUNT_ATTR_NOEXEC 0x00000008
#endif

union bpf_attr; /* linux/bpf.h, which few need */

static inline int sys_bpf(int command, union bpf_attr *attr, unsigned int size)
{
    return (int)syscall(SYS_bpf, command, attr, size);
}

static inline int sys_quotactl_fd(int fd, unsigned int command, uint32_t id, void *data)
{
    return (int)syscall(SYS_quotactl_fd, fd, command, id, data);
}

static inline int sys_pidfd_open(pid_t pid, unsigned int flags)
{
    return (int)syscall(SYS_pidfd_open, pid, flags);
}

static inline int sys_pidfd_send_signal(int pidfd, int sig)
{
    return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

static inline pid_t sys_clone3(struct clone_args *args)
{
    return (pid_t)syscall(SYS_clone3, args, sizeof(*args));
}

static inline int sys_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode,
                              uint64_t resolve)
{
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};

    return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
}

static inline int sys_open_tree(int dirfd, const char *path, unsigned int flags)
{
    return (int)syscall(SYS_open_tree, dirfd, path, flags);
}

static inline int sys_move_mount(int from_fd, const char *from, int to_fd, const char *to,
                                 unsigned int flags)
{
    return (int)syscall(SYS_move_mount, from_fd, from, to_fd, to, flags);
}

static inline int sys_mount_setattr(int dirfd, const char *path, unsigned int flags,
                                    uint64_t attr_set, uint64_t propagation)
{
    uint64_t attr[4] = {attr_set, 0, propagation}; /* struct mount_attr; the last is a userns */

    return (int)syscall(SYS_mount_setattr, dirfd, path, flags, attr, sizeof(attr));
}

static inline int sys_pivot_root(const char *new_root, const char *put_old)
{
    return (int)syscall(SYS_pivot_root, new_root, put_old);
}

static inline int sys_seccomp(unsigned int operation, unsigned int flags, void *args)
{
    return (int)syscall(SYS_seccomp, operation, flags, args);
}

static inline int sys_close_range(unsigned int first, unsigned int last, unsigned int flags)
{
    return (int)syscall(SYS_close_range, first, last, flags);
}
