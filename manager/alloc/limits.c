/* SPDX-License-Identifier: MIT
 *
 * Nomad's rules: MHz are cpu.shares; what secrets/ may hold is of the task's memory, and taken off
 * its limits; memory_max raises the hard limit, and memory is then what the
 * task keeps when memory runs short; a hard CPU limit is the task's part of the node's MHz. Where
 * a host cannot keep a limit that was asked for, the job is refused; defaults go without.
 */
#include "manager/alloc/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager/core.h"
#include "manager/host/fingerprint.h"

enum {
    DEFAULT_PERIOD_US = 100000,
    LEAST_QUOTA_US = 1000, /* the kernel's */
};

static int refuse(struct err *e, const char *option, const char *controller)
{
    return err_set(e, -EINVAL,
                   "\"%s\" needs the cgroup controller \"%s\", which this host does not have (or "
                   "does not hand down); leave it out",
                   option, controller);
}

int limits_check(const struct job_task *def, const struct driver_config *options,
                 const struct cgroup_layout *cgroup, struct err *e)
{
    if (def->resources.pids && !cgroup->pids)
        return refuse(e, "pids", "pids");
    if (def->resources.cores && !cgroup->cpuset)
        return refuse(e, "cores", "cpuset");
    if (def->resources.memory_max_mb && !cgroup->memory)
        return refuse(e, "memory_max", "memory");
    if (options->cpu_hard_limit && !cgroup->cpu)
        return refuse(e, "cpu_hard_limit", "cpu");
    return 0;
}

static void plan_cpu(const struct task *task, const struct driver_config *options,
                     const json_t *attributes, struct exec_spec *spec)
{
    const struct job_resources *res = &task->def->resources;
    uint64_t core_mhz = fingerprint_core_mhz(attributes), mhz = (uint64_t)res->cpu_mhz;

    if (res->cores)
        mhz = (uint64_t)res->cores * core_mhz;
    spec->cpu_shares = mhz;
    spec->limits.cpus = task->cpus;
    if (!options->cpu_hard_limit)
        return;
    spec->limits.cpu_period_us =
        options->cpu_cfs_period ? (uint64_t)options->cpu_cfs_period : DEFAULT_PERIOD_US;
    spec->limits.cpu_quota_us = mhz * spec->limits.cpu_period_us / core_mhz;
    if (spec->limits.cpu_quota_us < LEAST_QUOTA_US)
        spec->limits.cpu_quota_us = LEAST_QUOTA_US;
}

static void plan_memory(const struct job_resources *res, struct exec_spec *spec)
{
    uint64_t memory = (uint64_t)(res->memory_mb - res->secrets_mb) << 20;

    spec->memory_bytes = memory;
    if (!res->memory_max_mb)
        return;
    spec->limits.memory_low_bytes = memory;
    spec->memory_bytes =
        res->memory_max_mb < 0 ? 0 : (uint64_t)(res->memory_max_mb - res->secrets_mb) << 20;
}

static uint64_t pids_of(const struct task *task, const struct config *config)
{
    if (task->def->resources.pids)
        return (uint64_t)task->def->resources.pids;
    return (uint64_t)(strcmp(task->def->driver, "raw_exec") == 0 ? config->raw_exec_pids_limit
                                                                 : config->exec_pids_limit);
}

void limits_plan(const struct task *task, const struct driver_config *options,
                 const struct config *config, const struct cgroup_layout *cgroup,
                 const json_t *attributes, struct exec_spec *spec)
{
    spec->cgroup = cgroup->dirs;
    if (cgroup->shared && cgroup->dirs.v2_controllers && !task->cpus)
        spec->cgroup.unified = cgroup->shared;
    plan_cpu(task, options, attributes, spec);
    plan_memory(&task->def->resources, spec);
    if (cgroup->pids)
        spec->limits.pids = pids_of(task, config);
    spec->limits.own_devices = spec->isolation == SPEC_ISOLATION_CHROOT && cgroup->devices;
    spec->limits.io_weight = (uint32_t)options->io_weight;
    spec->limits.oom_group = options->oom_group;
}

/* Counts what the task claims while it has an executor, or is to get another. True: that changed.
 */
static bool count_claim(struct manager *m, struct task *task)
{
    const struct job_resources *res = &task->def->resources;
    bool live =
        task->machine.phase == TASK_PHASE_SUPERVISED || task->machine.phase == TASK_PHASE_WAITING;
    uint64_t now = res->memory_max_mb && live ? (uint64_t)res->memory_mb << 20 : 0;

    if (now == task->kept)
        return false;
    if (now)
        task->kept_own = !m->cgroup.shared || task->cpus;
    *(task->kept_own ? &m->kept_own : &m->kept_shared) += now - task->kept;
    task->kept = now;
    return true;
}

static bool count_claims(struct manager *m, struct alloc *alloc)
{
    bool changed = false;

    for (size_t i = 0; i < alloc->group->n_tasks; i++)
        changed |= count_claim(m, &alloc->tasks[i]);
    return changed;
}

void limits_protect(struct manager *m, struct alloc *changed)
{
    if (!m->cgroup.dirs.v2_controllers || (changed && !count_claims(m, changed)))
        return;
    for (struct alloc *alloc = changed ? NULL : m->allocs; alloc; alloc = alloc->next)
        (void)count_claims(m, alloc);
    cgroup_layout_protect(&m->cgroup, m->kept_shared, m->kept_own);
}
