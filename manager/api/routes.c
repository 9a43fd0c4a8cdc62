/* SPDX-License-Identifier: MIT
 *
 * The table of the API.
 */
#include "manager/api/handlers.h"
#include "manager/api/router.h"
#include "shared/cleanup.h"

const struct route api_routes[] = {
    {HTTP_GET, "/v1/jobs", NULL, false, job_list},
    {HTTP_PUT, "/v1/jobs", NULL, false, job_register},
    {HTTP_PUT, "/v1/jobs/parse", NULL, false, job_parse},
    {HTTP_PUT, "/v1/validate/job", NULL, false, job_validate},
    {HTTP_GET, "/v1/job/", "/allocations", true, job_allocations},
    {HTTP_ANY, "/v1/job/", "/action", true, job_not_served},
    {HTTP_ANY, "/v1/job/", "/actions", true, job_not_served},
    {HTTP_GET, "/v1/job/", "/deployment", true, job_deployment},
    {HTTP_GET, "/v1/job/", "/deployments", true, job_deployments},
    {HTTP_PUT, "/v1/job/", "/dispatch", true, job_dispatch},
    {HTTP_PUT, "/v1/job/", "/evaluate", true, job_evaluate},
    {HTTP_GET, "/v1/job/", "/evaluations", true, job_evaluations},
    {HTTP_PUT, "/v1/job/", "/periodic/force", true, job_periodic_force},
    {HTTP_PUT, "/v1/job/", "/plan", true, job_plan},
    {HTTP_PUT, "/v1/job/", "/revert", true, job_revert},
    {HTTP_GET, "/v1/job/", "/scale", true, job_scale_status},
    {HTTP_PUT, "/v1/job/", "/scale", true, job_scale},
    {HTTP_ANY, "/v1/job/", "/services", true, job_not_served},
    {HTTP_ANY, "/v1/job/", "/stable", true, job_not_served},
    {HTTP_ANY, "/v1/job/", "/submission", true, job_not_served},
    {HTTP_GET, "/v1/job/", "/summary", true, job_summary},
    {HTTP_ANY, "/v1/job/", "/version", true, job_not_served},
    {HTTP_GET, "/v1/job/", "/versions", true, job_versions},
    {HTTP_GET, "/v1/job/", "", true, job_read},
    {HTTP_PUT, "/v1/job/", "", true, job_register},
    {HTTP_DELETE, "/v1/job/", "", true, job_deregister},
    {HTTP_GET, "/v1/evaluations", NULL, false, eval_list},
    {HTTP_GET, "/v1/evaluation/", "/allocations", false, eval_allocations},
    {HTTP_GET, "/v1/evaluation/", "", false, eval_read},
    {HTTP_GET, "/v1/deployments", NULL, false, job_deployments},
    {HTTP_GET, "/v1/allocations", NULL, false, alloc_list},
    {HTTP_PUT, "/v1/allocation/", "/stop", false, alloc_stop_one},
    {HTTP_GET, "/v1/allocation/", "", false, alloc_read},
    {HTTP_WEBSOCKET, "/v1/client/allocation/", "/exec", false, alloc_exec},
    {HTTP_GET, "/v1/client/allocation/", "/exec", false, alloc_exec},
    {HTTP_GET, "/v1/client/allocation/", "/pause", false, alloc_pause_state},
    {HTTP_PUT, "/v1/client/allocation/", "/pause", false, alloc_pause},
    {HTTP_PUT, "/v1/client/allocation/", "/restart", false, alloc_restart},
    {HTTP_PUT, "/v1/client/allocation/", "/signal", false, alloc_signal},
    {HTTP_GET, "/v1/client/allocation/", "/stats", false, alloc_stats},
    {HTTP_GET, "/v1/client/fs/ls/", "", false, fs_ls},
    {HTTP_GET, "/v1/client/fs/stat/", "", false, fs_stat},
    {HTTP_GET, "/v1/client/fs/cat/", "", false, fs_cat},
    {HTTP_GET, "/v1/client/fs/readat/", "", false, fs_readat},
    {HTTP_GET, "/v1/client/fs/stream/", "", false, fs_stream},
    {HTTP_GET, "/v1/client/fs/logs/", "", false, fs_logs},
    {HTTP_GET, "/v1/nodes", NULL, false, node_list},
    {HTTP_GET, "/v1/node/", "", false, node_read},
    {HTTP_GET, "/v1/agent/self", NULL, false, agent_self},
    {HTTP_GET, "/v1/agent/health", NULL, false, agent_health},
    {HTTP_GET, "/v1/metrics", NULL, false, metrics_get},
    {HTTP_PUT, "/v1/system/gc", NULL, false, system_gc},
    {HTTP_PUT, "/v1/system/stop-all", NULL, false, system_stop_all},                   /* ours */
    {HTTP_PUT, "/v1/system/upgrade-executors", NULL, false, system_upgrade_executors}, /* ours */
};
const size_t api_n_routes = ARRAY_LEN(api_routes);
