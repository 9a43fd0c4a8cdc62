/* SPDX-License-Identifier: MIT
 *
 * The directories of an allocation, as Nomad lays them out:
 *   <data_dir>/allocs/<id>                      0755 root
 *     alloc, alloc/{data,logs,tmp}              0777 nobody
 *     <task>, <task>/local                      0777 nobody
 *     <task>/tmp                                1777
 *     <task>/secrets                            0777, a tmpfs (noexec, nosuid, nodev)
 * Tasks may write in these: nothing here follows a link, whatever a task put there.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shared/err.h"

/* Makes the directory that all allocations are in, and those above it. */
int allocdir_make_all(const char *allocs_dir, struct err *e);

/* Makes the allocation's directory alone. */
int allocdir_make(const char *alloc_dir, struct err *e);

/* Makes the allocation's own directories; those there already are left as they are. */
int allocdir_build(const char *alloc_dir, struct err *e);

/* Makes a task's directories and mounts secrets/, of that many MiB, unless it is mounted. -EINVAL
 * for a task name that is no plain file name. */
int allocdir_build_task(const char *alloc_dir, const char *task, int64_t secrets_mb, struct err *e);

/* Adds a line, with the time, to the executor.out of a task whose executor cannot any more. It is
 * for people only: where there is none, or it is no plain file, nothing happens. */
void allocdir_say(const char *alloc_dir, const char *task, const char *text);

/* Unmounts a task's secrets/, if it is mounted. */
int allocdir_unmount_task(const char *alloc_dir, const char *task);

/* Unmounts all that is mounted below <allocs_dir>/<id>/ for every id that `keep` returns false for.
 */
void allocdir_unmount_others(const char *allocs_dir, bool (*keep)(void *arg, const char *id),
                             void *arg);
