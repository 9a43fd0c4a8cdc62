/* SPDX-License-Identifier: MIT
 *
 * The task's own view of the file system: stages on the ROOT side, run inside the new mount
 * namespace.
 *
 * Every mount the task can write to is nodev, so that CAP_MKNOD (one of the default capabilities)
 * makes no way to a device; /dev itself is read-only once it is filled.
 */
#pragma once

#include "executor/isolation/plan.h"

int root_stage_private(struct plan *plan, const char **ret_arg);
int root_stage_open_volumes(struct plan *plan, const char **ret_arg);
int root_stage_base(struct plan *plan, const char **ret_arg);
int root_stage_binds(struct plan *plan, const char **ret_arg);
int root_stage_shared(struct plan *plan, const char **ret_arg);
int root_stage_dev(struct plan *plan, const char **ret_arg);
int root_stage_proc(struct plan *plan, const char **ret_arg);
int root_stage_sys(struct plan *plan, const char **ret_arg);
int root_stage_volumes(struct plan *plan, const char **ret_arg);
int root_stage_pivot(struct plan *plan, const char **ret_arg);
