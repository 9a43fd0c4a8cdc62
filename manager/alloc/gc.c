/* SPDX-License-Identifier: MIT
 *
 * A round: a rule chooses finished allocations and dooms them, a child removes their directories
 * (there may be much in them), and what is gone then is recorded; at most gc_parallel_destroys
 * rounds at one time. Where the records go as well, jobs' records are rewritten without them first,
 * then their own are removed. A crash anywhere in between leaves finished allocations, of which
 * some lack their directory: they are chosen again; or records of allocations that no job names:
 * the next start removes them.
 *
 * What cannot be removed is stuck: it is let be until the timer has run. The timer runs only while
 * there is something that it may find too much of.
 */
#include "manager/alloc/gc.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager/alloc/alloc.h"
#include "manager/alloc/disk.h"
#include "manager/alloc/quota.h"
#include "manager/host/fit.h"
#include "manager/host/rootless.h"
#include "manager/job/feasible.h"
#include "manager/job/jobs.h"
#include "shared/cleanup.h"
#include "shared/log.h"
#include "shared/sys.h"

enum {
    CHILDREN_MAX = 64 /* the most that gc_parallel_destroys may be */
};

/* One round; alloc->doomed says which of them, from 1. */
struct child {
    struct manager *m;
    ev_io done;  /* its pidfd; active while it lives */
    bool forget; /* the records, too */
};

struct gc {
    struct child children[CHILDREN_MAX];
    ev_timer timer;
    bool look;        /* at the disk */
    bool tick;        /* at the clock: the timer has run, or a round is over */
    size_t seen_tidy; /* when that was done last */
    size_t n_stuck;
    bool full_told;
    bool all; /* asked to remove every one of them */
    size_t removed;
    void (*told)(void *arg, size_t removed, size_t left);
    void *told_arg;
};

struct choice {
    struct alloc **allocs; /* candidates, oldest first; the first n are chosen */
    size_t n_candidates, n;
    bool forget;
    char why[160];
};

/* ---- what may go ---- */

static uint64_t finished_ns(const struct alloc *a)
{
    uint64_t last = 0;

    for (size_t i = 0; i < a->group->n_tasks; i++)
        if (a->tasks[i].status.finished_ns > last)
            last = a->tasks[i].status.finished_ns;
    return last ? last : a->modify_ns;
}

static int by_end(const void *a, const void *b)
{
    uint64_t x = finished_ns(*(struct alloc *const *)a), y = finished_ns(*(struct alloc *const *)b);

    return (x > y) - (x < y);
}

static bool is_candidate(const struct alloc *a, bool forget)
{
    return a->tidy && !a->dirty && !a->queued && !a->doomed && !a->stuck &&
           (forget || !a->collected);
}

static void gather(struct manager *m, bool forget, bool purged, struct choice *ret)
{
    struct disk_waiting waiting;
    size_t n = 0;

    ret->forget = forget;
    ret->allocs = reallocarray(ret->allocs, m->n_tidy + 1, sizeof(struct alloc *));
    if (!ret->allocs)
        abort();
    disk_find_waiting(m, &waiting);
    for (struct alloc *a = m->allocs; a; a = a->next)
        if (is_candidate(a, forget) && (a->purge || !purged) && !disk_is_awaited(&waiting, a))
            ret->allocs[n++] = a;
    free(waiting.allocs);
    qsort(ret->allocs, n, sizeof(struct alloc *), by_end);
    ret->n_candidates = n;
}

static void take(struct choice *choice, size_t n)
{
    size_t most = choice->n_candidates < GC_BATCH ? choice->n_candidates : GC_BATCH;

    choice->n = n < most ? n : most;
}

/* ---- rules ---- */

static size_t n_dirs(const struct manager *m)
{
    return m->n_tidy - m->n_collected;
}

static size_t n_doomed(const struct manager *m, bool forget)
{
    size_t n = 0;

    for (const struct alloc *a = m->allocs; a; a = a->next)
        n += a->doomed && (forget || !a->collected);
    return n;
}

static bool choose_all(struct manager *m, struct choice *choice)
{
    if (!m->gc->all)
        return false;
    gather(m, true, false, choice);
    take(choice, GC_BATCH);
    (void)snprintf(choice->why, sizeof(choice->why), "it was asked for");
    return choice->n;
}

/* Of jobs that are to leave nothing behind. */
static bool choose_purged(struct manager *m, struct choice *choice)
{
    if (!m->n_purged)
        return false;
    gather(m, true, true, choice);
    take(choice, GC_BATCH);
    (void)snprintf(choice->why, sizeof(choice->why), "the job is purged");
    return choice->n;
}

static bool choose_by_records(struct manager *m, struct choice *choice)
{
    if (m->n_tidy < GC_KEEP + GC_BATCH + m->gc->n_stuck ||
        m->n_tidy < GC_KEEP + GC_BATCH + m->gc->n_stuck + n_doomed(m, true))
        return false;
    gather(m, true, false, choice);
    take(choice, GC_BATCH);
    (void)snprintf(choice->why, sizeof(choice->why), "%d newer ones are known", GC_KEEP);
    return choice->n;
}

static bool choose_by_age(struct manager *m, struct choice *choice)
{
    uint64_t age = (uint64_t)m->config->gc.max_age_ns, now = manager_now_ns();
    size_t n = 0;

    if (!age || !m->gc->tick)
        return false;
    gather(m, true, false, choice);
    while (n < choice->n_candidates && finished_ns(choice->allocs[n]) + age <= now)
        n++;
    take(choice, n);
    (void)snprintf(choice->why, sizeof(choice->why), "they ended more than gc_max_age ago");
    return choice->n;
}

/* But not before they have been finished for as long as gc_interval: log shippers, and people, read
 * to the end first. */
static bool choose_by_count(struct manager *m, struct choice *choice)
{
    uint64_t interval = (uint64_t)m->config->gc.interval_ns, now = manager_now_ns();
    size_t most = (size_t)m->config->gc.max_allocs, stay = most + m->gc->n_stuck, n = 0;

    if (!m->gc->tick || !interval || n_dirs(m) <= stay)
        return false;
    stay += n_doomed(m, false);
    gather(m, false, false, choice);
    while (n_dirs(m) > stay + n && n < choice->n_candidates &&
           finished_ns(choice->allocs[n]) + interval <= now)
        n++;
    take(choice, n);
    (void)snprintf(choice->why, sizeof(choice->why), "there are more than gc_max_allocs = %zu",
                   most);
    return choice->n;
}

static unsigned int percent_used(uint64_t total, uint64_t left)
{
    return total ? (unsigned int)(100 - left * 100 / total) : 0;
}

/* Whether the file system of the allocations is fuller than it may be. As df(1) counts: what is
 * root's alone is no part of it. */
static bool is_full(const struct manager *m, char why[160])
{
    const struct config_gc *gc = &m->config->gc;
    unsigned int disk, inodes;
    autofree char *dir = config_alloc_dir(m->config, NULL);
    int64_t wanted_mb = feasible_room_wanted(m), free_mb = fit_free_mb(m->config);
    struct statvfs fs;

    if (statvfs(dir, &fs) < 0)
        return false;
    disk = percent_used(fs.f_blocks - fs.f_bfree + fs.f_bavail, fs.f_bavail);
    inodes = percent_used(fs.f_files, fs.f_favail);
    if (disk > gc->disk_percent)
        (void)snprintf(why, 160, "the disk is %u %% full, and gc_disk_usage_threshold is %lld",
                       disk, (long long)gc->disk_percent);
    else if (inodes > gc->inode_percent)
        (void)snprintf(why, 160,
                       "%u %% of the inodes are used, and gc_inode_usage_threshold is %lld", inodes,
                       (long long)gc->inode_percent);
    else if (free_mb >= 0 && wanted_mb > free_mb)
        (void)snprintf(why, 160, "an allocation that asks for %lld MiB has no room",
                       (long long)wanted_mb);
    else
        return false;
    return true;
}

static struct child *find_child(struct manager *m, bool busy)
{
    int64_t n = m->config->gc.parallel_destroys;

    for (int64_t i = 0; i < (busy ? CHILDREN_MAX : n ? n : 1); i++)
        if (ev_is_active(&m->gc->children[i].done) == busy)
            return &m->gc->children[i];
    return NULL;
}

/* One by one: after each the disk is looked at again. */
static bool choose_by_disk(struct manager *m, struct choice *choice)
{
    if (!m->gc->look || !m->config->gc.interval_ns || find_child(m, true))
        return false;
    if (!is_full(m, choice->why)) {
        m->gc->look = m->gc->full_told = false;
        return false;
    }
    gather(m, false, false, choice);
    take(choice, 1);
    if (choice->n)
        return true;
    m->gc->look = false;
    if (!m->gc->full_told)
        log_warn("%s: no finished allocation is left to be removed", choice->why);
    m->gc->full_told = true;
    return false;
}

static bool choose(struct manager *m, struct choice *choice)
{
    return choose_all(m, choice) || choose_purged(m, choice) || choose_by_records(m, choice) ||
           choose_by_age(m, choice) || choose_by_count(m, choice) || choose_by_disk(m, choice);
}

/* ---- after a round ---- */

static void set_stuck(struct manager *m, struct alloc *a, bool stuck)
{
    m->gc->n_stuck += stuck - a->stuck;
    a->stuck = stuck;
}

static void unstick_all(struct manager *m)
{
    for (struct alloc *a = m->allocs; m->gc->n_stuck && a; a = a->next)
        set_stuck(m, a, false);
}

/* Takes the doomed ones of one job and one round out of the list, and puts them in *ret_list; but
 * for those that were told to stop meanwhile: the manager has yet to deal with that, and dooms them
 * again. */
static void take_doomed(struct manager *m, unsigned char doomed, const char *job_id,
                        struct alloc **ret_list)
{
    for (struct alloc *a = m->allocs, *next; a; a = next) {
        next = a->next;
        if (a->doomed != doomed || strcmp(a->job->job->id, job_id) != 0)
            continue;
        a->doomed = 0;
        if (a->dirty || a->queued)
            continue;
        alloc_unlink(a);
        a->next = *ret_list;
        *ret_list = a;
    }
}

/* On failure (-ENOSPC …) its allocations are listed again, and stuck. */
static void forget_job(struct manager *m, unsigned char doomed, const char *job_id)
{
    struct alloc *list = NULL, *a;
    struct err e = ERR_INIT;
    int r;

    take_doomed(m, doomed, job_id, &list);
    r = jobs_save_or_remove(m, job_id, &e);
    if (r)
        log_error("forget finished allocations: %s", e.text);
    while ((a = list)) {
        list = a->next;
        a->next = NULL;
        if (r) {
            alloc_link(a);
            set_stuck(m, a, true);
            continue;
        }
        store_remove_alloc(&m->store, a->id);
        store_remove_task_dirs(&m->store, a->id, NULL);
        m->n_tidy--;
        m->n_collected -= a->collected;
        m->gc->removed++;
        alloc_free(a);
    }
}

static struct alloc *find_doomed(const struct manager *m, unsigned char doomed)
{
    struct alloc *a = m->allocs;

    while (a && a->doomed != doomed)
        a = a->next;
    return a;
}

/* What could not be removed stays, and its record with it. */
static void note_what_is_gone(struct manager *m, unsigned char doomed, bool forget)
{
    for (struct alloc *a = m->allocs; a; a = a->next) {
        if (a->doomed != doomed)
            continue;
        if (access(a->dir, F_OK) == 0) {
            log_warn("alloc %s: %s could not be removed", a->id, a->dir);
            set_stuck(m, a, true);
        } else if (!a->collected) {
            a->collected = true;
            m->n_collected++;
            quota_release(a);
            if (!forget)
                alloc_save(a);
        }
        if (a->stuck || !forget)
            a->doomed = 0;
    }
}

static void on_removed(struct ev_loop *loop, ev_io *w, int revents)
{
    struct child *child = container_of(w, struct child, done);
    struct manager *m = child->m;
    unsigned char doomed = (unsigned char)(child - m->gc->children + 1);
    siginfo_t info = {0};
    struct alloc *a;

    (void)revents;
    (void)waitid(P_PIDFD, (id_t)w->fd, &info, WEXITED | WNOHANG);
    ev_io_stop(loop, w);
    close_fd(&w->fd);
    note_what_is_gone(m, doomed, child->forget);
    while (child->forget && (a = find_doomed(m, doomed))) {
        autofree char *job_id = strdup(a->job->job->id);

        forget_job(m, doomed, job_id);
    }
    m->gc->look = m->gc->tick = true;
    if (feasible_room_wanted(m))
        feasible_reconsider(m);
    gc_consider(m);
}

/* ---- a round ---- */

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

static int start_removal(struct child *child, char *const argv[])
{
    pid_t pid;
    int pidfd, r = spawn_removal(argv, &pid);

    if (r)
        return r;
    pidfd = sys_pidfd_open(pid, 0);
    if (pidfd < 0)
        return -errno;
    ev_io_set(&child->done, pidfd, EV_READ);
    ev_io_start(child->m->loop, &child->done);
    return 0;
}

static void log_choice(const struct choice *choice)
{
    const struct alloc *first = choice->allocs[0];

    if (choice->n == 1)
        log_info("alloc %s (%s) is finished and its directory is removed: %s", first->id,
                 first->name, choice->why);
    else
        log_info("the directories of %zu finished allocations are removed, from alloc %s (%s) on: "
                 "%s",
                 choice->n, first->id, first->name, choice->why);
}

static void begin(struct child *child, const struct choice *choice)
{
    struct manager *m = child->m;
    char *argv[ROOTLESS_REMOVAL + GC_BATCH + 1] = {0};
    int r;

    log_choice(choice);
    rootless_removal(m->config, argv);
    for (size_t i = 0; i < choice->n; i++)
        argv[ROOTLESS_REMOVAL + i] = choice->allocs[i]->dir;
    child->forget = choice->forget;
    r = start_removal(child, argv);
    if (r)
        log_error("remove old allocations: %s", strerror(-r));
    for (size_t i = 0; i < choice->n; i++) {
        if (r)
            set_stuck(m, choice->allocs[i], true);
        else
            choice->allocs[i]->doomed = (unsigned char)(child - m->gc->children + 1);
    }
}

static void finish_all(struct manager *m)
{
    size_t left = 0;

    if (!m->gc->all)
        return;
    m->gc->all = false;
    jobs_remove_empty(m);
    for (const struct alloc *a = m->allocs; a; a = a->next)
        left += alloc_is_terminal(a);
    m->gc->told(m->gc->told_arg, m->gc->removed, left);
}

/* ---- the timer ---- */

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct manager *m = ((struct child *)w->data)->m;

    (void)loop;
    (void)revents;
    unstick_all(m);
    m->gc->look = m->gc->tick = true; /* the turn of the loop goes on from here */
    if (feasible_room_wanted(m))
        feasible_reconsider(m);
}

/* Runs while there is a directory that a fuller disk could take, or a record that ages, or while
 * something waits for room, which others may make. */
static void set_timer(struct manager *m)
{
    const struct config_gc *gc = &m->config->gc;
    bool disk = gc->disk_percent < 100 || gc->inode_percent < 100;
    bool many = n_dirs(m) > (size_t)gc->max_allocs;

    if (ev_is_active(&m->gc->timer) || !gc->interval_ns)
        return;
    if (!(disk && n_dirs(m)) && !many && !(gc->max_age_ns && m->n_tidy) && !m->gc->n_stuck &&
        !feasible_room_wanted(m))
        return;
    ev_timer_set(&m->gc->timer, (double)gc->interval_ns / 1e9, 0);
    ev_timer_start(m->loop, &m->gc->timer);
}

/* ---- the outside ---- */

void gc_init(struct manager *m)
{
    m->gc = calloc(1, sizeof(*m->gc));
    if (!m->gc)
        abort();
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        m->gc->children[i].m = m;
        ev_io_init(&m->gc->children[i].done, on_removed, -1, EV_READ);
    }
    ev_timer_init(&m->gc->timer, on_timer, 0, 0);
    m->gc->timer.data = &m->gc->children[0];
    m->gc->look = m->gc->tick = true;
}

void gc_deinit(struct manager *m)
{
    for (size_t i = 0; i < CHILDREN_MAX; i++) {
        ev_io_stop(m->loop, &m->gc->children[i].done);
        close_fd(&m->gc->children[i].done.fd);
    }
    ev_timer_stop(m->loop, &m->gc->timer);
    free(m->gc);
}

void gc_make_room(struct manager *m)
{
    m->gc->look = true;
}

void gc_consider(struct manager *m)
{
    struct choice choice = {0};
    struct child *child;

    if (m->gc->seen_tidy != m->n_tidy)
        m->gc->look = true;
    m->gc->seen_tidy = m->n_tidy;
    while ((child = find_child(m, false)) && choose(m, &choice))
        begin(child, &choice);
    free(choice.allocs);
    m->gc->tick = m->gc->tick && !child; /* the others wait for a child to end */
    if (child && !find_child(m, true))
        finish_all(m);
    set_timer(m);
}

void manager_gc(struct manager *m, void (*done)(void *arg, size_t removed, size_t left), void *arg)
{
    m->gc->told = done;
    m->gc->told_arg = arg;
    if (!m->gc->all)
        m->gc->removed = 0;
    unstick_all(m);
    m->gc->all = true; /* the turn of the loop goes on from here */
}
