/* SPDX-License-Identifier: MIT
 *
 * What a scheduler of many nodes would find out by finding none: on one host it is said at once.
 */
#include "manager/host/fit.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "shared/cleanup.h"

static char *datacenter_why_not(const struct job *job, const struct config *config)
{
    char all[160] = "", *why;
    size_t n = 0;

    if (!config->datacenter)
        return NULL;
    for (char **name = job->datacenters; *name; name++) {
        if (fnmatch(*name, config->datacenter, 0) == 0)
            return NULL;
        if (n < sizeof(all))
            n += (size_t)snprintf(all + n, sizeof(all) - n, "%s\"%s\"", n ? ", " : "", *name);
    }
    if (asprintf(&why,
                 "no node is in the job's datacenters, %s: this one is in \"%.64s\"; add that to "
                 "\"datacenters\", or \"*\" for any",
                 all, config->datacenter) < 0)
        abort();
    return why;
}

/* Every node is in "all"; and a job that names none, which is then "default", runs on the only one.
 */
static char *pool_why_not(const struct job *job, const struct config *config)
{
    const char *pool = config->node_pool ? config->node_pool : "default";
    char *why;

    if (strcmp(job->node_pool, pool) == 0 || strcmp(job->node_pool, "all") == 0 ||
        strcmp(job->node_pool, "default") == 0)
        return NULL;
    if (asprintf(
            &why,
            "no node is in the job's node pool, \"%.64s\": this one is in \"%.64s\"; name that "
            "in \"node_pool\", or \"all\" for any",
            job->node_pool, pool) < 0)
        abort();
    return why;
}

char *fit_why_not(const struct job *job, const struct config *config)
{
    char *why = datacenter_why_not(job, config);

    return why ? why : pool_why_not(job, config);
}

int64_t fit_free_mb(const struct config *config)
{
    autofree char *dir = config_alloc_dir(config, NULL);
    struct statvfs fs;
    int64_t free_mb;

    if (statvfs(dir, &fs) < 0 || !fs.f_blocks)
        return -1;
    free_mb = (int64_t)((uint64_t)fs.f_bavail * fs.f_frsize >> 20) - config->reserved.disk_mb;
    return free_mb > 0 ? free_mb : 0;
}

char *fit_disk_why_not(const struct job_group *group, int64_t free_mb, const struct config *config)
{
    char reserved[48] = "", *why;

    if (free_mb < 0 || group->disk.size_mb == JOB_DEFAULT_DISK_MB || group->disk.size_mb <= free_mb)
        return NULL;
    if (config->reserved.disk_mb)
        (void)snprintf(reserved, sizeof(reserved), ", beside the %lld reserved",
                       (long long)config->reserved.disk_mb);
    if (asprintf(&why,
                 "the dimension \"disk\" is exhausted: ephemeral_disk asks for %lld MiB, and %lld "
                 "are free where allocations are%s; make room there, or ask for less",
                 (long long)group->disk.size_mb, (long long)free_mb, reserved) < 0)
        abort();
    return why;
}
