/* SPDX-License-Identifier: MIT
 *
 * Wires the parts together, and owns the two watchers all allocations share: the flusher, which
 * does what follows from changes once per turn of the loop, and the starter, which starts one
 * allocation per turn so that a job of a thousand does not keep the API waiting. Order at the
 * start: lock and records; clear up what belongs to none; attach to what lives; only then does
 * anything new start.
 */
#include "manager/manager.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "manager/alloc/alloc.h"
#include "manager/alloc/allocdir.h"
#include "manager/alloc/gc.h"
#include "manager/alloc/limits.h"
#include "manager/alloc/volumes.h"
#include "manager/core.h"
#include "manager/host/cores.h"
#include "manager/host/fingerprint.h"
#include "manager/host/host_stats.h"
#include "manager/host/reap.h"
#include "manager/host/watch.h"
#include "manager/job/feasible.h"
#include "manager/job/jobs.h"
#include "manager/job/periodic.h"
#include "manager/task/spawn.h"
#include "manager/task/task.h"
#include "manager/task/task_redefine.h"
#include "manager/task/task_terms.h"
#include "manager/task/upgrade.h"
#include "manager/worker.h"
#include "shared/cleanup.h"
#include "shared/log.h"

#define TRIM_AFTER_S 2.0
#define TRIM_BYTES (1 << 20)

uint64_t manager_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void finish_stop_all(struct manager *m)
{
    void (*done)(void *arg) = m->stop_all_done;

    if (!done || jobs_active(m))
        return;
    m->stop_all_done = NULL;
    log_info("everything is stopped");
    done(m->stop_all_arg);
}

static void flush_all(struct manager *m)
{
    while (m->dirty) {
        struct alloc *alloc = m->dirty;

        m->dirty = alloc->next_dirty;
        alloc->dirty = false;
        alloc_flush(alloc);
        limits_protect(m, alloc);
    }
}

static void on_turn(struct ev_loop *loop, ev_prepare *w, int revents)
{
    struct manager *m = container_of(w, struct manager, flusher);

    (void)revents;
    flush_all(m);
    upgrade_on_turn(m);
    finish_stop_all(m);
    gc_consider(m);
    if (!ev_is_active(&m->trimmer) && mallinfo2().fordblks > m->free_bytes + TRIM_BYTES) {
        ev_timer_set(&m->trimmer, TRIM_AFTER_S, 0);
        ev_timer_start(loop, &m->trimmer);
    }
}

/* Answers about many allocations take megabytes for a moment, and leave holes the allocator keeps.
 */
static void on_trim(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop;
    (void)revents;
    (void)malloc_trim(0);
    container_of(w, struct manager, trimmer)->free_bytes = mallinfo2().fordblks;
}

static void on_idle(struct ev_loop *loop, ev_idle *w, int revents)
{
    struct manager *m = container_of(w, struct manager, starter);
    struct alloc *alloc = m->in_line;

    (void)revents;
    if (!alloc) {
        ev_idle_stop(loop, w);
        return;
    }
    m->in_line = alloc->next_queued;
    if (!m->in_line)
        m->in_line_end = &m->in_line;
    alloc->queued = false;
    gc_make_room(m);
    alloc_advance(alloc);
}

static void adopt_all(struct manager *m)
{
    size_t n = 0;

    for (struct alloc *alloc = m->allocs; alloc; alloc = alloc->next) {
        if (alloc->tidy)
            continue;
        task_look_at_all(alloc);
        for (size_t i = 0; i < alloc->group->n_tasks; i++) {
            if (alloc->tasks[i].machine.phase == TASK_PHASE_DONE)
                continue;
            task_adopt(&alloc->tasks[i]);
            n += alloc->tasks[i].machine.phase == TASK_PHASE_SUPERVISED;
        }
        alloc_changed(alloc, false);
    }
    if (n)
        log_info("attached to %zu running tasks", n);
}

static int make_alloc_dir(const struct config *config, struct err *e)
{
    autofree char *dir = config_alloc_dir(config, NULL);

    /* The store has made the other one. */
    return config->alloc_dir && *config->alloc_dir ? allocdir_make_all(dir, e) : 0;
}

static int open_state(struct manager *m, struct err *e)
{
    int r = procid_boot_id(m->boot_id);

    if (r)
        return err_sys(e, r, "read the boot id from /proc");
    r = store_open(&m->store, m->config->data_dir, e);
    if (!r)
        r = make_alloc_dir(m->config, e);
    if (!r)
        r = jobs_load(m, e); /* it may refuse, so before anything else is touched */
    if (r)
        return r;
    cgroup_layout_init(&m->cgroup, m->config->cgroup_parent, m->store.node_id);
    if (m->cgroup.reason)
        log_warn("tasks run without cgroups: %s", m->cgroup.reason);
    m->attributes = fingerprint_attributes(m->config, &m->cgroup);
    if (m->config->reserved.cores && *m->config->reserved.cores)
        cores_share(m);
    volumes_warn(m->config);
    return 0;
}

int manager_new(struct ev_loop *loop, const struct config *config, struct manager **ret_manager,
                struct err *e)
{
    struct manager *m = calloc(1, sizeof(*m));
    int r;

    if (!m)
        return err_sys(e, -ENOMEM, "start the manager");
    m->loop = loop;
    m->config = config;
    m->store = (struct store)STORE_INIT;
    m->cgroup.version = "";
    m->allocs_end = &m->allocs;
    m->in_line_end = &m->in_line;
    ev_prepare_init(&m->flusher, on_turn);
    ev_timer_init(&m->trimmer, on_trim, TRIM_AFTER_S, 0);
    gc_init(m);
    periodic_init(m);
    ev_idle_init(&m->starter, on_idle);
    ev_set_priority(&m->starter,
                    EV_MAXPRI); /* busy API clients must not keep tasks from starting */
    spawn_raise_limit();
    m->watches = watch_hub_new(loop);
    r = m->watches ? open_state(m, e) : err_sys(e, -ENOMEM, "start the manager");
    if (r) {
        manager_free(m);
        return r;
    }
    ev_prepare_start(loop, &m->flusher);
    reap_leftovers(m);
    adopt_all(m);
    limits_protect(m, NULL);
    feasible_reconsider(m);
    periodic_schedule(m);
    *ret_manager = m;
    return 0;
}

void manager_reconfigure(struct manager *m, json_t *fixed, const char *error)
{
    free(m->config_error);
    m->config_error = error ? strdup(error) : NULL;
    if (error)
        return;
    json_decref(m->config_pending);
    m->config_pending = json_incref(fixed);
    json_decref(m->attributes);
    m->attributes = fingerprint_attributes(m->config, &m->cgroup);
    cores_share(m);
    feasible_reconsider(m);
    for (struct alloc *alloc = m->allocs; alloc; alloc = alloc->next)
        for (size_t i = 0; i < alloc->group->n_tasks; i++)
            task_renew_terms(&alloc->tasks[i]); /* max_kill_timeout */
}

static bool has_executors(const struct manager *m)
{
    for (const struct alloc *alloc = m->allocs; alloc; alloc = alloc->next)
        for (size_t i = 0; i < alloc->group->n_tasks; i++)
            if (alloc->tasks[i].handle)
                return true;
    return false;
}

struct manager *manager_free(struct manager *m)
{
    if (!m)
        return NULL;
    ev_prepare_stop(m->loop, &m->flusher);
    upgrade_cancel(m);
    gc_deinit(m);
    periodic_deinit(m);
    ev_timer_stop(m->loop, &m->reaper);
    ev_timer_stop(m->loop, &m->trimmer);
    ev_idle_stop(m->loop, &m->starter);
    flush_all(m);
    if (!has_executors(m)) /* one between two attempts has no leaf in there, but wants the place */
        cgroup_layout_remove(&m->cgroup);
    while (m->allocs) {
        struct alloc *alloc = m->allocs;

        m->allocs = alloc->next;
        alloc_free(alloc);
    }
    while (m->jobs) {
        struct job_record *record = m->jobs;

        m->jobs = record->next;
        job_record_unref(record);
    }
    worker_forget_all(m->loop);
    watch_hub_free(m->watches);
    json_decref(m->attributes);
    json_decref(m->config_pending);
    free(m->config_error);
    cgroup_layout_deinit(&m->cgroup);
    store_close(&m->store);
    free(m);
    return NULL;
}

int manager_stop_all(struct manager *m, void (*done)(void *arg), void *arg, struct err *e)
{
    int first = 0;

    m->stop_all_done = done;
    m->stop_all_arg = arg;
    for (struct job_record *record = m->jobs; record; record = record->next) {
        struct err why;
        int r = manager_job_deregister(m, record->job->id, false, &why);

        if (!r)
            continue;
        log_error("stop job \"%s\": %s", record->job->id, why.text);
        if (!first)
            first = err_set(e, r, "%s", why.text);
    }
    return first;
}

struct job_record *manager_jobs(const struct manager *m)
{
    return m->jobs;
}

struct alloc *manager_allocs(const struct manager *m)
{
    return m->allocs;
}

json_t *manager_node_json(const struct manager *m)
{
    json_t *node = fingerprint_node(m->config, &m->cgroup, m->store.node_id, m->attributes);

    (void)json_object_set(node, "ConfigPending", m->config_pending);
    if (m->config_error)
        (void)json_object_set_new(node, "ConfigError", json_string(m->config_error));
    return node;
}

json_t *manager_host_stats(const struct manager *m)
{
    return host_stats(m->config->data_dir, fingerprint_core_mhz(m->attributes));
}

const char *manager_node_id(const struct manager *m)
{
    return m->store.node_id;
}

const struct config *manager_config(const struct manager *m)
{
    return m->config;
}

struct ev_loop *manager_loop(const struct manager *m)
{
    return m->loop;
}

const char *const *manager_damaged(const struct manager *m, size_t *ret_n)
{
    *ret_n = m->store.n_damaged;
    return (const char *const *)m->store.damaged;
}

void manager_on_change(struct manager *m, void (*cb)(void *arg, struct alloc *alloc), void *arg)
{
    m->on_change = cb;
    m->on_change_arg = arg;
}
