/* SPDX-License-Identifier: MIT
 *
 * The manager kills what is left (by cgroup, and by pid and start time where there are no cgroups),
 * says so, and asks the task's restart policy. Whatever follows, another start or the end, follows
 * only when nothing of the task runs any more: a timer waits for the policy's delay, then looks
 * again every few milliseconds while something is still dying. Odd case: an earlier manager had
 * started another executor and died; that one may take its lock any moment, and is attached to.
 */
#include "manager/task/task_loss.h"

#include <errno.h>
#include <ev.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manager/alloc/alloc.h"
#include "manager/alloc/allocdir.h"
#include "manager/core.h"
#include "manager/host/strays.h"
#include "manager/task/spec_build.h"
#include "manager/task/task.h"
#include "manager/task/task_handle.h"
#include "shared/cleanup.h"
#include "shared/log.h"
#include "shared/proto/wire.h"
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

void task_cancel_waiting(struct task *task)
{
    if (!task->retry)
        return;
    ev_timer_stop(task->alloc->manager->loop, &task->retry->timer);
    free(task->retry);
    task->retry = NULL;
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

/* 0: nothing of the task runs. -EAGAIN: it is still dying. -EBUSY: it has an executor. */
static int kill_leftovers(const struct task_retry *retry)
{
    const struct task *task = retry->task;
    const struct alloc *alloc = task->alloc;
    autofd int hold = -1;
    char dir[PATH_MAX];
    int dying, r;

    task_state_dir(task, dir, sizeof(dir));
    hold = task_handle_hold(dir); /* else we might kill what one that is starting has just made */
    if (hold == -EBUSY)
        return hold;
    dying = kill_recorded(retry);
    r = cgroup_layout_kill_task(&alloc->manager->cgroup, alloc->id, task->def->name);
    if ((alloc->manager->cgroup.reason || geteuid() != 0) &&
        strays_kill(alloc->id, task->def->name))
        dying = -EAGAIN;
    return r == -EAGAIN ? r : dying;
}

static void on_retry_due(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct task_retry *retry = container_of(timer, struct task_retry, timer);
    struct task *task = retry->task;
    bool ends = retry->ends, failed = retry->failed;
    int r = kill_leftovers(retry);

    (void)revents;
    if (r == -EAGAIN) {
        ev_timer_set(timer, DYING_RETRY_S, 0);
        ev_timer_start(loop, timer);
        return;
    }
    task_cancel_waiting(task);
    task->phase = TASK_PHASE_QUEUED;
    if (r == -EBUSY) {
        task->lost = false;
        task_adopt(task);
    } else if (ends) {
        task_finish(task, failed);
    } else {
        task->unheard = true;
        alloc_queue(task->alloc);
    }
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
    task->unheard = false;
    task->status.state = TASK_STATE_PENDING;
    task->status.pid = 0;
    task->status.paused = false;
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
        task_note(task, TASK_EVENT_KILLED, "its executor died while the task was to stop");
        return false;
    }
    spec_build_restart(task, &policy);
    if (task_may_restart(&policy, manager_now_ns(), &task->window_count, &task->window_ns,
                         ret_delay_ns))
        return true;
    task_note(task, TASK_EVENT_NOT_RESTARTING,
              "its executor was lost, and the restart policy's %u attempts are used up",
              policy.attempts);
    task->lost = true;
    return false;
}

static void note_restart(struct task *task, uint64_t delay_ns, const char *why)
{
    task->status.restarts++;
    task->status.last_restart_ns = manager_now_ns();
    task_note(task, TASK_EVENT_RESTARTING, "%s", why)->delay_ns = delay_ns;
}

bool task_retry_start(struct task *task)
{
    struct spec_restart policy;
    uint64_t delay;

    spec_build_restart(task, &policy);
    if (!task_may_restart(&policy, manager_now_ns(), &task->window_count, &task->window_ns, &delay))
        return false;
    task->own_restarts++;
    note_restart(task, delay, "Task is tried again: what kept it from starting may pass");
    (void)wait_until_gone(task, delay);
    return true;
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
    if (!task->status.seq || !task->status.started_ns)
        task->own_restarts++;
    note_restart(task, delay, "Task restarting after the loss of its executor");
    (void)wait_until_gone(task, delay);
}

static void tell(const struct task *task, const char *text)
{
    log_error("alloc %s task %s: %s", task->alloc->id, task->def->name, text);
    allocdir_say(task->alloc->dir, task->def->name, text);
}

static void lose_running(struct task *task, const char *detail)
{
    struct task_event *event =
        task_note(task, TASK_EVENT_TERMINATED,
                  "executor died%s; what was left of the task was killed", detail);

    event->exit_code = -1;
    tell(task, event->message);
    task->status.exit_code = -1;
    lose(task, false);
}

/* Before the task was started, or between its end and its next start: that end stands. */
static void lose_idle(struct task *task, const char *detail)
{
    struct task_event *event = task_note(
        task, TASK_EVENT_LOST, "executor died%s; by its record the task did not run then", detail);

    tell(task, event->message);
    lose(task, false);
}

/* The executor died between the exit of its task and the end of its own work. */
static bool had_ended_well(const struct task *task)
{
    const struct task_event *last = task->n_events ? &task->events[task->n_events - 1] : NULL;
    struct spec_restart policy;

    spec_build_restart(task, &policy);
    return !policy.on_success && last && last->type == TASK_EVENT_TERMINATED && !last->exit_code &&
           !last->signal;
}

/* A new executor will number its events from the start again; it gets a clean sheet. */
static void forget_record(struct task *task)
{
    task->own_restarts = task->status.restarts;
    task->status.seq = 0;
    task->status.attempt = 0;
}

void task_lose_executor(struct task *task, bool known, const char *detail)
{
    if (had_ended_well(task)) {
        wait_for_end(task);
        return;
    }
    if (!known)
        forget_record(task);
    if (task->status.pid || !known)
        lose_running(task, detail);
    else
        lose_idle(task, detail);
}

void task_lose_boot(struct task *task)
{
    char dir[PATH_MAX - 16], path[PATH_MAX];

    task_note(task, TASK_EVENT_LOST, "The machine was restarted under the task");
    log_warn("alloc %s task %s: lost with the machine's last boot", task->alloc->id,
             task->def->name);
    task_state_dir(task, dir, sizeof(dir));
    (void)snprintf(path, sizeof(path), "%s/" WIRE_STATUS, dir);
    (void)unlink(path);
    forget_record(task);
    task->status.pid = 0;
    lose(task, true);
}

void task_end_waiting(struct task *task, const struct task *failed)
{
    struct task_retry *retry = task->retry;
    struct ev_loop *loop = task->alloc->manager->loop;

    if (retry->ends)
        return;
    retry->ends = true;
    retry->failed = task_note_sibling(task, failed);
    task_note(task, TASK_EVENT_KILLED, "Stopped while it waited for its restart");
    ev_timer_stop(loop, &retry->timer);
    ev_timer_set(&retry->timer, 0, 0);
    ev_timer_start(loop, &retry->timer);
}

void task_wait_again(struct task *task)
{
    if (task->lost)
        wait_for_end(task);
    else
        (void)wait_until_gone(task, 0);
}
