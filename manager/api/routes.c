/* SPDX-License-Identifier: MIT
 *
 * The table of the API.
 */
#include "manager/api/handlers.h"
#include "manager/api/router.h"
#include "shared/cleanup.h"

const struct route api_routes[] = {
    {HTTP_GET, "/v1/agent/health", NULL, false, agent_health},
    {HTTP_GET, "/v1/agent/self", NULL, false, agent_self},
    {HTTP_GET, "/v1/nodes", NULL, false, node_list},
    {HTTP_GET, "/v1/node/", "", false, node_read},
    {HTTP_PUT, "/v1/system/stop-all", NULL, false, system_stop_all}, /* ours */
};
const size_t api_n_routes = ARRAY_LEN(api_routes);
