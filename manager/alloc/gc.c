/* SPDX-License-Identifier: MIT
 *
 * A round: doom a batch, let a child remove the directories (there may be much in them), and when
 * it is done rewrite the jobs' records without them, then remove their own records. A crash
 * anywhere in between leaves finished allocations, of which some lack their directory: they are
 * doomed again; or records of allocations that no job names: the next start removes them.
 */
#include "manager/alloc/gc.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager/alloc/alloc.h"
#include "manager/alloc/disk.h"
#include "manager/host/rootless.h"
#include "manager/job/jobs.h"
#include "shared/cleanup.h"
#include "shared/log.h"
#include "shared/sys.h"

/* Takes the doomed ones of one job out of the list, and puts them in *ret_list; but for those that
 * were told to stop meanwhile: the manager has yet to deal with that, and dooms them again. */
static void take_doomed(struct manager *m, const char *job_id, struct alloc **ret_list)
{
    for (struct alloc *a = m->allocs, *next; a; a = next) {
        next = a->next;
        if (!a->doomed || strcmp(a->job->job->id, job_id) != 0)
            continue;
        a->doomed = false;
        if (a->dirty || a->queued)
            continue;
        alloc_unlink(a);
        a->next = *ret_list;
        *ret_list = a;
    }
}

/* -ENOSPC …: its allocations are listed again. */
static int forget_job(struct manager *m, const char *job_id)
{
    struct alloc *list = NULL, *a;
    struct err e = ERR_INIT;
    int r;

    take_doomed(m, job_id, &list);
    r = jobs_save_or_remove(m, job_id, &e);
    if (r)
        log_error("forget finished allocations: %s", e.text);
    while ((a = list)) {
        list = a->next;
        a->next = NULL;
        if (r) {
            alloc_link(a);
            continue;
        }
        store_remove_alloc(&m->store, a->id);
        store_remove_task_dirs(&m->store, a->id, NULL);
        alloc_free(a);
        m->n_tidy--;
        m->gc_removed++;
    }
    return r;
}

static struct alloc *find_doomed(const struct manager *m)
{
    struct alloc *a = m->allocs;

    while (a && !a->doomed)
        a = a->next;
    return a;
}

static void finish_all(struct manager *m)
{
    size_t left = 0;

    if (!m->gc_all)
        return;
    m->gc_all = false;
    jobs_remove_empty(m);
    for (const struct alloc *a = m->allocs; a; a = a->next)
        left += alloc_is_terminal(a);
    m->gc_told(m->gc_told_arg, m->gc_removed, left);
}

/* What cannot be removed now is not tried at every turn again. */
static void give_up(struct manager *m)
{
    m->gc_at = m->n_tidy + GC_BATCH;
    finish_all(m);
}

static void on_removed(struct ev_loop *loop, ev_io *w, int revents)
{
    struct manager *m = container_of(w, struct manager, gc_done);
    siginfo_t info = {0};
    struct alloc *a;
    int r = 0;

    (void)revents;
    (void)waitid(P_PIDFD, (id_t)w->fd, &info, WEXITED | WNOHANG);
    ev_io_stop(loop, w);
    close_fd(&w->fd);
    if (info.si_status)
        log_warn("some directories of old allocations could not be removed");
    while ((a = find_doomed(m))) {
        autofree char *job_id = strdup(a->job->job->id);

        r |= forget_job(m, job_id);
    }
    if (r)
        give_up(m);
    else
        gc_consider(m);
}

static int spawn_removal(char *const argv[], pid_t *ret_pid)
{
    posix_spawn_file_actions_t files;
    int r;

    (void)posix_spawn_file_actions_init(&files);
    (void)posix_spawn_file_actions_addclosefrom_np(&files, 3);
    r = -posix_spawnp(ret_pid, argv[0], &files, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    return r;
}

int gc_remove_dir(const struct config *config, char *dir)
{
    char *argv[ROOTLESS_REMOVAL + 2] = {[ROOTLESS_REMOVAL] = dir};
    int status = 0, r;
    pid_t pid;

    rootless_removal(config, argv);
    r = spawn_removal(argv, &pid);
    if (r)
        return r;
    return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -EIO;
}

static int start_removal(struct manager *m, char *const argv[])
{
    pid_t pid;
    int pidfd, r = spawn_removal(argv, &pid);

    if (r)
        return r;
    pidfd = sys_pidfd_open(pid, 0);
    if (pidfd < 0)
        return -errno;
    ev_io_set(&m->gc_done, pidfd, EV_READ);
    ev_io_start(m->loop, &m->gc_done);
    return 0;
}

void gc_init(struct manager *m)
{
    m->gc_at = GC_KEEP + GC_BATCH;
    ev_io_init(&m->gc_done, on_removed, -1, EV_READ);
}

void gc_deinit(struct manager *m)
{
    ev_io_stop(m->loop, &m->gc_done);
    close_fd(&m->gc_done.fd);
}

void gc_consider(struct manager *m)
{
    char *argv[ROOTLESS_REMOVAL + GC_BATCH + 1] = {0};
    size_t n = ROOTLESS_REMOVAL;
    bool all;
    int r;

    if (ev_is_active(&m->gc_done))
        return;
    if (!m->n_tidy)
        finish_all(m);
    all = m->gc_all || m->n_tidy >= m->gc_at;
    if (!all && !m->n_purged)
        return;
    for (struct alloc *a = m->allocs; a && n < ROOTLESS_REMOVAL + GC_BATCH; a = a->next) {
        if (!a->tidy || a->dirty || a->queued || disk_is_awaited(a) || !(all || a->purge))
            continue;
        a->doomed = true;
        argv[n++] = a->dir;
    }
    if (n == ROOTLESS_REMOVAL)
        return;
    rootless_removal(m->config, argv);
    r = start_removal(m, argv);
    m->gc_at = GC_KEEP + GC_BATCH;
    if (!r)
        return;
    log_error("remove old allocations: %s", strerror(-r));
    for (struct alloc *a = m->allocs; a; a = a->next)
        a->doomed = false;
    give_up(m);
}

void manager_gc(struct manager *m, void (*done)(void *arg, size_t removed, size_t left), void *arg)
{
    m->gc_told = done;
    m->gc_told_arg = arg;
    if (!m->gc_all)
        m->gc_removed = 0;
    m->gc_all = true; /* the turn of the loop goes on from here */
}
