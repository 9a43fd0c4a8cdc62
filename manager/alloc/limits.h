/* SPDX-License-Identifier: MIT
 *
 * From what a task asks for (resources, and the limits in its driver's config) to what its executor
 * writes into its cgroups.
 */
#pragma once

#include <jansson.h>

#include "manager/config/config.h"
#include "manager/state.h"
#include "shared/cgroup_layout.h"
#include "shared/err.h"
#include "shared/job/driver_config.h"
#include "shared/proto/spec.h"

/* Whether this host can keep the limits `def` asks for. -EINVAL, with what is missing. */
int limits_check(const struct job_task *def, const struct driver_config *options,
                 const struct cgroup_layout *cgroup, struct err *e);

/* Fills the cgroups, cpu_shares, memory_bytes and limits of `spec`; strings are borrowed. */
void limits_plan(const struct task *task, const struct driver_config *options,
                 const struct config *config, const struct cgroup_layout *cgroup,
                 const json_t *attributes, struct exec_spec *spec);

/* An allocation has changed: sees to it that tasks with memory_max keep what they claim. NULL: at
 * the start, for all of them. */
void limits_protect(struct manager *m, struct alloc *changed);
