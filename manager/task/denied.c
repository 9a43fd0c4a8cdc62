/* SPDX-License-Identifier: MIT
 *
 * The list of users is looked at when a job comes in, as far as no variable hangs on it, and again
 * at each start; the ids at each start only, since that is when the user is looked up.
 */
#include "manager/task/denied.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "manager/host/rootless.h"

int denied_check_user(const struct config *config, const char *driver, const char *user,
                      bool confined, struct err *e)
{
    if (confined || rootless_get(config)->on || !config_lists(config->user_denylist, user) ||
        !config_lists(config->user_checked_drivers, driver))
        return 0;
    return err_set(
        e, -EPERM,
        "running as user \"%.64s\" is disallowed here for the driver %s: name another "
        "user, or take it out of client { options { \"user.denylist\" } } of the agent's "
        "configuration",
        user, driver);
}

static int fail_id(const char *driver, const char *what, unsigned int id,
                   const struct exec_spec *spec, struct err *e)
{
    return err_set(e, -EPERM,
                   "user \"%s\" has the %s %u, which denied_host_%ss of plugin \"%s\" keeps from "
                   "tasks; name another user",
                   spec->user ? spec->user : "(the manager's)", what, id, what, driver);
}

int denied_check_ids(const struct config *config, const char *driver, const struct exec_spec *spec,
                     struct err *e)
{
    const struct config_denied *denied =
        strcmp(driver, "raw_exec") == 0 ? &config->raw_exec_denied : &config->exec_denied;

    uid_t uid = spec->set_user ? spec->uid : geteuid();
    gid_t gid = spec->set_user ? spec->gid : getegid();

    if (config_has_number(denied->host_uids, uid))
        return fail_id(driver, "uid", uid, spec, e);
    if (config_has_number(denied->host_gids, gid))
        return fail_id(driver, "gid", gid, spec, e);
    for (size_t i = 0; i < spec->n_groups; i++)
        if (config_has_number(denied->host_gids, spec->groups[i]))
            return fail_id(driver, "gid", spec->groups[i], spec, e);
    return 0;
}
