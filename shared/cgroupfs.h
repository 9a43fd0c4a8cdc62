/* SPDX-License-Identifier: MIT
 *
 * One control group as a directory of files, of either version: read, write, freeze, kill, remove.
 * Groups that a task made below its own are part of it. cgroups(7), and in the kernel's
 * documentation admin-guide/cgroup-v2.rst and admin-guide/cgroup-v1/.
 *
 * `dir` is a descriptor of the group's directory; O_PATH will do.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* One write(2) of the whole text. Negative errno. */
int cgroupfs_write(int dir, const char *file, const char *text);
int cgroupfs_write_number(int dir, const char *file, uint64_t number);

/* One read(2) of up to size - 1 bytes, terminated. Returns how many, or a negative errno. */
ssize_t cgroupfs_read(int dir, const char *file, char *buf, size_t size);

/* The number a file consists of; "max" is UINT64_MAX. Negative errno, -EINVAL for no number. */
int cgroupfs_read_number(int dir, const char *file, uint64_t *ret_number);

/* The number behind `key` at the start of a line of `text`; 0 when there is no such line. */
uint64_t cgroupfs_value(const char *text, const char *key);

/* Stops or continues every process of the group, by cgroup.freeze or freezer.state. It is asked
 * for, not waited for. -ENOENT: the group cannot freeze. */
int cgroupfs_freeze(int dir, bool frozen);

/* SIGKILLs every process of the group: through cgroup.kill; else frozen and one by one; where the
 * group cannot freeze either, in rounds until a round finds nobody. A process that forks faster
 * than that is caught by calling again, as the caller does until the group can be removed. */
int cgroupfs_kill(int dir);

/* Removes the group `name` and those below it. -EBUSY: a process is left. 0 when it is not there.
 */
int cgroupfs_remove(int parent, const char *name);
