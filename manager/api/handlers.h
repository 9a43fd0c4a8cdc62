/* SPDX-License-Identifier: MIT
 *
 * The handlers of all routes, one file per resource, and what they share.
 */
#pragma once

#include "manager/api/request.h"
#include "manager/state.h"

/* agent.c */
void agent_health(struct request *r);
void agent_self(struct request *r);
void system_gc(struct request *r);
void system_stop_all(struct request *r);
void system_upgrade_executors(struct request *r);

/* metrics.c */
void metrics_get(struct request *r);

/* node.c */
void node_list(struct request *r);
void node_read(struct request *r);
void node_allocations(struct request *r);
void client_stats(struct request *r);

/* cluster.c */
void agent_members(struct request *r);
void agent_servers(struct request *r); /* … and the peers of Raft */
void status_leader(struct request *r);
void region_list(struct request *r);
void namespace_list(struct request *r);
void namespace_read(struct request *r);
void pool_list(struct request *r);
void pool_read(struct request *r);
void scheduler_config(struct request *r);
void empty_list(struct request *r); /* of what there can be none of: services … */
void empty_object(struct request *r);
void not_here(struct request *r); /* what Nomad has and one host does not */

/* search.c */
void search(struct request *r);

/* jobs.c */
void job_list(struct request *r);
void job_read(struct request *r);
void job_register(struct request *r);
void job_deregister(struct request *r);
void job_allocations(struct request *r);
void job_parse(struct request *r);
void job_validate(struct request *r);
void job_empty_list(struct request *r); /* of what jobs here have none of: services, actions */
void job_evaluate(struct request *r);
void job_not_served(struct request *r); /* what Nomad has below a job, and this release not */

/* job_plan.c */
void job_plan(struct request *r);

/* job_versions.c */
void job_versions(struct request *r);
void job_revert(struct request *r);
void job_scale(struct request *r);
void job_scale_status(struct request *r);
void job_summary(struct request *r);
void job_deployments(struct request *r); /* of one job, or all */
void job_deployment(struct request *r);

/* evals.c */
void job_evaluations(struct request *r);
void eval_list(struct request *r);
void eval_read(struct request *r);
void eval_allocations(struct request *r);

/* dispatch.c */
void job_dispatch(struct request *r);
void job_periodic_force(struct request *r);

/* allocs.c */
void alloc_list(struct request *r);
void alloc_read(struct request *r);
void alloc_stats(struct request *r);
void alloc_pause(struct request *r);
void alloc_pause_state(struct request *r);
void alloc_stop_one(struct request *r);
void alloc_restart(struct request *r);
void alloc_signal(struct request *r);
uint64_t alloc_newest_index(const struct manager *m); /* of the newest change of any */
struct alloc *find_alloc(struct request *r);          /* the path's; NULL after a 404 */

/* The task ?task= names; NULL after a 400. */
const struct task *find_task(struct request *r, const struct alloc *alloc);

/* exec.c */
void alloc_exec(struct request *r);
void exec_forget_all(struct api *api); /* after the last request */

/* fs.c */
void fs_ls(struct request *r);
void fs_stat(struct request *r);
void fs_cat(struct request *r);
void fs_readat(struct request *r);
void fs_stream(struct request *r);
bool param_origin(struct request *r, bool *ret_from_end); /* false after a 400 */

/* logs.c */
void fs_logs(struct request *r);
