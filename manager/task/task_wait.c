/* SPDX-License-Identifier: MIT
 *
 * The manager kills by cgroup, and by pid and start time where there are no cgroups. A timer waits
 * for the delay, then looks again every few milliseconds while something is still dying.
 */
#include "manager/task/task_wait.h"

#include <errno.h>
#include <ev.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "manager/core.h"
#include "manager/host/strays.h"
#include "manager/task/task.h"
#include "manager/task/task_handle.h"
#include "shared/cleanup.h"
#include "shared/sys.h"

#define DYING_RETRY_S 0.02 /* between looks at a leftover that is still dying */

struct task_wait {
    ev_timer timer;
    struct task *task;
    pid_t pid; /* its main process, which may live on where there are no cgroups; 0: none */
    uint64_t pid_start;
};

static struct ev_loop *wait_loop(const struct task_wait *wait)
{
    return wait->task->alloc->manager->loop;
}

struct task_wait *task_wait_free(struct task_wait *wait)
{
    if (!wait)
        return NULL;
    ev_timer_stop(wait_loop(wait), &wait->timer);
    free(wait);
    return NULL;
}

/* SIGKILLs the recorded main process, if it is still that process: where there are no cgroups. */
static int kill_recorded(const struct task_wait *wait)
{
    struct pollfd poller = {.fd = -1, .events = POLLIN};
    autofd int pidfd = wait->pid > 0 ? sys_pidfd_open(wait->pid, 0) : -1;
    uint64_t start;

    if (pidfd < 0 || procid_start_time(wait->pid, &start) || start != wait->pid_start)
        return 0;
    (void)sys_pidfd_send_signal(pidfd, SIGKILL);
    poller.fd = pidfd;
    return poll(&poller, 1, 0) == 1 ? 0 : -EAGAIN; /* readable: it is dead */
}

/* 0: nothing of the task runs; with `last`, none that was forked for it will start it either.
 * -EAGAIN: it is still dying. -EBUSY: it has an executor. */
static int kill_leftovers(const struct task_wait *wait, bool last)
{
    const struct task *task = wait->task;
    const struct alloc *alloc = task->alloc;
    autofd int hold = -1;
    char dir[PATH_MAX];
    int dying, r;

    task_state_dir(task, dir, sizeof(dir));
    hold = task_handle_hold(dir); /* else we might kill what one that is starting has just made */
    if (hold == -EBUSY)
        return hold;
    dying = kill_recorded(wait);
    r = cgroup_layout_kill_task(&alloc->manager->cgroup, alloc->id, task->def->name);
    if ((alloc->manager->cgroup.reason || geteuid() != 0) &&
        strays_kill(alloc->id, task->def->name))
        dying = -EAGAIN;
    if (r == -EAGAIN || dying)
        return -EAGAIN;
    if (last && hold >= 0 && !*task->order) /* whom we gave one ourselves is dead */
        (void)task_handle_withdraw(dir);
    return 0;
}

static void on_due(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct task_wait *wait = container_of(timer, struct task_wait, timer);
    struct task *task = wait->task;
    int r = kill_leftovers(wait, true);

    (void)revents;
    if (r == -EAGAIN) {
        ev_timer_set(timer, DYING_RETRY_S, 0);
        ev_timer_start(loop, timer);
        return;
    }
    task->wait = task_wait_free(wait);
    task_on_gone(task, r == -EBUSY);
}

void task_wait(struct task *task, uint64_t delay_ns)
{
    struct ev_loop *loop = task->alloc->manager->loop;
    struct task_wait *wait = calloc(1, sizeof(*wait));

    if (!wait)
        abort();
    wait->task = task;
    wait->pid = task->status.pid;
    wait->pid_start = task->status.pid_start;
    task->wait = wait;
    (void)kill_leftovers(wait, false);
    ev_timer_init(&wait->timer, on_due, (double)delay_ns / 1e9, 0);
    ev_now_update(loop);
    ev_timer_start(loop, &wait->timer);
}

void task_wait_hurry(struct task *task)
{
    ev_timer *timer = &task->wait->timer;

    ev_timer_stop(wait_loop(task->wait), timer);
    ev_timer_set(timer, 0, 0);
    ev_timer_start(wait_loop(task->wait), timer);
}
