/* SPDX-License-Identifier: MIT
 *
 * A job names a volume of the agent's configuration, never a path. Whether the path is there is
 * looked at when a job comes in; when a task starts, it is the executor that finds out. What is in
 * a volume is nobody's business here: it is mounted in tasks' own mount namespaces only, so that
 * nothing that clears up allocations ever meets it.
 */
#include "manager/alloc/volumes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/host/rootless.h"
#include "shared/cleanup.h"
#include "shared/job/volume.h"
#include "shared/log.h"

void volumes_warn(const struct config *config)
{
    for (size_t i = 0; i < config->n_volumes; i++)
        if (access(config->volumes[i].path, F_OK) < 0)
            log_warn(
                "host_volume \"%s\": %s: %s; jobs that ask for it are refused until it is there",
                config->volumes[i].name, config->volumes[i].path, strerror(errno));
}

json_t *volumes_json(const struct config *config)
{
    json_t *all = json_object();

    for (size_t i = 0; i < config->n_volumes; i++) {
        const struct config_volume *v = &config->volumes[i];

        (void)json_object_set_new(all, v->name,
                                  json_pack("{s:s, s:s, s:b}", "Name", v->name, "Path", v->path,
                                            "ReadOnly", v->read_only));
    }
    return all;
}

static int fail_missing(const struct config *config, const char *name, struct err *e)
{
    char all[160] = "none";
    size_t n = 0;

    for (size_t i = 0; i < config->n_volumes && n < sizeof(all); i++)
        n += (size_t)snprintf(all + n, sizeof(all) - n, "%s\"%s\"", i ? ", " : "",
                              config->volumes[i].name);
    return err_set(e, -EINVAL,
                   "this node has no host volume \"%.64s\", but %s; name one of these, or have "
                   "host_volume \"%.64s\" { path = \"…\" } put into the client block of the "
                   "agent's configuration",
                   name, all, name);
}

const struct config_volume *volumes_find(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->n_volumes; i++)
        if (strcmp(config->volumes[i].name, name) == 0)
            return &config->volumes[i];
    return NULL;
}

bool volumes_propagates(const struct config_volume *volume, enum job_propagation mode)
{
    autoclose FILE *mounts = fopen("/proc/self/mountinfo", "re");
    struct statx st = {0};
    char *line = NULL;
    size_t size = 0;
    bool found = false, does = mode == JOB_PROPAGATION_PRIVATE;

    (void)statx(AT_FDCWD, volume->path, 0, STATX_MNT_ID, &st);
    while (!does && mounts && !found && getline(&line, &size, mounts) > 0) {
        found = strtoull(line, NULL, 10) == st.stx_mnt_id;
        /* Blanks in paths are escaped there: these can only be the tags. */
        does = found && (strstr(line, " shared:") ||
                         (mode == JOB_PROPAGATION_HOST_TO_TASK && strstr(line, " master:")));
    }
    free(line);
    return does;
}

/* The host volume that `volume` asks for. */
static int find(const struct config *config, const struct job_volume *volume,
                const struct config_volume **ret, struct err *e)
{
    const struct config_volume *found = volumes_find(config, volume->source);

    if (!found)
        return fail_missing(config, volume->source, e);
    if (found->read_only && !volume->read_only)
        return err_set(e, -EINVAL,
                       "the host volume \"%.64s\" is read-only on this node; add read_only = true "
                       "to volume \"%.64s\" of the job",
                       volume->source, volume->name);
    *ret = found;
    return 0;
}

int volumes_check(const struct config *config, const struct job_group *group, struct err *e)
{
    for (size_t i = 0; i < group->n_volumes; i++) {
        const struct config_volume *volume;
        int r = find(config, &group->volumes[i], &volume, e);

        if (!r && access(volume->path, F_OK) < 0)
            r = err_set(e, -EINVAL,
                        "the host volume \"%s\" is at %s, where there is none (%s); make it, or "
                        "mend host_volume in the agent's configuration",
                        volume->name, volume->path, strerror(errno));
        if (r)
            return r;
    }
    return 0;
}

int volumes_check_driver(const struct job_task *task, const struct driver *driver,
                         const struct config *config, struct err *e)
{
    if (!task->n_volume_mounts)
        return 0;
    if (driver->isolation != SPEC_ISOLATION_CHROOT)
        return err_set(e, -EINVAL,
                       "the driver %s shows its tasks the host's own files and mounts no volumes; "
                       "remove volume_mount and use the host's path, or use the driver exec",
                       driver->name);
    for (size_t i = 0; i < task->n_volume_mounts && rootless_get(config)->on; i++)
        if (task->volume_mounts[i].propagation == JOB_PROPAGATION_BIDIRECTIONAL)
            return err_set(e, -EINVAL,
                           "only root can let a task's mounts appear on the host; use "
                           "propagation_mode \"private\" or \"host-to-task\", or start "
                           "cleat-manager as root");
    return 0;
}

static const enum spec_propagation propagations[JOB_PROPAGATION_N] = {
    [JOB_PROPAGATION_PRIVATE] = SPEC_PROPAGATION_PRIVATE,
    [JOB_PROPAGATION_HOST_TO_TASK] = SPEC_PROPAGATION_SLAVE,
    [JOB_PROPAGATION_BIDIRECTIONAL] = SPEC_PROPAGATION_SHARED,
};

/* A directory is shorter than what is in it: so none hides another. */
static int by_depth(const void *a, const void *b)
{
    const struct spec_mount *x = a, *y = b;
    size_t m = strlen(x->target), n = strlen(y->target);

    return (m > n) - (m < n);
}

int volumes_plan(const struct config *config, const struct task *task, const struct taskenv *env,
                 struct bag *bag, struct exec_spec *spec, struct err *e)
{
    const struct job_task *def = task->def;

    spec->mounts = bag_alloc(bag, def->n_volume_mounts * sizeof(*spec->mounts));
    for (size_t i = 0; i < def->n_volume_mounts; i++) {
        const struct job_volume_mount *m = &def->volume_mounts[i];
        const struct job_volume *volume = job_group_find_volume(task->alloc->group, m->volume);
        char *target = taskenv_expand(env, m->destination, bag);
        const struct config_volume *host;
        int r = find(config, volume, &host, e);

        if (!r)
            r = volume_check_destination(target, e);
        if (r)
            return r;
        spec->mounts[i] = (struct spec_mount){
            .source = host->path,
            .target = target,
            .read_only = m->read_only || volume->read_only,
            .propagation = propagations[m->propagation],
        };
    }
    spec->n_mounts = def->n_volume_mounts;
    qsort(spec->mounts, spec->n_mounts, sizeof(*spec->mounts), by_depth);
    return 0;
}
