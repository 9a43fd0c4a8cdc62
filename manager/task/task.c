/* SPDX-License-Identifier: MIT
 *
 *   QUEUED -> SUPERVISED -> DONE            the usual way
 *             SUPERVISED -> WAITING -> QUEUED  the executor died, the restart policy allows another
 *   QUEUED -> WAITING -> QUEUED             what keeps it from starting may pass
 *   QUEUED, WAITING -> DONE                 stopped before it ran, or it cannot be started
 * While an executor lives, its record alone says how the task is (task_on_record takes it over).
 * The manager's own part is what happens without one. Odd case: an executor that finds its task
 * locked by another one leaves at once, and the manager attaches to that other one.
 */
#include "manager/task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manager/alloc/alloc.h"
#include "manager/alloc/allocdir.h"
#include "manager/core.h"
#include "manager/host/cores.h"
#include "manager/task/spec_build.h"
#include "manager/task/task_handle.h"
#include "manager/task/task_loss.h"
#include "shared/cleanup.h"
#include "shared/log.h"
#include "shared/proto/wire.h"
#include "shared/statefile.h"

void task_state_dir(const struct task *task, char *buf, size_t size)
{
    store_task_dir(&task->alloc->manager->store, task->alloc->id, task->def->name, buf, size);
}

void task_deinit(struct task *task)
{
    task->handle = task_handle_free(task->handle);
    task_cancel_waiting(task);
    json_decref(task->template_env);
    task->template_env = NULL;
    free(task->cpus);
    task->cpus = NULL;
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

struct task_event *task_note(struct task *task, enum task_event_type type, const char *fmt, ...)
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

/* To be called whenever the task has become dead, before anybody is told. */
static void drop_secrets(const struct task *task)
{
    int r = allocdir_unmount_task(task->alloc->dir, task->def->name);

    if (r)
        log_warn("alloc %s task %s: unmount secrets: %s", task->alloc->id, task->def->name,
                 strerror(-r));
}

/* Ends a task that no executor holds. */
void task_finish(struct task *task, bool failed)
{
    task->phase = TASK_PHASE_DONE;
    cores_release(task);
    task->status.state = TASK_STATE_DEAD;
    task->status.failed = failed;
    task->status.pid = 0;
    task->status.paused = false;
    task->status.finished_ns = manager_now_ns();
    drop_secrets(task);
    alloc_changed(task->alloc, true);
}

/* True for what other programs or people may mend meanwhile: a full disk or table, an executor that
 * is just being replaced. What is wrong in the job itself is a driver failure. */
static bool may_pass(enum task_event_type type, int code)
{
    static const int passing[] = {EAGAIN, EDQUOT, EMFILE, ENFILE, ENOENT,
                                  ENOMEM, ENOSPC, EROFS,  ETXTBSY};

    for (size_t i = 0; type == TASK_EVENT_SETUP_FAILURE && i < ARRAY_LEN(passing); i++)
        if (code == -passing[i])
            return true;
    return false;
}

static void fail_start(struct task *task, enum task_event_type type, const struct err *e)
{
    log_error("alloc %s task %s: %s", task->alloc->id, task->def->name, e->text);
    task_note(task, type, "%s", e->text);
    if (may_pass(type, e->code) && task_retry_start(task))
        return;
    task_note(task, TASK_EVENT_NOT_RESTARTING, "the task could not be started");
    task_finish(task, true);
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
    r = cores_reserve(task, e);
    if (r)
        return r;
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

    task_state_dir(task, dir, sizeof(dir));
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

/* Before a queued task ends: an executor that an earlier manager forked may have taken its lock
 * since. Then it is attached to. Else none will any more. */
static bool adopt_late(struct task *task)
{
    char dir[PATH_MAX];

    task_state_dir(task, dir, sizeof(dir));
    if (task_handle_retire(dir) != -EBUSY)
        return false;
    task_adopt(task);
    return true;
}

void task_start(struct task *task)
{
    enum task_event_type blame;
    struct err e = ERR_INIT;

    if (task->phase != TASK_PHASE_QUEUED)
        return;
    if (!task->n_events)
        task_note(task, TASK_EVENT_RECEIVED, "Task received by client");
    task_note(task, TASK_EVENT_TASK_SETUP, "Building Task Directory");
    if (set_up(task, &blame, &e) == 0)
        task->phase = TASK_PHASE_SUPERVISED;
    else if (!adopt_late(task))
        fail_start(task, blame, &e);
}

/* An earlier manager may have said so already. */
static bool is_noted(const struct task *task, enum task_event_type type)
{
    for (size_t i = 0; i < task->n_events; i++)
        if (task->events[i].type == type)
            return true;
    return false;
}

bool task_note_sibling(struct task *task, const struct task *failed)
{
    if (!failed || failed == task)
        return false;
    if (!is_noted(task, TASK_EVENT_SIBLING_FAILED))
        task_note(task, TASK_EVENT_SIBLING_FAILED, "Task's sibling \"%s\" failed",
                  failed->def->name);
    return true;
}

void task_stop(struct task *task, const struct task *failed)
{
    bool sibling;

    switch (task->phase) {
    case TASK_PHASE_QUEUED:
        if (adopt_late(task)) {
            task_stop(task, failed);
            break;
        }
        sibling = task_note_sibling(task, failed);
        task_note(task, TASK_EVENT_KILLED, "Stopped before it was started");
        task_finish(task, sibling);
        break;
    case TASK_PHASE_WAITING:
        task_end_waiting(task, failed);
        break;
    case TASK_PHASE_SUPERVISED:
        if (task->status.state == TASK_STATE_DEAD || task_handle_is_stopping(task->handle))
            break;
        sibling = task_note_sibling(task, failed);
        task_handle_stop(task->handle, sibling, sibling ? "Sibling Task Failed" : NULL);
        break;
    default:
        break;
    }
}

int manager_pause(const struct manager *m, const struct task *task, bool paused, struct err *e)
{
    int r;

    if (task->status.state != TASK_STATE_RUNNING || !task->handle)
        return err_set(e, -ESRCH, "task \"%s\" is not running", task->def->name);
    if (!m->cgroup.dirs.unified && !m->cgroup.dirs.freezer)
        return err_set(e, -EOPNOTSUPP, "this host has no cgroup freezer: %s",
                       m->cgroup.reason ? m->cgroup.reason : "mount the v1 controller \"freezer\"");
    r = task_handle_pause(task->handle, paused);
    return r ? err_sys(e, r, "tell the executor of task \"%s\"", task->def->name) : 0;
}

/* Takes over what is new in the executor's record. */
static void merge(struct task *task, const struct task_status *record)
{
    struct task_summary *s = &task->status;

    task->unheard = false;
    if (record->seq < s->seq)
        s->seq = 0; /* it could not go on from the record before it */
    for (size_t i = 0; i < record->n_events; i++)
        if (record->events[i].seq > s->seq)
            task_append_event(task, &record->events[i]);
    *s = (struct task_summary){
        .seq = record->seq,
        .state = record->state,
        .failed = record->failed,
        .attempt = record->attempt,
        .restarts = task->own_restarts + record->restarts,
        .started_ns = record->started_ns,
        .finished_ns = record->finished_ns,
        .last_restart_ns = record->last_restart_ns,
        .exit_code = record->exit_code,
        .exit_signal = record->exit_signal,
        .oom_killed = record->oom_killed,
        .paused = record->paused,
        .log_lost_bytes = record->log_lost_bytes,
        .log_lost_stderr_bytes = record->log_lost_stderr_bytes,
    };
    if (s->state == TASK_STATE_DEAD)
        drop_secrets(task);
    alloc_changed(task->alloc, false);
}

/* True when there is a record, which is taken over if it says anything new. Who the main process is
 * stands nowhere else, and is of no use to another boot. */
static bool read_record(struct task *task, struct task_status *ret_record)
{
    char dir[PATH_MAX];
    bool here;

    task_state_dir(task, dir, sizeof(dir));
    if (task_handle_read_record(dir, ret_record))
        return false;
    /* The number may be that of an earlier boot's record, and our own record too: both unsynced. */
    if (ret_record->seq != task->status.seq || ret_record->state == TASK_STATE_DEAD)
        merge(task, ret_record);
    here = strcmp(ret_record->boot_id, task->alloc->manager->boot_id) == 0;
    task->status.pid = here ? ret_record->pid : 0;
    task->status.pid_start = here ? ret_record->pid_start : 0;
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
    bool known;

    if (code == WIRE_EXIT_LOCKED) {
        task_adopt(task);
        return;
    }
    known = read_record(task, &record);
    if (known && record.state == TASK_STATE_DEAD) {
        task->phase = TASK_PHASE_DONE;
        cores_release(task);
        alloc_changed(task->alloc, false);
        return;
    }
    if (code > 0)
        (void)snprintf(detail, sizeof(detail), " (it exited with code %d)", code);
    task_lose_executor(task, known, detail);
}

/* `noted`: an earlier manager took note of the loss and was waiting to start another executor. */
static void adopt_dead(struct task *task, bool noted)
{
    struct task_status record;
    bool known = read_record(task, &record);
    bool of_this_boot = known && strcmp(record.boot_id, task->alloc->manager->boot_id) == 0;

    if (known && record.state == TASK_STATE_DEAD) {
        task->phase = TASK_PHASE_DONE;
    } else if (noted) {
        task_wait_again(task);
    } else if (known && !of_this_boot) {
        task_lose_boot(task);
    } else if (task->unheard || (!known && !task->status.seq)) {
        alloc_queue(task->alloc); /* one on its way to its lock finds ours there, or is found */
    } else {
        task_lose_executor(task, known, known ? " while no manager ran" : " and left no record");
    }
}

void task_adopt(struct task *task)
{
    bool noted = task->phase == TASK_PHASE_WAITING;
    struct task_status record;
    char dir[PATH_MAX];
    struct err e;

    store_check_spec(&task->alloc->manager->store, task->alloc->id, task->def->name);
    task_state_dir(task, dir, sizeof(dir));
    if (task_handle_attach(task, dir, &e)) {
        task->phase = TASK_PHASE_QUEUED;
        adopt_dead(task, noted);
        return;
    }
    task->phase = TASK_PHASE_SUPERVISED;
    cores_adopt(task, dir);
    (void)read_record(task, &record);
    if (task->alloc->desired == DESIRED_STOP)
        task_stop(task, NULL);
}
