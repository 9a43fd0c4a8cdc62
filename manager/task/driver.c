/* SPDX-License-Identifier: MIT
 *
 * The list of drivers, and what the two that run a command have in common.
 */
#include "manager/task/driver.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "manager/alloc/limits.h"
#include "manager/alloc/volumes.h"
#include "manager/host/rootless.h"
#include "manager/task/denied.h"
#include "manager/task/templates.h"
#include "shared/cleanup.h"

static const char *const command_line[] = {"command", "args"};

const struct driver *const drivers[] = {&driver_exec, &driver_raw_exec, NULL};

const struct driver *driver_find(const char *name)
{
    for (size_t i = 0; drivers[i]; i++)
        if (strcmp(drivers[i]->name, name) == 0)
            return drivers[i];
    return NULL;
}

int driver_read_resolved(const struct driver *driver, const struct job_task *task,
                         const struct config *config, const struct taskenv *env,
                         struct driver_config *ret, struct err *e)
{
    const struct interpolation in = taskenv_interpolation(env);
    json_t *resolved = interpolate_json(&in, task->config);
    int r;

    /* The command line is split first and replaced then. */
    for (size_t i = 0; i < ARRAY_LEN(command_line); i++) {
        json_t *written = json_object_get(task->config, command_line[i]);

        if (written)
            (void)json_object_set(resolved, command_line[i], written);
    }
    r = driver_config_read(task, resolved, ret, e);
    json_decref(resolved);
    if (r || !driver->check)
        return r;
    r = driver->check(config, ret, e);
    if (r) {
        driver_config_deinit(ret);
        *ret = (struct driver_config){0};
    }
    return r;
}

const char *driver_problem(const struct driver *driver, const struct config *config,
                           const struct cgroup_layout *cgroup, bool *ret_detected)
{
    *ret_detected = false;
    if (!config_allows_driver(config, driver->name))
        return "\"driver.allowlist\" or \"driver.denylist\" in client { options { } } of the "
               "agent's "
               "configuration keep it from jobs";
    return driver->problem(config, cgroup, ret_detected);
}

/* A user that hangs on a variable is known when the task starts, not before. */
static int check_user(const struct driver *driver, const struct job_task *task,
                      const struct config *config, const struct driver_config *options,
                      struct err *e)
{
    const struct rootless *rootless = rootless_get(config);

    bool isolated = driver->isolation == SPEC_ISOLATION_CHROOT;

    if (strstr(task->user, "${"))
        return 0;
    if (!rootless->on)
        return denied_check_user(config, driver->name,
                                 !*task->user && driver->default_user ? driver->default_user
                                                                      : task->user,
                                 isolated && options->userns, e);
    return rootless_check(rootless, task->user, isolated, options->userns, e);
}

int driver_check(const struct job_task *task, const struct config *config,
                 const struct cgroup_layout *cgroup, struct err *e)
{
    const struct driver *driver = driver_find(task->driver);
    struct driver_config options;
    const char *problem;
    bool detected;
    int r;

    if (!driver)
        return err_set(e, -EINVAL, "unknown driver \"%s\"; this node has exec and raw_exec",
                       task->driver);
    problem = driver_problem(driver, config, cgroup, &detected);
    if (problem)
        return err_set(e, -EINVAL, "driver %s can't run here: %s", driver->name, problem);
    r = driver_config_read(task, NULL, &options, e);
    if (r)
        return r;
    r = limits_check(task, &options, cgroup, e);
    if (!r)
        r = volumes_check_driver(task, driver, config, e);
    if (!r)
        r = check_user(driver, task, config, &options, e);
    if (!r && driver->check)
        r = driver->check(config, &options, e);
    if (!r)
        r = templates_check(task, config, e);
    driver_config_deinit(&options);
    return r;
}

void driver_set_process(const struct driver_config *options, const struct taskenv *env,
                        struct bag *bag, struct exec_spec *spec)
{
    char *(*expand)(const struct interpolation *, const char *, struct bag *) =
        options->legacy_args ? interpolate_legacy : interpolate;
    const struct interpolation in = taskenv_interpolation(env);
    size_t n = 0;

    while (options->args[n])
        n++;
    spec->args = bag_alloc(bag, (n + 2) * sizeof(*spec->args));
    spec->args[0] = expand(&in, options->command, bag);
    for (size_t i = 0; i < n; i++)
        spec->args[i + 1] = expand(&in, options->args[i], bag);
    if (*options->work_dir)
        spec->work_dir = bag_strdup(bag, options->work_dir);
    if (*options->stdin_path)
        spec->stdin_path = bag_strdup(bag, options->stdin_path);
    spec->oom_score_adj = (int)options->oom_score_adj;
    spec->nice = (int)options->nice;
    spec->rlimits = bag_alloc(bag, options->n_ulimits * sizeof(*spec->rlimits));
    spec->n_rlimits = options->n_ulimits;
    for (size_t i = 0; i < options->n_ulimits; i++)
        spec->rlimits[i] = (struct spec_rlimit){(uint32_t)options->ulimits[i].resource,
                                                options->ulimits[i].soft, options->ulimits[i].hard};
}

static int look_up_user(const char *user, struct bag *bag, struct passwd *pw)
{
    struct passwd *found = NULL;
    size_t size = 1024;
    int r;

    do {
        r = getpwnam_r(user, pw, bag_alloc(bag, size), size, &found);
        size *= 4;
    } while (r == ERANGE && size < 1 << 20);
    if (r && r != ENOENT && r != ESRCH)
        return -r;
    return found ? 0 : -EINVAL;
}

int driver_set_user(const char *user, struct bag *bag, struct exec_spec *spec, struct err *e)
{
    struct passwd pw;
    gid_t *groups;
    int n = 32, r;

    r = look_up_user(user, bag, &pw);
    if (r == -EINVAL)
        return err_set(e, r,
                       "unknown user \"%s\": add it to this host, or name another in the task's "
                       "\"user\"",
                       user);
    if (r)
        return err_sys(e, r, "look up user \"%s\"", user);
    groups = bag_alloc(bag, (size_t)n * sizeof(*groups));
    if (getgrouplist(user, pw.pw_gid, groups, &n) < 0) {
        groups = bag_alloc(bag, (size_t)n * sizeof(*groups));
        if (getgrouplist(user, pw.pw_gid, groups, &n) < 0)
            return err_set(e, -EIO, "the groups of user \"%s\" changed while they were read", user);
    }
    spec->user = bag_strdup(bag, user);
    spec->uid = pw.pw_uid;
    spec->gid = pw.pw_gid;
    spec->groups = groups;
    spec->n_groups = (size_t)n;
    spec->set_user = true;
    return 0;
}
