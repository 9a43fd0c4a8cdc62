/* SPDX-License-Identifier: MIT
 *
 * What surrounds a task beside its root, ids and capabilities: namespaces that need setting up,
 * resource limits, priority, standard input.
 */
#pragma once

#include "executor/isolation/plan.h"

/* ROOT side. The cgroup namespace begins at the cgroups the process is in by then. */
int surroundings_stage_oom_score(struct plan *plan, const char **ret_arg);
int surroundings_stage_cgroup_namespace(struct plan *plan, const char **ret_arg);
int surroundings_stage_network(struct plan *plan, const char **ret_arg);
int surroundings_stage_hostname(struct plan *plan, const char **ret_arg);

/* TASK side. Limits and priority are set by the executor's user, who may raise them, standard input
 * is opened by the task's. */
int surroundings_stage_keyring(struct plan *plan, const char **ret_arg);
int surroundings_stage_limits(struct plan *plan, const char **ret_arg);
int surroundings_stage_nice(struct plan *plan, const char **ret_arg);
int surroundings_stage_stdin(struct plan *plan, const char **ret_arg);
