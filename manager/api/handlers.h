/* SPDX-License-Identifier: MIT
 *
 * The handlers of all routes, one file per resource.
 */
#pragma once

#include "manager/api/request.h"

/* agent.c */
void agent_health(struct request *r);
void agent_self(struct request *r);
void system_stop_all(struct request *r);

/* node.c */
void node_list(struct request *r);
void node_read(struct request *r);
