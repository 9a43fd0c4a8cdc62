/* SPDX-License-Identifier: MIT
 *
 * Stands between code under test and the system calls it changes files with, so that a test can let
 * one fail, write short, or be the last one before a crash. Link with cleat_test_syscalls.
 */
#pragma once

enum {
    SYSCALL_GO_ON = 0, /* a positive verdict is the errno to fail with */
    SYSCALL_SHORT = -1 /* write(2) writes the first half only, others go on */
};

/* Asked before each write, pread, openat, unlinkat, renameat and fdatasync; it may also not come
 * back (longjmp, _exit). Asked for fstatfs, an errno means that the file system is full, ENOSYS
 * that it has no size. NULL: all go on. */
extern int (*syscall_verdict)(const char *name);
