/* SPDX-License-Identifier: MIT
 *
 * A task driver turns a task into a launch plan for the executor; it never starts anything itself.
 */
#pragma once

#include <stdbool.h>

#include "manager/bag.h"
#include "manager/cgroup_layout.h"
#include "manager/config.h"
#include "manager/state.h"
#include "manager/taskenv.h"
#include "shared/err.h"
#include "shared/proto/spec.h"

struct driver {
    const char *name;
    enum spec_isolation isolation;
    const char *default_user; /* NULL: the manager's own */

    /* NULL when tasks of this driver can run here; else why not, and the mend. `ret_detected` is
     * false where the driver does not exist as far as users are concerned. */
    const char *(*problem)(const struct config *config, const struct cgroup_layout *cgroup,
                           bool *ret_detected);

    /* Completes `spec`, whose common part is filled in. New pieces come from `bag`. */
    int (*plan)(const struct config *config, const struct task *task, struct taskenv *env,
                struct bag *bag, struct exec_spec *spec, struct err *e);
};

extern const struct driver driver_exec;
extern const struct driver driver_raw_exec;

/* NULL-terminated. */
extern const struct driver *const drivers[];

const struct driver *driver_find(const char *name);

/* -EINVAL, with the cause and the mend, if tasks of driver `name` can't run here. */
int driver_check(const char *name, const struct config *config, const struct cgroup_layout *cgroup,
                 struct err *e);

/* For drivers: `command` and `args` of the config, expanded, as argv. */
int driver_args(const struct task *task, const struct taskenv *env, struct bag *bag,
                char ***ret_args, struct err *e);

/* For drivers: looks up `user` and fills user, uid, gid, groups and set_user. -EINVAL when there is
 * no such user. */
int driver_set_user(const char *user, struct bag *bag, struct exec_spec *spec, struct err *e);
