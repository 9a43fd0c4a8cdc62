/* SPDX-License-Identifier: MIT */
#include "fake_manager.h"

#include <errno.h>
#include <string.h>

#include "manager/alloc/disk_usage.h"
#include "manager/host/stats.h"
#include "manager/job/feasible.h"
#include "manager/job/update.h"
#include "manager/task/artifacts.h"

const char *desired_status_name(enum desired_status status)
{
    return status == DESIRED_RUN ? "run" : "stop";
}

const char *client_status_name(enum client_status status)
{
    static const char *const names[] = {"pending", "running", "complete", "failed", "lost"};

    return names[status];
}

const char *job_record_status(const struct manager *m, const struct job_record *job)
{
    (void)m;
    return job->stop ? "dead" : "running";
}

const char *job_record_status_of(const struct job_record *job, bool any, bool live)
{
    return job->stop || (any && !live) ? "dead" : "running";
}

bool disk_usage_refresh(struct alloc *alloc)
{
    (void)alloc;
    return false;
}

json_t *stats_alloc(struct alloc *alloc)
{
    return json_pack("{s:s}", "Of", alloc->id);
}

void stats_task(struct task *task, uint64_t now_ns, struct usage *ret_usage)
{
    (void)now_ns;
    task->alloc->manager->n_tasks_read++;
    *ret_usage =
        (struct usage){.has_memory = true, .memory.rss = 4096, .pids = task->status.attempt};
}

bool artifacts_progress(const struct task *task, struct artifacts_progress *ret_progress)
{
    *ret_progress = (struct artifacts_progress){.bytes = 1, .total = 4, .rate = 2};
    return task->status.state == TASK_STATE_PENDING;
}

int manager_job_register(struct manager *m, struct job *job, struct job_record **ret_record,
                         struct err *e)
{
    if (m->register_result)
        return err_set(e, m->register_result, "the fake refuses");
    job_free(m->registered);
    m->registered = job;
    *ret_record = m->jobs;
    return 0;
}

char *manager_job_warnings(const struct manager *m, const struct job *job)
{
    (void)m;
    (void)job;
    return strdup("");
}

json_t *feasible_told(const struct manager *m, const struct job *job, const json_t *blocked)
{
    (void)m;
    (void)job;
    return json_deep_copy(blocked);
}

int manager_job_plan(struct manager *m, const struct job *job, struct update *ret_update,
                     struct err *e)
{
    (void)m;
    (void)ret_update;
    return err_set(e, -ENOTSUP, "job %s is not planned", job->id);
}

void update_deinit(struct update *update)
{
    (void)update;
}

int manager_job_revert(struct manager *m, const char *id, uint64_t version,
                       struct job_record **ret_record, struct err *e)
{
    (void)m;
    (void)version;
    (void)ret_record;
    return err_set(e, -ENOENT, "job %s has no such version", id);
}

int manager_job_evaluate(struct manager *m, const char *id, bool force,
                         struct job_record **ret_record, struct err *e)
{
    *ret_record = manager_find_job(m, id);
    return force ? err_set(e, -ENOSPC, "the fake cannot replace anything of %s", id) : 0;
}

int manager_alloc_stop(struct manager *m, struct alloc *alloc, struct err *e)
{
    (void)m;
    return err_set(e, -ENOSPC, "the fake cannot stop %s", alloc->id);
}

int manager_job_deregister(struct manager *m, const char *job_id, bool purge, struct err *e)
{
    (void)purge;
    struct job_record *record = manager_find_job(m, job_id);

    if (!record)
        return err_set(e, -ENOENT, "job %s not found", job_id);
    record->stop = true;
    return 0;
}

int manager_pause(const struct manager *m, const struct task *task, bool paused, struct err *e)
{
    (void)m;
    return err_set(e, -ESRCH, "the fake cannot %s %s", paused ? "pause" : "continue",
                   task->def->name);
}

int manager_restart(const struct alloc *alloc, const struct task *task, bool all, struct err *e)
{
    (void)all;
    return err_set(e, -ESRCH, "the fake cannot restart %s", task ? task->def->name : alloc->id);
}

int manager_signal(const struct alloc *alloc, const struct task *task, int signo, struct err *e)
{
    return err_set(e, -ESRCH, "the fake cannot send %d to %s", signo,
                   task ? task->def->name : alloc->id);
}

void manager_gc(struct manager *m, void (*done)(void *arg, size_t removed, size_t left), void *arg)
{
    (void)m;
    done(arg, 2, 1);
}

int manager_upgrade_executors(struct manager *m, void (*done)(void *arg, json_t *results),
                              void *arg)
{
    json_t *results = json_array();

    (void)m;
    done(arg, results);
    json_decref(results);
    return -EBUSY; /* done already */
}

int manager_exec(struct manager *m, const struct task *task, char *const *argv, bool tty,
                 struct task_exec *ret_exec, struct err *e)
{
    (void)m;
    (void)argv;
    (void)tty;
    (void)ret_exec;
    return err_set(e, -ESRCH, "task \"%s\" is not running", task->def->name);
}

int manager_stop_all(struct manager *m, void (*done)(void *arg), void *arg, struct err *e)
{
    (void)e;
    m->stop_done = done;
    m->stop_done_arg = arg;
    return 0;
}

int manager_job_dispatch(struct manager *m, const char *job_id, const struct dispatch *d,
                         struct job_record **ret_child, struct err *e)
{
    struct job_record *record = manager_find_job(m, job_id);

    if (!record)
        return err_set(e, -ENOENT, "job \"%s\" not found", job_id);
    if (strcmp(d->payload, "cGF5") != 0 || strcmp(d->token, "tok") != 0 || *d->id_prefix ||
        d->priority != 7 || !json_object_get(d->meta, "k"))
        return err_set(e, -EINVAL, "dispatched with something else");
    *ret_child = record;
    return 0;
}

int manager_periodic_force(struct manager *m, const char *job_id, struct job_record **ret_child,
                           struct err *e)
{
    *ret_child = manager_find_job(m, job_id);
    return *ret_child ? 0 : err_set(e, -ENOENT, "job \"%s\" not found", job_id);
}

struct job_record *manager_jobs(const struct manager *m)
{
    return m->jobs;
}

struct alloc *manager_allocs(const struct manager *m)
{
    return m->allocs;
}

struct job_record *manager_find_job(const struct manager *m, const char *id)
{
    struct job_record *record = m->jobs;

    while (record && strcmp(record->job->id, id) != 0)
        record = record->next;
    return record;
}

struct alloc *manager_find_alloc(const struct manager *m, const char *id)
{
    struct alloc *alloc = m->allocs;

    while (alloc && strcmp(alloc->id, id) != 0)
        alloc = alloc->next;
    return alloc;
}

json_t *manager_node_json(const struct manager *m)
{
    return json_pack("{s:s,s:s,s:{s:s}}", "ID", manager_node_id(m), "Status", "ready", "Attributes",
                     "kernel.name", "linux");
}

json_t *manager_host_stats(const struct manager *m)
{
    (void)m;
    return json_object();
}

const char *manager_node_id(const struct manager *m)
{
    (void)m;
    return "11111111-2222-3333-4444-555555555555";
}

const struct config *manager_config(const struct manager *m)
{
    return m->config;
}

const char *const *manager_damaged(const struct manager *m, size_t *ret_n)
{
    (void)m;
    *ret_n = 0;
    return NULL;
}

void manager_on_change(struct manager *m, void (*cb)(void *arg, struct alloc *alloc), void *arg)
{
    m->on_change = cb;
    m->on_change_arg = arg;
}
