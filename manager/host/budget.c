/* SPDX-License-Identifier: MIT
 *
 * A task costs the manager two descriptors (the executor's pidfd and its event pipe), and the host
 * two processes, three with a stub init. Where no init system has a group for them, the executors
 * stay in the manager's own cgroup; that or a group above it may have a limit (TasksMax= of
 * systemd).
 */
#include "manager/host/budget.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "manager/core.h"
#include "shared/cleanup.h"
#include "shared/log.h"

enum {
    TASK_FDS = 2,
    OWN_FDS = 128, /* records, sockets, clients, a task that is just starting */
    TASK_PROCESSES = 2,
};

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The number in a file; UINT64_MAX where there is none, such as "max". */
static uint64_t read_limit(const char *path)
{
    autoclose FILE *f = fopen(path, "re");
    unsigned long long limit;

    return f && fscanf(f, "%llu", &limit) == 1 ? limit : UINT64_MAX;
}

/* The least pids.max from the group `path` of the hierarchy at `mount` up to its root. */
static uint64_t least_on_the_way(const char *mount, char *path)
{
    uint64_t least = UINT64_MAX;
    char *slash;

    while ((slash = strrchr(path, '/'))) {
        char file[PATH_MAX];

        (void)snprintf(file, sizeof(file), "%s%s/pids.max", mount, path);
        least = min_u64(least, read_limit(file));
        *slash = '\0';
    }
    return least;
}

/* Of this process's groups, at the mount points that all init systems use. */
static uint64_t cgroup_limit(void)
{
    autoclose FILE *f = fopen("/proc/self/cgroup", "re");
    uint64_t least = UINT64_MAX;
    char line[PATH_MAX];

    while (f && fgets(line, sizeof(line), f)) {
        char *controllers = strchr(line, ':'), *path;

        line[strcspn(line, "\n")] = '\0';
        path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (path && strncmp(controllers, ":pids:", 6) == 0)
            least = min_u64(least, least_on_the_way("/sys/fs/cgroup/pids", path + 1));
        else if (path && path == controllers + 1)
            least = min_u64(least, least_on_the_way("/sys/fs/cgroup", path + 1));
    }
    return least;
}

static uint64_t process_limit(void)
{
    uint64_t least =
        min_u64(read_limit("/proc/sys/kernel/pid_max"), read_limit("/proc/sys/kernel/threads-max"));
    struct rlimit own;

    least = min_u64(least, cgroup_limit());
    if (geteuid() != 0 && getrlimit(RLIMIT_NPROC, &own) == 0 && own.rlim_cur != RLIM_INFINITY)
        least = min_u64(least, own.rlim_cur);
    return least;
}

static uint64_t descriptor_limit(void)
{
    struct rlimit own; /* spawn_raise_limit() has raised it */

    return getrlimit(RLIMIT_NOFILE, &own) == 0 ? own.rlim_cur : UINT64_MAX;
}

static void set(json_t *attributes, const char *name, uint64_t limit)
{
    if (limit != UINT64_MAX)
        (void)json_object_set_new(attributes, name,
                                  json_sprintf("%llu", (unsigned long long)limit));
}

void budget_probe(json_t *attributes)
{
    uint64_t fds = descriptor_limit(), processes = process_limit();
    uint64_t room = fds > OWN_FDS ? (fds - OWN_FDS) / TASK_FDS : 0;

    set(attributes, "cleat.limit.descriptors", fds);
    set(attributes, "cleat.limit.processes", processes);
    log_info("room for at most %llu tasks: %llu descriptors, %llu processes",
             (unsigned long long)min_u64(room, processes / TASK_PROCESSES), (unsigned long long)fds,
             (unsigned long long)processes);
}

double budget_processes(const struct job *job)
{
    double n = 0; /* no count overflows it */

    for (size_t g = 0; g < job->n_groups; g++)
        for (size_t t = 0; t < job->groups[g].n_tasks; t++)
            n += (double)job->groups[g].count *
                 (TASK_PROCESSES + (strcmp(job->groups[g].tasks[t].driver, "exec") == 0));
    return n;
}

int budget_check(const struct manager *m, size_t tasks, struct err *e)
{
    uint64_t fds = descriptor_limit(), now = 0;

    for (const struct alloc *a = m->allocs; a; a = a->next)
        now += a->tidy ? 0 : a->group->n_tasks;
    if ((now + tasks) * TASK_FDS + OWN_FDS <= fds)
        return 0;
    return err_set(
        e, -ENOSPC,
        "%zu tasks beside the %llu there are need more than the %llu descriptors this "
        "manager may open: raise its limit (RLIMIT_NOFILE, LimitNOFILE= of its unit), or "
        "ask for fewer",
        tasks, (unsigned long long)now, (unsigned long long)fds);
}
