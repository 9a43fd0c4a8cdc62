/* SPDX-License-Identifier: MIT
 *
 * What a task needs before it starts: in place of downloads and the like, a step that is done at
 * once, or later, or fails.
 */
#include <errno.h>
#include <stdlib.h>

#include "manager/core.h"
#include "manager/task/prepare.h"
#include "shared/cleanup.h"
#include "tests/sim/sim.h"

struct work {
    ev_timer timer;
    struct task *task;
};

static bool is_wanted(const struct task *task)
{
    (void)task;
    return one_in(2);
}

static bool fails(void)
{
    return !world.calm && one_in(20);
}

static void cancel(struct task *task)
{
    struct work *work = task->prepare.data;

    trace("%s of %s is no longer prepared", task->def->name, task->alloc->id);
    ev_timer_stop(task->alloc->manager->loop, &work->timer);
    free(work);
}

static void on_done(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct work *work = container_of(timer, struct work, timer);
    struct task *task = work->task;
    struct prepare_failure failure = {TASK_EVENT_SETUP_FAILURE, !one_in(4), "it was not to be"};

    (void)loop;
    (void)revents;
    free(work);
    prepare_done(task, fails() ? &failure : NULL);
}

static int start(struct task *task, struct err *e)
{
    struct work *work;

    sys_enter();
    if (fails())
        return err_set(e, one_in(4) ? -EINVAL : -ENOSPC, "there is no room for it");
    if (one_in(2))
        return 0;
    work = malloc(sizeof(*work));
    work->task = task;
    task->prepare.data = work;
    ev_timer_init(&work->timer, on_done, dice(500) / 1e3, 0);
    ev_timer_start(task->alloc->manager->loop, &work->timer);
    trace("%s of %s is being prepared", task->def->name, task->alloc->id);
    return PREPARE_STARTED;
}

static const struct prepare_step step = {"work", is_wanted, start, cancel};

const struct prepare_step *const prepare_steps[] = {&step, &step, NULL};
