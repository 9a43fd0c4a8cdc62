/* SPDX-License-Identifier: MIT
 *
 * Only these places are looked at, each of them this node's alone: state/ of the data directory
 * (records; in state/tasks/ executors, found by the lock they hold), this node's directories in the
 * cgroup trees, and mounts below allocs/ of the data directory. Odd case: the record of a job was
 * damaged and set aside. Its allocations have records of their own, so they are left alone: killing
 * what a person may still want to save is worse than leaving it.
 */
#include "manager/host/reap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "manager/alloc/alloc.h"
#include "manager/alloc/allocdir.h"
#include "manager/host/strays.h"
#include "manager/task/task_handle.h"
#include "shared/cleanup.h"
#include "shared/log.h"
#include "shared/sys.h"

#define DYING_RETRY_S 0.02 /* between looks at a leftover that is still dying */

static bool is_known(void *arg, const char *id)
{
    return manager_find_alloc(arg, id);
}

/* True when something of the allocation may be alive or wanted. */
static bool is_wanted(void *arg, const char *id)
{
    const struct manager *m = arg;
    const struct alloc *alloc = manager_find_alloc(m, id);

    return alloc ? !alloc->tidy : store_has_alloc(&m->store, id);
}

static bool is_task_wanted(const struct alloc *alloc, const char *name, size_t length)
{
    for (size_t i = 0; i < alloc->group->n_tasks; i++) {
        const struct task *task = &alloc->tasks[i];

        if (strlen(task->def->name) == length && memcmp(task->def->name, name, length) == 0)
            return task->machine.phase != TASK_PHASE_DONE;
    }
    return false;
}

/* A leaf is "<alloc id>.<task>.<attempt>"; other names are not executors' and are left alone. */
static bool is_leaf_wanted(void *arg, const char *leaf)
{
    const struct manager *m = arg;
    const struct alloc *alloc;
    const char *end = strrchr(leaf, '.');
    char id[37];

    if (strlen(leaf) < sizeof(id) || leaf[sizeof(id) - 1] != '.' || end < leaf + sizeof(id))
        return true;
    memcpy(id, leaf, sizeof(id) - 1);
    id[sizeof(id) - 1] = '\0';
    alloc = manager_find_alloc(m, id);
    if (!alloc)
        return store_has_alloc(&m->store, id);
    return is_task_wanted(alloc, leaf + sizeof(id), (size_t)(end - leaf) - sizeof(id));
}

/* Kills the executor that holds the lock in `dir`; its pidfd is taken before the lock is looked at
 * again, so that it is that process and no other. */
static void kill_executor(const char *dir)
{
    pid_t pid = task_handle_find(dir);
    autofd int pidfd = pid ? sys_pidfd_open(pid, 0) : -1;

    if (pidfd < 0 || task_handle_find(dir) != pid)
        return;
    log_warn("executor %d of %s belongs to no record: killed", pid, dir);
    (void)sys_pidfd_send_signal(pidfd, SIGKILL);
}

/* The directories of finished allocations stay until gc.c forgets these: removing hundreds would
 * take the start of a manager seconds. */
static void reap_state(struct manager *m)
{
    autofd int fd = openat(m->store.state_fd, "tasks", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (!dir)
        return;
    (void)take_fd(&fd);
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.' || manager_find_alloc(m, entry->d_name))
            continue;
        if (store_has_alloc(&m->store, entry->d_name)) {
            log_warn("alloc %s: its job's record is missing; its tasks are left alone",
                     entry->d_name);
            continue;
        }
        store_remove_task_dirs(&m->store, entry->d_name, kill_executor);
        if (m->cgroup.reason || geteuid() != 0)
            (void)strays_kill(entry->d_name, NULL);
    }
}

static void reap_cgroups(struct manager *m)
{
    if (cgroup_layout_reap(&m->cgroup, is_leaf_wanted, m) != -EAGAIN)
        return;
    ev_timer_set(&m->reaper, DYING_RETRY_S, 0);
    ev_timer_start(m->loop, &m->reaper);
}

static void on_reap_due(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop;
    (void)revents;
    reap_cgroups(container_of(w, struct manager, reaper));
}

void reap_leftovers(struct manager *m)
{
    autofree char *allocs = config_alloc_dir(m->config, NULL);

    ev_timer_init(&m->reaper, on_reap_due, 0, 0);
    store_prune(&m->store, is_known, m);
    reap_state(m);
    reap_cgroups(m);
    allocdir_unmount_others(allocs, is_wanted, m);
}
