/* SPDX-License-Identifier: MIT
 *
 * Host volumes: directories and files of this host that the agent's configuration lets jobs see.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "manager/bag.h"
#include "manager/config/config.h"
#include "manager/state.h"
#include "manager/task/driver.h"
#include "manager/task/taskenv.h"
#include "shared/err.h"
#include "shared/proto/spec.h"

/* Logs those that are not there. */
void volumes_warn(const struct config *config);

/* The node's HostVolumes. */
json_t *volumes_json(const struct config *config);

/* NULL: there is none of that name. */
const struct config_volume *volumes_find(const struct config *config, const char *name);

/* Whether its mount on this host lets later mounts through as `mode` asks. */
bool volumes_propagates(const struct config_volume *volume, enum job_propagation mode);

/* Whether this node has what the volumes of `group` ask for. -EINVAL with the cause and the mend.
 */
int volumes_check(const struct config *config, const struct job_group *group, struct err *e);

/* Whether `driver` can show `task` its volumes as it asks. -EINVAL likewise. */
int volumes_check_driver(const struct job_task *task, const struct driver *driver,
                         const struct config *config, struct err *e);

/* Fills the mounts of `spec`. -EINVAL: the configuration is not what it was when the job came in,
 * or a variable made a destination that cannot be. */
int volumes_plan(const struct config *config, const struct task *task, const struct taskenv *env,
                 struct bag *bag, struct exec_spec *spec, struct err *e);
