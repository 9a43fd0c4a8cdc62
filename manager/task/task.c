/* SPDX-License-Identifier: MIT
 *
 * The impure half of machine.h: turns what happens (its turn, a record, an executor's death) into
 * events, and the actions that come back into what is done. While an executor lives, its record
 * alone says how the task is (task_on_record takes it over).
 */
#include "manager/task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manager/alloc/alloc.h"
#include "manager/alloc/allocdir.h"
#include "manager/alloc/quota.h"
#include "manager/core.h"
#include "manager/host/cores.h"
#include "manager/task/spec_build.h"
#include "manager/task/task_handle.h"
#include "manager/task/task_redefine.h"
#include "manager/task/task_terms.h"
#include "manager/task/task_wait.h"
#include "manager/task/templates.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/proto/wire.h"
#include "shared/statefile.h"

void task_state_dir(const struct task *task, char *buf, size_t size)
{
    store_task_dir(&task->alloc->manager->store, task->alloc->id, task->def->name, buf, size);
}

void task_deinit(struct task *task)
{
    prepare_cancel(task);
    templates_stop(task);
    task->handle = task_handle_free(task->handle);
    task->wait = task_wait_free(task->wait);
    json_decref(task->template_env);
    task->template_env = NULL;
    free(task->cpus);
    task->cpus = NULL;
    free(task->events);
    task->events = NULL;
    task->n_events = 0;
}

/* To be called whenever the task has become dead, before anybody is told. */
static void drop_secrets(const struct task *task)
{
    int r = allocdir_unmount_task(task->alloc->dir, task->def->name);

    if (r)
        log_warn("alloc %s task %s: unmount secrets: %s", task->alloc->id, task->def->name,
                 strerror(-r));
}

/* Acting on what the machine says */

static void feed(struct task *task, struct machine_input in, const char *detail);

static void release(struct task *task)
{
    cores_release(task);
    templates_stop(task);
    alloc_changed(task->alloc, false);
}

/* Executors that an earlier manager forked, and that have not come to their lock yet, will not
 * start it any more. -EBUSY: one holds the lock. */
static int retire(const struct task *task)
{
    char dir[PATH_MAX];

    task_state_dir(task, dir, sizeof(dir));
    return task_handle_retire(dir);
}

/* The number alone may be that of another: a record that was lost, or set back by a power cut, is
 * followed by one that begins anew. */
static bool is_known(const struct task *task, const struct task_status *record)
{
    return record->seq == task->status.seq && record->attempt == task->status.attempt &&
           record->started_ns == task->status.started_ns;
}

/* True when one of them holds the lock, or has had it: its record says what is not known here. None
 * will come any more when it is false. */
static bool came_late(const struct task *task)
{
    struct task_status record;
    char dir[PATH_MAX];

    if (retire(task) == -EBUSY)
        return true;
    task_state_dir(task, dir, sizeof(dir));
    return task_handle_read_record(dir, &record) == 0 && !is_known(task, &record);
}

/* Ends a task that no executor holds. */
static void finish(struct task *task, bool failed)
{
    release(task);
    task->status.state = TASK_STATE_DEAD;
    task->status.failed = failed;
    task->status.pid = 0;
    task->status.paused = false;
    task->status.finished_ns = manager_now_ns();
    drop_secrets(task);
    alloc_changed(task->alloc, true);
}

static void wait(struct task *task, uint64_t delay_ns)
{
    task->wait = task_wait_free(task->wait); /* it may have waited for something else */
    templates_stop(task);
    task_wait(task, delay_ns);
    task->status.state = TASK_STATE_PENDING;
    task->status.pid = 0;
    task->status.paused = false;
}

/* A new executor will number its events from the start again; it gets a clean sheet. */
static void forget_record(struct task *task)
{
    task->own_restarts = task->status.restarts;
    task->status.seq = 0;
    task->status.attempt = 0;
}

static void count_restart(struct task *task)
{
    task->status.restarts++;
    task->status.last_restart_ns = manager_now_ns();
}

static void build_and_prepare(struct task *task);
static void spawn(struct task *task);

static void act(struct task *task, const struct machine_output *out, const char *detail)
{
    if (out->actions & MACHINE_DO_FORGET)
        forget_record(task);
    if (out->actions & MACHINE_DO_COUNT)
        count_restart(task);
    if (out->actions & MACHINE_DO_COUNT_OWN)
        task->own_restarts++;
    if (out->actions & MACHINE_DO_NOTES)
        task_take_notes(task, out, detail);
    if (out->actions & MACHINE_DO_CANCEL)
        prepare_cancel(task);
    if (out->actions & MACHINE_DO_STOP)
        task_handle_stop(task->handle, out->failed, out->reason);
    if (out->actions & MACHINE_DO_WAIT)
        wait(task, out->delay_ns);
    if (out->actions & MACHINE_DO_HURRY)
        task_wait_hurry(task);
    if (out->actions & MACHINE_DO_QUEUE)
        alloc_queue(task->alloc);
    if (out->actions & MACHINE_DO_FINISH)
        finish(task, out->failed);
    if (out->actions & MACHINE_DO_RELEASE)
        release(task);
    if (out->actions & MACHINE_DO_PREPARE)
        build_and_prepare(task);
    if (out->actions & MACHINE_DO_SPAWN)
        spawn(task);
}

static void feed(struct task *task, struct machine_input in, const char *detail)
{
    struct spec_restart policy;
    struct machine_output out;

    spec_build_restart(task, &policy);
    in.policy = &policy;
    in.now_ns = manager_now_ns();
    in.random = clock_spread(in.now_ns);
    machine_step(&task->machine, &in, &out);
    act(task, &out, detail);
}

/* Starting */

/* Before a task that no executor holds ends: one may have taken its lock since. Then it is attached
 * to; or, when it has died again, the task is lost with it, and what it started is killed. */
static bool adopt_late(struct task *task)
{
    if (!came_late(task))
        return false;
    task_adopt(task);
    return true;
}

static void fail_start(struct task *task, enum task_event_type type, bool may_pass,
                       const char *text)
{
    if (adopt_late(task))
        return;
    task_note_failure(task, type, text);
    feed(task, (struct machine_input){.event = MACHINE_FAILED, .may_pass = may_pass}, NULL);
}

static void on_prepared(struct task *task, const struct prepare_failure *failure)
{
    if (failure)
        fail_start(task, failure->type, failure->may_pass, failure->text);
    else
        feed(task, (struct machine_input){.event = MACHINE_PREPARED}, NULL);
}

static void build_and_prepare(struct task *task)
{
    struct err e = ERR_INIT;
    int r = quota_assign(task->alloc, &e);

    if (!r)
        r = allocdir_make(task->alloc->dir, &e);
    if (!r)
        r = quota_apply(task->alloc, &e);
    if (!r)
        r = allocdir_build(task->alloc->dir, &e);
    if (!r)
        r = allocdir_build_task(task->alloc->dir, task->def->name, job_secrets_mb(task->def), &e);
    if (r)
        fail_start(task, TASK_EVENT_SETUP_FAILURE, prepare_may_pass(r), e.text);
    else
        prepare_start(task, prepare_steps, on_prepared);
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
    if (!*task->order)
        uuid_make(task->order);
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

int task_renew_spec(struct task *task, struct err *e)
{
    enum task_event_type blame;
    char dir[PATH_MAX];

    task_state_dir(task, dir, sizeof(dir));
    return write_spec(task, dir, &blame, e);
}

static void spawn(struct task *task)
{
    struct task_status record;
    enum task_event_type blame;
    struct err e = ERR_INIT;
    char dir[PATH_MAX];
    int r;

    task_state_dir(task, dir, sizeof(dir));
    if (task->status.seq && task_handle_read_record(dir, &record))
        forget_record(task); /* it was lost since, and the next will number from the start */
    *task->order = '\0';
    r = write_spec(task, dir, &blame, &e);
    if (!r) {
        task->planned = task->definition;
        task->order_seq = task->status.seq + 1;
        r = task_handle_spawn(task, dir, &e);
    }
    if (!r)
        feed(task, (struct machine_input){.event = MACHINE_ATTACHED}, NULL);
    else /* what is wrong in the job itself does not pass */
        fail_start(task, blame, blame == TASK_EVENT_SETUP_FAILURE && prepare_may_pass(r), e.text);
}

void task_start(struct task *task)
{
    feed(task, (struct machine_input){.event = MACHINE_START, .is_new = !task->n_events}, NULL);
}

bool task_can_stop(const struct task *task)
{
    switch (task->machine.phase) {
    case TASK_PHASE_SUPERVISED:
        return task->status.state != TASK_STATE_DEAD && !task_handle_is_stopping(task->handle);
    case TASK_PHASE_WAITING:
        return !task->machine.ends;
    default:
        return task->machine.phase != TASK_PHASE_DONE;
    }
}

void task_stop(struct task *task, enum stop_cause cause, const struct task *culprit)
{
    enum task_phase phase = task->machine.phase;

    if ((phase == TASK_PHASE_QUEUED || phase == TASK_PHASE_PREPARING) && adopt_late(task)) {
        task_stop(task, cause, culprit);
        return;
    }
    if (task_can_stop(task))
        feed(task, (struct machine_input){.event = MACHINE_STOP, .cause = cause},
             culprit ? culprit->def->name : NULL);
}

void task_start_over(struct task *task)
{
    if (adopt_late(task))
        return;
    task->status.failed = false;
    cores_release(task); /* it may ask for others */
    feed(task, (struct machine_input){.event = MACHINE_CHANGED}, NULL);
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
    bool before = task_is_stale(task) || task_is_of_before(task, record);

    feed(task, (struct machine_input){.event = MACHINE_HEARD}, NULL);
    if (record->seq < s->seq || (record->seq == s->seq && !is_known(task, record)))
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
    if (before && s->state == TASK_STATE_DEAD) { /* that was the task before */
        s->state = TASK_STATE_PENDING;
        s->failed = false;
    }
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
    /* Our own record may be of an earlier boot, as the executor's: both unsynced. */
    if (!is_known(task, ret_record) ||
        (ret_record->state == TASK_STATE_DEAD && !task_is_of_before(task, ret_record)))
        merge(task, ret_record);
    here = strcmp(ret_record->boot_id, task->alloc->manager->boot_id) == 0;
    task->status.pid = here ? ret_record->pid : 0;
    task->status.pid_start = here ? ret_record->pid_start : 0;
    task->terms_id = ret_record->terms_id;
    return true;
}

void task_on_record(struct task *task)
{
    struct task_status record;

    if (read_record(task, &record))
        task_renew_terms(task);
}

/* The last one that tells of the life of the task, and not of what happened beside it. */
static const struct task_event *last_event(const struct task *task)
{
    for (size_t i = task->n_events; i-- > 0;)
        switch (task->events[i].type) {
        case TASK_EVENT_LOG_LOST:
        case TASK_EVENT_LOG_BLOCKED:
        case TASK_EVENT_OOM_KILL:
        case TASK_EVENT_PAUSE_FAILED:
        case TASK_EVENT_UPGRADED:
        case TASK_EVENT_UPGRADE_FAILED:
        case TASK_EVENT_NOT_UPDATED:
            break;
        default:
            return &task->events[i];
        }
    return NULL;
}

/* The executor, or the machine, died between the exit of the task and the end of the executor's own
 * work. */
static bool had_ended_well(const struct task *task)
{
    const struct task_event *last = last_event(task);
    struct spec_restart policy;

    spec_build_restart(task, &policy);
    return !policy.on_success && last && last->type == TASK_EVENT_TERMINATED && !last->exit_code &&
           !last->signal;
}

/* `known`: there is a record. `detail` starts with a blank or is empty. */
static void lose_executor(struct task *task, bool known, const char *detail)
{
    char dir[PATH_MAX];

    task_state_dir(task, dir, sizeof(dir));
    if (task_handle_find(dir)) { /* another one has come to its lock, and the record is its */
        task_adopt(task);
        return;
    }
    feed(task,
         (struct machine_input){.event = MACHINE_LOST,
                                .known = known,
                                .started = known && task->status.started_ns,
                                .ran = task->status.pid && !task->machine.unheard,
                                .ended_well = had_ended_well(task),
                                .stopping = alloc_ends(task->alloc, task)},
         detail);
}

static void lose_boot(struct task *task)
{
    char dir[PATH_MAX - 16], path[PATH_MAX];
    bool ended_well = had_ended_well(task);

    log_warn("alloc %s task %s: lost with the machine's last boot", task->alloc->id,
             task->def->name);
    task_state_dir(task, dir, sizeof(dir));
    (void)snprintf(path, sizeof(path), "%s/" WIRE_STATUS, dir);
    if (!ended_well)
        (void)unlink(path);
    task->status.pid = 0;
    feed(task,
         (struct machine_input){.event = MACHINE_REBOOTED,
                                .ended_well = ended_well,
                                .stopping = alloc_ends(task->alloc, task)},
         NULL);
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
    if (task_is_stale(task)) {
        task_start_over(task);
        return;
    }
    if (known && record.state == TASK_STATE_DEAD && !task_is_of_before(task, &record)) {
        feed(task, (struct machine_input){.event = MACHINE_ENDED}, NULL);
        return;
    }
    if (code > 0)
        (void)snprintf(detail, sizeof(detail), " (it exited with code %d)", code);
    lose_executor(task, known, detail);
}

void task_on_gone(struct task *task, bool held)
{
    held = held || (task->machine.ends && came_late(task));
    feed(task, (struct machine_input){.event = held ? MACHINE_HELD : MACHINE_GONE}, NULL);
    if (held)
        task_adopt(task);
}

static bool has_given_up(const struct task *task)
{
    const struct task_event *last = last_event(task);

    return last && last->type == TASK_EVENT_NOT_RESTARTING;
}

static void adopt_dead(struct task *task, const char *dir)
{
    struct task_status record;
    bool known = read_record(task, &record);
    bool of_this_boot = known && strcmp(record.boot_id, task->alloc->manager->boot_id) == 0;
    bool of_before = known && task_is_of_before(task, &record);

    if (of_before) /* nobody has begun with the order, so it is none */
        task->planned = 0;
    if (task_is_stale(task))
        task_start_over(task);
    else if (known && record.state == TASK_STATE_DEAD && !of_before)
        feed(task, (struct machine_input){.event = MACHINE_ENDED}, NULL);
    else if (task->machine.phase == TASK_PHASE_WAITING) /* noted by an earlier manager */
        feed(task,
             (struct machine_input){.event = MACHINE_ABSENT,
                                    .known = known,
                                    .ended_well = had_ended_well(task),
                                    .gave_up = has_given_up(task)},
             NULL);
    else if (known && !of_this_boot)
        lose_boot(task);
    else if (task->machine.unheard || (!known && !task->status.seq))
        feed(task,
             (struct machine_input){
                 .event = MACHINE_ABSENT, .known = known, .ordered = task_handle_has_order(dir)},
             NULL);
    else
        lose_executor(task, known, known ? " while no manager ran" : " and left no record");
}

void task_adopt(struct task *task)
{
    struct task_status record;
    char dir[PATH_MAX];
    struct err e;

    store_check_spec(&task->alloc->manager->store, task->alloc->id, task->def->name);
    task_state_dir(task, dir, sizeof(dir));
    alloc_changed(task->alloc, false); /* it may be one that is to stop */
    task_read_planned(task, dir);
    if (task_handle_attach(task, dir, &e)) {
        adopt_dead(task, dir);
        return;
    }
    feed(task, (struct machine_input){.event = MACHINE_ATTACHED}, NULL);
    cores_adopt(task, dir);
    templates_adopt(task);
    (void)read_record(task, &record);
    task_redefine(task);
}
