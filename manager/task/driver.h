/* SPDX-License-Identifier: MIT
 *
 * A task driver turns a task into a launch plan for the executor; it never starts anything itself.
 */
#pragma once

#include <stdbool.h>

#include "manager/bag.h"
#include "manager/config/config.h"
#include "manager/state.h"
#include "manager/task/taskenv.h"
#include "shared/cgroup_layout.h"
#include "shared/err.h"
#include "shared/job/driver_config.h"
#include "shared/proto/spec.h"

struct driver {
    const char *name;
    enum spec_isolation isolation;
    const char *default_user; /* NULL: the manager's own */

    /* NULL when tasks of this driver can run here; else why not, and the mend. `ret_detected` is
     * false where the driver does not exist as far as users are concerned. */
    const char *(*problem)(const struct config *config, const struct cgroup_layout *cgroup,
                           bool *ret_detected);

    /* Whether this node may run such a task at all; asked when the job is registered. NULL: yes.
     * -EINVAL with the cause and the mend. */
    int (*check)(const struct config *config, const struct driver_config *options, struct err *e);

    /* Completes `spec`, whose common part is filled in. New pieces come from `bag`. */
    int (*plan)(const struct config *config, const struct driver_config *options,
                struct taskenv *env, struct bag *bag, struct exec_spec *spec, struct err *e);
};

extern const struct driver driver_exec;
extern const struct driver driver_raw_exec;

/* NULL-terminated. */
extern const struct driver *const drivers[];

const struct driver *driver_find(const char *name);

/* Why this node runs no tasks of `driver`, for people; NULL: it does. */
const char *driver_problem(const struct driver *driver, const struct config *config,
                           const struct cgroup_layout *cgroup, bool *ret_detected);

/* -EINVAL, with the cause and the mend, if `task` can't run here. */
int driver_check(const struct job_task *task, const struct config *config,
                 const struct cgroup_layout *cgroup, struct err *e);

/* Reads the config of a task that is about to start, all ${…} but those of the command line
 * replaced, and checks it anew. -EINVAL likewise. */
int driver_read_resolved(const struct driver *driver, const struct job_task *task,
                         const struct config *config, const struct taskenv *env,
                         struct driver_config *ret, struct err *e);

/* For drivers: fills what all processes have, expanded: args, work_dir, stdin, limits, priorities.
 */
void driver_set_process(const struct driver_config *options, const struct taskenv *env,
                        struct bag *bag, struct exec_spec *spec);

/* For drivers: looks up `user` and fills user, uid, gid, groups and set_user. -EINVAL when there is
 * no such user. */
int driver_set_user(const char *user, struct bag *bag, struct exec_spec *spec, struct err *e);
