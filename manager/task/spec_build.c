/* SPDX-License-Identifier: MIT
 *
 * Assembled in a bag, encoded, and thrown away: the file is the only copy. What all drivers share
 * is filled in here, the rest by the driver.
 */
#include "manager/task/spec_build.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "manager/alloc/limits.h"
#include "manager/alloc/volumes.h"
#include "manager/bag.h"
#include "manager/host/rootless.h"
#include "manager/task/denied.h"
#include "manager/task/driver.h"
#include "manager/task/taskenv.h"
#include "shared/proto/spec.h"
#include "shared/units.h"

void spec_build_restart(const struct task *task, struct spec_restart *ret_restart)
{
    const struct job_restart *restart = &task->def->restart;

    *ret_restart = (struct spec_restart){
        .attempts = (uint32_t)restart->attempts,
        .interval_ns = (uint64_t)restart->interval_ns,
        .delay_ns = (uint64_t)restart->delay_ns,
        .mode = strcmp(restart->mode, "delay") == 0 ? SPEC_RESTART_DELAY : SPEC_RESTART_FAIL,
        .on_success = job_restarts_on_success(task->alloc->job->job->type, task->def),
    };
}

/* The tasks of a group share its disk: each one's logs may take an equal part. */
static struct spec_logs plan_logs(const struct job_logs *logs, const struct job_group *group)
{
    return (struct spec_logs){
        .max_files = (uint32_t)logs->max_files,
        .max_file_size = (uint64_t)logs->max_file_size_mb << 20,
        .disabled = logs->disabled,
        .max_age_ns = (uint64_t)logs->max_age_ns,
        .max_total_bytes = ((uint64_t)group->disk.size_mb << 20) / group->n_tasks,
        .compress = logs->compress == JOB_COMPRESS_GZIP ? SPEC_COMPRESS_GZIP : SPEC_COMPRESS_NONE,
        .compress_after_ns = (uint64_t)logs->compress_after_ns,
        .on_full = logs->on_full == JOB_ON_FULL_BLOCK ? SPEC_ON_FULL_BLOCK : SPEC_ON_FULL_DROP,
    };
}

int spec_build_terms(const struct config *config, const struct task *task,
                     struct spec_terms *ret_terms, struct err *e)
{
    const struct job_task *def = task->def;
    uint64_t timeout = (uint64_t)def->kill_timeout_ns;
    struct spec_terms terms = {
        .kill_signal = *def->kill_signal ? signal_parse(def->kill_signal) : SIGINT,
        .kill_timeout_ns =
            timeout > config->max_kill_timeout_ns ? config->max_kill_timeout_ns : timeout,
        .shutdown_delay_ns = (uint64_t)def->shutdown_delay_ns,
        .logs = plan_logs(&def->logs, task->alloc->group),
    };

    if (terms.kill_signal < 0)
        return err_set(e, -EINVAL, "unknown kill_signal \"%s\" of task \"%s\"", def->kill_signal,
                       def->name);
    spec_build_restart(task, &terms.restart);
    terms.id = spec_terms_id(&terms);
    *ret_terms = terms;
    return 0;
}

static int plan_common(const struct spec_build_input *in, const struct task *task, struct bag *bag,
                       struct exec_spec *spec, struct err *e)
{
    const struct job_task *def = task->def;
    const struct alloc *alloc = task->alloc;
    struct spec_terms terms;
    int r;

    spec->alloc_id = (char *)alloc->id;
    spec->task = def->name;
    spec->foreign_seq = task->status.seq + 1;
    spec->order = (char *)task->order;
    spec->definition = task->definition;
    spec->task_dir = bag_printf(bag, "%s/%s", alloc->dir, def->name);
    spec->shared_dir = bag_printf(bag, "%s/alloc", alloc->dir);
    spec->log_dir = bag_printf(bag, "%s/alloc/logs", alloc->dir);
    r = spec_build_terms(in->config, task, &terms, e);
    if (r)
        return r;
    spec->logs.disabled = terms.logs.disabled;
    spec_take_terms(spec, &terms);
    return 0;
}

static int plan_user(const struct driver *driver, const struct task *task,
                     const struct config *config, const struct driver_config *options,
                     const struct taskenv *env, struct bag *bag, struct exec_spec *spec,
                     struct err *e)
{
    const char *user = taskenv_expand(env, task->def->user, bag);
    bool isolated = spec->isolation == SPEC_ISOLATION_CHROOT;
    const struct rootless *rootless = rootless_get(config);
    int r;

    if (rootless->on) {
        r = rootless_check(rootless, user, isolated, options->userns, e);
        return r || !isolated ? r : rootless_plan(rootless, user, options->userns, bag, spec, e);
    }
    if (!*user)
        user = driver->default_user;
    r = denied_check_user(config, driver->name, user ? user : "", isolated && options->userns, e);
    if (!r && user)
        r = driver_set_user(user, bag, spec, e);
    return r ? r : denied_check_ids(config, driver->name, spec, e);
}

int spec_build(const struct spec_build_input *in, const struct task *task, char **ret_data,
               size_t *ret_size, struct err *e)
{
    const struct driver *driver = driver_find(task->def->driver);
    autobag struct bag bag = BAG_INIT;
    struct exec_spec spec = {0};
    struct taskenv env;
    struct driver_config options = {0};
    int r = driver_check(task->def, in->config, in->cgroup, e);

    if (!r)
        r = plan_common(in, task, &bag, &spec, e);
    if (r)
        return r;
    spec.isolation = driver->isolation;
    taskenv_of(&env, task);
    r = driver_read_resolved(driver, task->def, in->config, &env, &options, e);
    if (!r)
        r = plan_user(driver, task, in->config, &options, &env, &bag, &spec, e);
    if (!r) {
        limits_plan(task, &options, in->config, in->cgroup, in->attributes, &spec);
        r = driver->plan(in->config, &options, &env, &bag, &spec, e);
    }
    if (!r)
        r = volumes_plan(in->config, task, &env, &bag, &spec, e);
    if (driver == &driver_raw_exec)
        taskenv_drop(&env, in->config->raw_exec_denied.envvars);
    spec.env = taskenv_list(&env, &bag);
    driver_config_deinit(&options);
    taskenv_deinit(&env);
    if (r)
        return r;
    r = spec_encode(&spec, ret_data, ret_size);
    return r ? err_sys(e, r, "encode the launch plan of task \"%s\"", task->def->name) : 0;
}
