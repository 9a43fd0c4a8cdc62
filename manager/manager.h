/* SPDX-License-Identifier: MIT
 *
 * The manager's own interface: what the HTTP API and main() may ask of it. Everything runs on one
 * libev loop and nothing here blocks. Calls that change something return after the change is on
 * disk.
 */
#pragma once

#include <ev.h>
#include <jansson.h>

#include "manager/config/config.h"
#include "manager/state.h"
#include "shared/err.h"

struct update;

/* Loads the records of config->data_dir, attaches to the executors that live, reaps what belongs to
 * no record, and goes on where a predecessor stopped. -EBUSY: another manager holds the data
 * directory. */
int manager_new(struct ev_loop *loop, const struct config *config, struct manager **ret_manager,
                struct err *e);

/* The configuration given to manager_new() was read again: it has other contents now, but for those
 * named in `fixed` (an array, or NULL), which count at the next start. `error`: why it was refused
 * and stayed as it was; else NULL. The node object has both. */
void manager_reconfigure(struct manager *m, json_t *fixed, const char *error);

/* Lets go of everything; executors and tasks run on. NULL is fine; returns NULL. */
struct manager *manager_free(struct manager *m);

/* Registers `job` (taken over on success): same definition as the newest version and not stopped is
 * no new version, and replaces what failed of it; else manager/job/update.h says what becomes of
 * the allocations. *ret_record is borrowed. -EINVAL (definition refused: driver unknown or
 * unavailable here …), -ENOSPC, -EROFS.
 */
int manager_job_register(struct manager *m, struct job *job, struct job_record **ret_record,
                         struct err *e);

/* What registering `job` would do to the allocations there are; nothing is changed. The caller
 * calls update_deinit() (manager/job/update.h). Errors as above. */
int manager_job_plan(struct manager *m, const struct job *job, struct update *ret_update,
                     struct err *e);

/* Registers what `version` of the job was as its newest one. -ENOENT: no such job, or version on
 * record; -EINVAL: it is the newest one. */
int manager_job_revert(struct manager *m, const char *id, uint64_t version,
                       struct job_record **ret_record, struct err *e);

/* What of a job this node falls short of, for people; "" when nothing. The caller frees. */
char *manager_job_warnings(const struct manager *m, const struct job *job);

/* Stops a job: its allocations run their stop sequences. -ENOENT. They do so even if it cannot be
 * recorded (-ENOSPC, -EROFS …), which the next call tries again. `purge`: it is forgotten as well,
 * and its allocations are removed as soon as they are finished. */
int manager_job_deregister(struct manager *m, const char *job_id, bool purge, struct err *e);

/* Has the job looked at again; what failed of it is replaced only with `force`. *ret_record is
 * borrowed. -ENOENT; -EINVAL: it is one that others are launched from; -ENOSPC … as above. */
int manager_job_evaluate(struct manager *m, const char *id, bool force,
                         struct job_record **ret_record, struct err *e);

/* Stops an allocation for another one in its place. Nothing happens to one that is told to stop, or
 * has ended well. Recorded before it happens; -ENOSPC, -EROFS … */
int manager_alloc_stop(struct manager *m, struct alloc *alloc, struct err *e);

/* What a parameterized job is dispatched with. */
struct dispatch {
    const json_t *meta;  /* strings */
    const char *payload; /* base64, or "" */
    const char *token;   /* "", or the dispatch that had the same one is meant */
    const char *id_prefix;
    int64_t priority; /* 0: the parent's */
};

/* Registers a child of the parameterized job; borrowed. -ENOENT, -EINVAL, and what
 * manager_job_register() returns. */
int manager_job_dispatch(struct manager *m, const char *job_id, const struct dispatch *d,
                         struct job_record **ret_child, struct err *e);

/* Launches the periodic job now, whatever its times, and whether or not it prohibits overlap; one
 * that is disabled is refused, as in Nomad. The same errors. */
int manager_periodic_force(struct manager *m, const char *job_id, struct job_record **ret_child,
                           struct err *e);

/* Stops every job and, when the last task is dead, calls `done` once. The error is that of the
 * first job whose stop could not be recorded; it stops all the same. */
int manager_stop_all(struct manager *m, void (*done)(void *arg), void *arg, struct err *e);

/* Removes every allocation that is finished, and every job that is done with; then calls `done`
 * once with how many allocations went, and how many finished ones are left: their executors were
 * still ending, or the removal failed. A call under way goes on, and `done` takes the place of its.
 */
void manager_gc(struct manager *m, void (*done)(void *arg, size_t removed, size_t left), void *arg);

/* Has every executor become the configured executor binary, one after another, under its running
 * task; `done` is called once with what became of each: [{"AllocID", "Task", "Before", "After",
 * "Error"}] (borrowed), releases and a text that is "" where all went well. -EBUSY: under way. */
int manager_upgrade_executors(struct manager *m, void (*done)(void *arg, json_t *results),
                              void *arg);

/* Freezes all of a task, or lets it go on; its events tell when that is done. -ESRCH: it does not
 * run; -EOPNOTSUPP: no freezer; -EAGAIN: its executor has not answered yet. */
int manager_pause(const struct manager *m, const struct task *task, bool paused, struct err *e);

/* Restarts `task`, or if that is NULL all tasks of `alloc` that run: task_restart(); or sends a
 * signal to it, or them. -ESRCH: it does not run, or none does, or, if `all`, not every one. */
int manager_restart(const struct alloc *alloc, const struct task *task, bool all, struct err *e);
int manager_signal(const struct alloc *alloc, const struct task *task, int signo, struct err *e);

/* A command inside a running task: a `cleat-executor exec` (shared/proto/exec.h), our child. */
struct task_exec {
    int pidfd;
    int in, out, error; /* our ends of its descriptors 0, 1 and 2; non-blocking */
    int control;        /* of EXEC_CTL_FD; non-blocking */
};

#define TASK_EXEC_INIT                                                                             \
    {                                                                                              \
        .pidfd = -1, .in = -1, .out = -1, .error = -1, .control = -1                               \
    }

/* Starts `argv` inside the task, on a terminal if `tty`. The caller closes the descriptors and
 * waits for the pidfd. -ESRCH: the task does not run. */
int manager_exec(struct manager *m, const struct task *task, char *const *argv, bool tty,
                 struct task_exec *ret_exec, struct err *e);

/* The newest versions of all jobs, and all allocations; walk by ->next. Borrowed until the loop
 * runs. */
struct job_record *manager_jobs(const struct manager *m);
struct alloc *manager_allocs(const struct manager *m);
struct job_record *manager_find_job(const struct manager *m, const char *id);
struct job_record *manager_find_version(const struct manager *m, const char *id, uint64_t version);
struct alloc *manager_find_alloc(const struct manager *m, const char *id);

/* The node object as Nomad's GET /v1/node/:id shows it (new reference): ID, Name, Status,
 * Attributes (fingerprint), Drivers, Resources …; and the 36-character node id. */
json_t *manager_node_json(const struct manager *m);
const char *manager_node_id(const struct manager *m);
json_t *manager_host_stats(const struct manager *m); /* manager/host/host_stats.h */
const struct config *manager_config(const struct manager *m);
struct ev_loop *manager_loop(const struct manager *m);

/* State files that could not be read and were set aside: n paths, borrowed. */
const char *const *manager_damaged(const struct manager *m, size_t *ret_n);

/* Called (from the loop, after the change is on disk) whenever an alloc or task changed; the API
 * uses it to wake followers. One slot is enough. */
void manager_on_change(struct manager *m, void (*cb)(void *arg, struct alloc *alloc), void *arg);
