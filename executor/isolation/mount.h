/* SPDX-License-Identifier: MIT
 *
 * Mounts in a root that is being built. The directory may have been filled with links by a hostile
 * task: every mount point is made and opened beneath the root's descriptor with
 * openat2(RESOLVE_NO_SYMLINKS), and mounts are moved onto descriptors, never onto paths.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What every mount a task sees has: the MOUNT_ATTR_* of sys.h. */
#define MOUNT_ATTR_TASK (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

/* Opens `path` (absolute in the new root) as a mount point, making what is missing: directories,
 * and an empty file at the end when `file`. An O_PATH descriptor or a negative errno. */
int mount_point(int root_fd, const char *path, bool file);

/* Attaches the detached `tree` (open_tree(2)) at `name`, no link, in `dir`; "": at `dir` itself. */
int mount_move(int tree, int dir, const char *name);

/* The same, with `attrs` (MOUNT_ATTR_*) added and `propagation` (MS_PRIVATE, MS_SLAVE, MS_SHARED;
 * 0: left alone) set on every mount in the tree. */
int mount_attach(int tree, int dir, const char *name, uint64_t attrs, unsigned long propagation);

/* Shows `source` (as `from_fd` sees it) at `target`. A source that does not exist is left out when
 * `optional`, as chroot_env has it. */
int mount_bind(int root_fd, int from_fd, const char *source, const char *target, uint64_t attrs,
               bool optional);

/* Mounts a new file system of `type` at `target`, or at the open `point`; `flags` are MS_*. */
int mount_new_at(int point, const char *type, unsigned long flags, const char *data);
int mount_new(int root_fd, const char *target, const char *type, unsigned long flags,
              const char *data);

/* Makes the mount at `fd`, which is attached, read-only. */
int mount_read_only(int fd);
