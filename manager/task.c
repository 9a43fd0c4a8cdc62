/* SPDX-License-Identifier: MIT
 *
 *   QUEUED -> SUPERVISED -> DONE            the usual way
 *             SUPERVISED -> WAITING -> QUEUED  the executor died, the restart policy allows another
 *   QUEUED, WAITING -> DONE                 stopped before it ran, or it cannot be started
 * While an executor lives, its record alone says how the task is (task_on_record takes it over).
 * The manager's own part is what happens without one. Odd case: an executor that finds its task
 * locked by another one leaves at once, and the manager attaches to that other one.
 */
#include "manager/task.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manager/alloc.h"
#include "manager/allocdir.h"
#include "manager/core.h"
#include "manager/spec_build.h"
#include "manager/task_handle.h"
#include "shared/cleanup.h"
#include "shared/log.h"
#include "shared/proto/wire.h"
#include "shared/statefile.h"
#include "shared/sys.h"

#define DYING_RETRY_S 0.02 /* between looks at a leftover that is still dying */

/* What is to follow once nothing of the task runs any more: another start, or the end. */
struct task_retry {
    ev_timer timer;
    struct task *task;
    bool ends;
    bool failed; /* how it ends */
    pid_t pid;   /* its main process, which may live on where there are no cgroups; 0: none */
    uint64_t pid_start;
};

static void state_dir(const struct task *task, char *buf, size_t size)
{
    store_task_dir(&task->alloc->manager->store, task->alloc->id, task->def->name, buf, size);
}

static void cancel_retry(struct task *task)
{
    if (!task->retry)
        return;
    ev_timer_stop(task->alloc->manager->loop, &task->retry->timer);
    free(task->retry);
    task->retry = NULL;
}

void task_deinit(struct task *task)
{
    task->handle = task_handle_free(task->handle);
    cancel_retry(task);
    free(task->events);
    task->events = NULL;
    task->n_events = 0;
}

/* A text that was cut, or that quotes bytes of a file name, need not be UTF-8; JSON wants it. */
static void make_utf8(char *text)
{
    json_t *probe = json_string(text);

    for (; !probe && *text; text++)
        if ((unsigned char)*text >= 0x80)
            *text = '?';
    json_decref(probe);
}

void task_append_event(struct task *task, const struct task_event *event)
{
    if (task->n_events == STATUS_EVENTS) {
        memmove(task->events, task->events + 1, (STATUS_EVENTS - 1) * sizeof(*event));
        task->n_events--;
    } else {
        struct task_event *grown =
            reallocarray(task->events, task->n_events + 1, sizeof(*task->events));

        if (!grown)
            abort();
        task->events = grown;
    }
    task->events[task->n_events] = *event;
    make_utf8(task->events[task->n_events].message);
    task->n_events++;
}

static struct task_event *own_event(struct task *task, enum task_event_type type, const char *fmt,
                                    ...) __attribute__((format(printf, 3, 4)));

static struct task_event *own_event(struct task *task, enum task_event_type type, const char *fmt,
                                    ...)
{
    struct task_event event = {.time_ns = manager_now_ns(), .type = type};
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(event.message, sizeof(event.message), fmt, ap);
    va_end(ap);
    task_append_event(task, &event);
    alloc_changed(task->alloc, true);
    return &task->events[task->n_events - 1];
}

static void log_task(enum log_level level, const struct task *task, const char *text)
{
    log_message(level, "alloc %s task %s: %s", task->alloc->id, task->def->name, text);
}

/* Ends a task that no executor holds. */
static void finish(struct task *task, bool failed)
{
    task->phase = TASK_PHASE_DONE;
    task->status.state = TASK_STATE_DEAD;
    task->status.failed = failed;
    task->status.pid = 0;
    task->status.finished_ns = manager_now_ns();
    alloc_changed(task->alloc, true);
}

static void fail_start(struct task *task, enum task_event_type type, const struct err *e)
{
    log_task(LOG_LEVEL_ERROR, task, e->text);
    own_event(task, type, "%s", e->text);
    own_event(task, TASK_EVENT_NOT_RESTARTING, "the task could not be started");
    finish(task, true);
}

static int write_spec(struct task *task, const char *dir, enum task_event_type *ret_blame,
                      struct err *e)
{
    struct manager *m = task->alloc->manager;
    struct spec_build_input in = {m->config, &m->cgroup, m->store.node_id, m->attributes};
    autofree char *data = NULL;
    autofd int fd = -1;
    size_t size;
    int r;

    *ret_blame = TASK_EVENT_DRIVER_FAILURE;
    r = spec_build(&in, task, &data, &size, e);
    if (r)
        return r;
    *ret_blame = TASK_EVENT_SETUP_FAILURE;
    r = store_make_task_dir(&m->store, task->alloc->id, task->def->name);
    if (r)
        return err_sys(e, r, "make directory %s", dir);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, -errno, "open directory %s", dir);
    /* Not synced: it is of no use to another boot. */
    return statefile_write_unsynced(fd, WIRE_SPEC, SPEC_VERSION, data, size, e);
}

static int set_up(struct task *task, enum task_event_type *ret_blame, struct err *e)
{
    char dir[PATH_MAX];
    int r;

    state_dir(task, dir, sizeof(dir));
    *ret_blame = TASK_EVENT_SETUP_FAILURE;
    r = allocdir_build(task->alloc->dir, e);
    if (!r)
        r = allocdir_build_task(task->alloc->dir, task->def->name, e);
    if (!r)
        r = write_spec(task, dir, ret_blame, e);
    if (!r)
        r = task_handle_spawn(task, dir, e);
    return r;
}

void task_start(struct task *task)
{
    enum task_event_type blame;
    struct err e = ERR_INIT;

    if (task->phase != TASK_PHASE_QUEUED)
        return;
    if (alloc_is_stopping(task->alloc)) {
        task_stop(task, NULL);
        return;
    }
    if (!task->n_events)
        own_event(task, TASK_EVENT_RECEIVED, "Task received by client");
    own_event(task, TASK_EVENT_TASK_SETUP, "Building Task Directory");
    if (set_up(task, &blame, &e))
        fail_start(task, blame, &e);
    else
        task->phase = TASK_PHASE_SUPERVISED;
}

/* A stop because of `failed`, its sibling, is an event of its own. */
static bool note_sibling(struct task *task, const struct task *failed)
{
    if (!failed || failed == task)
        return false;
    own_event(task, TASK_EVENT_SIBLING_FAILED, "Task's sibling \"%s\" failed", failed->def->name);
    return true;
}

static void end_waiting(struct task *task, const struct task *failed)
{
    struct task_retry *retry = task->retry;
    struct ev_loop *loop = task->alloc->manager->loop;

    if (retry->ends)
        return;
    retry->ends = true;
    retry->failed = note_sibling(task, failed);
    own_event(task, TASK_EVENT_KILLED, "Stopped while it waited for its restart");
    ev_timer_stop(loop, &retry->timer);
    ev_timer_set(&retry->timer, 0, 0);
    ev_timer_start(loop, &retry->timer);
}

void task_stop(struct task *task, const struct task *failed)
{
    bool sibling;

    switch (task->phase) {
    case TASK_PHASE_QUEUED:
        sibling = note_sibling(task, failed);
        own_event(task, TASK_EVENT_KILLED, "Stopped before it was started");
        finish(task, sibling);
        break;
    case TASK_PHASE_WAITING:
        end_waiting(task, failed);
        break;
    case TASK_PHASE_SUPERVISED:
        if (task->status.state == TASK_STATE_DEAD || task_handle_is_stopping(task->handle))
            break;
        sibling = note_sibling(task, failed);
        task_handle_stop(task->handle, sibling, sibling ? "Sibling Task Failed" : NULL);
        break;
    default:
        break;
    }
}

bool task_may_restart(const struct spec_restart *policy, uint64_t now_ns, uint32_t *window_count,
                      uint64_t *window_ns, uint64_t *ret_delay_ns)
{
    uint64_t end = *window_ns + policy->interval_ns;

    if (!*window_count || now_ns >= end) {
        *window_count = 0;
        *window_ns = now_ns;
        end = now_ns + policy->interval_ns;
    }
    if (*window_count < policy->attempts) {
        ++*window_count;
        *ret_delay_ns = policy->delay_ns;
        return true;
    }
    if (policy->mode != SPEC_RESTART_DELAY)
        return false;
    *window_count = 0; /* the next window starts with the restart */
    *ret_delay_ns = end - now_ns;
    return true;
}

/* SIGKILLs the recorded main process, if it is still that process: where there are no cgroups. */
static int kill_recorded(const struct task_retry *retry)
{
    struct pollfd poller = {.fd = -1, .events = POLLIN};
    autofd int pidfd = retry->pid > 0 ? sys_pidfd_open(retry->pid, 0) : -1;
    uint64_t start;

    if (pidfd < 0 || procid_start_time(retry->pid, &start) || start != retry->pid_start)
        return 0;
    (void)sys_pidfd_send_signal(pidfd, SIGKILL);
    poller.fd = pidfd;
    return poll(&poller, 1, 0) == 1 ? 0 : -EAGAIN; /* readable: it is dead */
}

/* 0: nothing of the task runs. -EAGAIN: it is still dying. */
static int kill_leftovers(const struct task_retry *retry)
{
    const struct alloc *alloc = retry->task->alloc;
    int dying = kill_recorded(retry);
    int r = cgroup_layout_kill_task(&alloc->manager->cgroup, alloc->id, retry->task->def->name);

    return r == -EAGAIN ? r : dying;
}

static void on_retry_due(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct task_retry *retry = container_of(timer, struct task_retry, timer);
    struct task *task = retry->task;
    bool ends = retry->ends, failed = retry->failed;

    (void)revents;
    if (kill_leftovers(retry) == -EAGAIN) {
        ev_timer_set(timer, DYING_RETRY_S, 0);
        ev_timer_start(loop, timer);
        return;
    }
    cancel_retry(task);
    if (ends) {
        finish(task, failed);
        return;
    }
    task->phase = TASK_PHASE_QUEUED;
    alloc_queue(task->alloc);
}

/* Kills what is left of the task, and goes on after `delay_ns` at the earliest. */
static struct task_retry *wait_until_gone(struct task *task, uint64_t delay_ns)
{
    struct ev_loop *loop = task->alloc->manager->loop;
    struct task_retry *retry = calloc(1, sizeof(*retry));

    if (!retry)
        abort();
    retry->task = task;
    retry->pid = task->status.pid;
    retry->pid_start = task->status.pid_start;
    task->retry = retry;
    task->phase = TASK_PHASE_WAITING;
    task->status.state = TASK_STATE_PENDING;
    task->status.pid = 0;
    (void)kill_leftovers(retry);
    ev_timer_init(&retry->timer, on_retry_due, (double)delay_ns / 1e9, 0);
    ev_now_update(loop);
    ev_timer_start(loop, &retry->timer);
    return retry;
}

static void wait_for_end(struct task *task)
{
    struct task_retry *retry = wait_until_gone(task, 0);

    retry->ends = true;
    retry->failed = task->lost;
}

/* True when the restart policy lets the task start again; *ret_delay_ns: after how long. */
static bool may_restart(struct task *task, uint64_t *ret_delay_ns)
{
    struct spec_restart policy;

    if (alloc_is_stopping(task->alloc)) {
        own_event(task, TASK_EVENT_KILLED, "its executor died while the task was to stop");
        return false;
    }
    spec_build_restart(task, &policy);
    if (task_may_restart(&policy, manager_now_ns(), &task->window_count, &task->window_ns,
                         ret_delay_ns))
        return true;
    own_event(task, TASK_EVENT_NOT_RESTARTING,
              "its executor was lost, and the restart policy's %u attempts are used up",
              policy.attempts);
    task->lost = true;
    return false;
}

/* The executor, or with it the machine, died under the task. */
static void lose(struct task *task, bool rebooted)
{
    uint64_t delay;

    if (!may_restart(task, &delay)) {
        wait_for_end(task);
        return;
    }
    if (rebooted)
        delay = 0; /* there is nothing to wait for to pass */
    /* An executor that goes on from the record of a started task counts this restart there. */
    if (rebooted || !task->status.started_ns)
        task->own_restarts++;
    task->status.restarts++;
    task->status.last_restart_ns = manager_now_ns();
    own_event(task, TASK_EVENT_RESTARTING, "Task restarting after the loss of its executor")
        ->delay_ns = delay;
    (void)wait_until_gone(task, delay);
}

static void lose_executor(struct task *task, const char *detail)
{
    struct task_event *event =
        own_event(task, TASK_EVENT_TERMINATED,
                  "executor died%s; what was left of the task was killed", detail);

    event->exit_code = -1;
    log_task(LOG_LEVEL_ERROR, task, event->message);
    task->status.exit_code = -1;
    lose(task, false);
}

static void lose_boot(struct task *task)
{
    char dir[PATH_MAX - 16], path[PATH_MAX];

    own_event(task, TASK_EVENT_LOST, "The machine was restarted under the task");
    log_task(LOG_LEVEL_WARN, task, "lost with the machine's last boot");
    /* A new executor would number its events from the start again; it gets a clean sheet. */
    state_dir(task, dir, sizeof(dir));
    (void)snprintf(path, sizeof(path), "%s/" WIRE_STATUS, dir);
    (void)unlink(path);
    task->own_restarts = task->status.restarts;
    task->status.seq = 0;
    task->status.attempt = 0;
    task->status.pid = 0;
    lose(task, true);
}

/* Takes over what is new in the executor's record. */
static void merge(struct task *task, const struct task_status *record)
{
    struct task_summary *s = &task->status;

    if (record->seq < s->seq)
        s->seq = 0; /* it could not go on from the record before it */
    for (size_t i = 0; i < record->n_events; i++)
        if (record->events[i].seq > s->seq)
            task_append_event(task, &record->events[i]);
    *s = (struct task_summary){
        .seq = record->seq,
        .state = record->state,
        .failed = record->failed,
        .pid = record->pid,
        .pid_start = record->pid_start,
        .attempt = record->attempt,
        .restarts = task->own_restarts + record->restarts,
        .started_ns = record->started_ns,
        .finished_ns = record->finished_ns,
        .last_restart_ns = record->last_restart_ns,
        .exit_code = record->exit_code,
        .exit_signal = record->exit_signal,
        .oom_killed = record->oom_killed,
        .log_lost_bytes = record->log_lost_bytes,
    };
    alloc_changed(task->alloc, record->state == TASK_STATE_DEAD);
}

/* True when there is a record, which is taken over if it says anything new. */
static bool read_record(struct task *task, struct task_status *ret_record)
{
    char dir[PATH_MAX];

    state_dir(task, dir, sizeof(dir));
    if (task_handle_read_record(dir, ret_record))
        return false;
    if (ret_record->seq != task->status.seq)
        merge(task, ret_record);
    return true;
}

void task_on_record(struct task *task)
{
    struct task_status record;

    (void)read_record(task, &record);
}

void task_on_executor_gone(struct task *task, int code)
{
    struct task_status record;
    char detail[64] = "";

    if (code == WIRE_EXIT_LOCKED) {
        task_adopt(task);
        return;
    }
    if (read_record(task, &record) && record.state == TASK_STATE_DEAD) {
        task->phase = TASK_PHASE_DONE;
        alloc_changed(task->alloc, true);
        return;
    }
    if (code > 0)
        (void)snprintf(detail, sizeof(detail), " (it exited with code %d)", code);
    lose_executor(task, detail);
}

/* `noted`: an earlier manager took note of the loss and was waiting to start another executor. */
static void adopt_dead(struct task *task, const char *dir, bool noted)
{
    const struct manager *m = task->alloc->manager;
    struct task_status record;
    bool known = read_record(task, &record);

    if (noted && !(known && record.state == TASK_STATE_DEAD)) {
        if (known && strcmp(record.boot_id, m->boot_id) == 0) {
            task->status.pid = record.pid;
            task->status.pid_start = record.pid_start;
        }
        if (task->lost)
            wait_for_end(task);
        else
            (void)wait_until_gone(task, 0);
        return;
    }
    if (known) {
        if (record.state == TASK_STATE_DEAD)
            task->phase = TASK_PHASE_DONE;
        else if (strcmp(record.boot_id, m->boot_id) != 0)
            lose_boot(task);
        else
            lose_executor(task, " while no manager ran");
        return;
    }
    /* No executor got as far as a record: it was not started, or died at once, or is just about to
     * take its lock, in which case it or ours finds the lock taken. */
    if (alloc_is_stopping(task->alloc) && task_handle_retire(dir) == -EBUSY) {
        task_adopt(task);
        return;
    }
    if (task->status.seq)
        lose_executor(task, " and left no record");
    else
        alloc_queue(task->alloc);
}

void task_adopt(struct task *task)
{
    bool noted = task->phase == TASK_PHASE_WAITING;
    struct task_status record;
    char dir[PATH_MAX];
    struct err e;

    store_check_spec(&task->alloc->manager->store, task->alloc->id, task->def->name);
    state_dir(task, dir, sizeof(dir));
    if (task_handle_attach(task, dir, &e)) {
        task->phase = TASK_PHASE_QUEUED;
        adopt_dead(task, dir, noted);
        return;
    }
    task->phase = TASK_PHASE_SUPERVISED;
    (void)read_record(task, &record);
    if (alloc_is_stopping(task->alloc))
        task_stop(task, NULL);
}
