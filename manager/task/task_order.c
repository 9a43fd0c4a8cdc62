/* SPDX-License-Identifier: MIT
 *
 * The executor's command pipe outlives the manager: what was written is read. An order that comes
 * when the executor has begun to stop its task is one it ignores, and the same as one too late.
 */
#include "manager/task/task_order.h"

#include <errno.h>
#include <stdio.h>

#include "manager/manager.h"
#include "manager/task/task_handle.h"
#include "shared/proto/wire.h"

static bool can_take_orders(const struct task *task)
{
    return task->handle && task->status.state == TASK_STATE_RUNNING &&
           !task_handle_is_stopping(task->handle);
}

static int order(const struct task *task, const struct ctl_msg *msg, struct err *e)
{
    int r;

    if (!can_take_orders(task))
        return err_set(e, -ESRCH, "task \"%s\" is not running", task->def->name);
    r = task_handle_send(task->handle, msg);
    if (r == -ENXIO)
        return err_set(e, -ESRCH, "task \"%s\" has just ended", task->def->name);
    return r ? err_sys(e, r, "tell the executor of task \"%s\"", task->def->name) : 0;
}

int task_restart(const struct task *task, const char *reason, struct err *e)
{
    struct ctl_msg msg = {.type = CTL_RESTART};

    (void)snprintf(msg.reason, sizeof(msg.reason), "%s", reason);
    return order(task, &msg, e);
}

int task_signal(const struct task *task, int signo, struct err *e)
{
    const struct ctl_msg msg = {.type = CTL_SIGNAL, .signal = signo};

    return order(task, &msg, e);
}

/* Gives an order to `task`, or to all tasks of `alloc` that run if that is NULL: a restart if
 * `signo` is 0. */
static int order_some(const struct alloc *alloc, const struct task *task, bool all, int signo,
                      const char *reason, struct err *e)
{
    const struct task *from = task ? task : alloc->tasks;
    size_t n = task ? 1 : alloc->group->n_tasks, told = 0;
    int r = 0;

    for (const struct task *t = from; t < from + n && !r; t++) {
        if (!task && !all && !can_take_orders(t))
            continue;
        r = signo ? task_signal(t, signo, e) : task_restart(t, reason, e);
        told++;
    }
    return told ? r : err_set(e, -ESRCH, "no task of allocation %s is running", alloc->id);
}

int manager_signal(const struct alloc *alloc, const struct task *task, int signo, struct err *e)
{
    return order_some(alloc, task, false, signo, NULL, e);
}

int manager_restart(const struct alloc *alloc, const struct task *task, bool all, struct err *e)
{
    return order_some(alloc, task, all, 0,
                      task  ? "User requested task to restart"
                      : all ? "User requested all tasks to restart"
                            : "User requested running tasks to restart",
                      e);
}
