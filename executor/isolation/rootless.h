/* SPDX-License-Identifier: MIT
 *
 * Chroot isolation by an executor whose user is not root: the first child is cloned into a user
 * namespace that owns all the others, and so may mount, pivot and set its host's name in there. It
 * has no right on the host that the user does not have.
 *
 * What such a namespace may not do is done otherwise: device nodes are the host's, bound; proc and
 * sysfs, where no new ones may be mounted (user_namespaces(7)), are the host's, read-only.
 */
#pragma once

#include <sys/types.h>

#include "executor/isolation/plan.h"

/* Maps the executor's own user (spec.rootless), or waits until rootless_map() has mapped. */
int rootless_stage_ids(struct plan *plan, const char **ret_arg);

/* The executor's half where there are further ids: newuidmap(1) and newgidmap(1) map them for the
 * child `pid`, which is told the outcome over `report_fd`. Blocks while these run. */
void rootless_map(const struct exec_spec *spec, pid_t pid, int report_fd);

/* Shows the host's /dev/<name>. */
int rootless_show_device(int root_fd, const char *name);

/* Shows the host's `fs` ("/proc", "/sys") read-only, with what is mounted below it. */
int rootless_show_kernel(const struct plan *plan, const char *fs);
