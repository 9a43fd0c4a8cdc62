/* SPDX-License-Identifier: MIT
 *
 * The impure half of stages.h: starts and stops the tasks whose turn it is. After each change of an
 * allocation it is looked whether anything is due; what is due is done in turns, so that many
 * allocations that start or stop do not hold up the loop. Nothing of it is on record but when the
 * group's shutdown_delay began.
 */
#include "manager/alloc/alloc.h"
#include "manager/alloc/stages.h"
#include "manager/task/task.h"
#include "shared/cleanup.h"

static struct stages look(const struct alloc *alloc)
{
    return stages_look(alloc->tasks, alloc->group->n_tasks, alloc->desired == DESIRED_STOP);
}

bool alloc_ends(const struct alloc *alloc, const struct task *task)
{
    return task->def->lifecycle.hook != JOB_HOOK_POSTSTOP && look(alloc).cause;
}

static void on_delay_over(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct alloc *alloc = container_of(timer, struct alloc, delay);

    (void)loop;
    (void)revents;
    alloc->delay_over = true;
    alloc_changed(alloc, false);
}

void alloc_init_delay(struct alloc *alloc)
{
    ev_timer_init(&alloc->delay, on_delay_over, 0, 0);
}

/* Its begin is on record, so that a crash of the manager does not prolong it. */
static void begin_delay(struct alloc *alloc)
{
    uint64_t delay_ns = (uint64_t)alloc->group->shutdown_delay_ns;

    alloc->delay_from_ns = manager_now_ns();
    alloc_changed(alloc, true);
    for (size_t i = 0; i < alloc->group->n_tasks; i++)
        if (alloc->tasks[i].status.state == TASK_STATE_RUNNING)
            task_note(&alloc->tasks[i], TASK_EVENT_SHUTDOWN_DELAY, delay_ns,
                      "Waiting for the group's shutdown_delay before its tasks are stopped");
}

static void arm_delay(struct alloc *alloc)
{
    uint64_t delay_ns = (uint64_t)alloc->group->shutdown_delay_ns, now_ns = manager_now_ns();
    uint64_t gone_ns = now_ns > alloc->delay_from_ns ? now_ns - alloc->delay_from_ns : 0;

    ev_now_update(alloc->manager->loop);
    ev_timer_set(&alloc->delay, gone_ns < delay_ns ? (double)(delay_ns - gone_ns) / 1e9 : 0, 0);
    ev_timer_start(alloc->manager->loop, &alloc->delay);
}

/* Only while something runs there is something to wait for. */
static bool is_delayed(struct alloc *alloc, const struct stages *stages)
{
    if (!stages->cause || !alloc->group->shutdown_delay_ns || alloc->delay_over ||
        !stages->any_runs)
        return false;
    if (!alloc->delay_from_ns)
        begin_delay(alloc);
    if (!ev_is_active(&alloc->delay))
        arm_delay(alloc);
    return true;
}

static struct stages look_at_time(struct alloc *alloc)
{
    struct stages stages = look(alloc);

    stages.delayed = is_delayed(alloc, &stages);
    return stages;
}

static bool is_due(const struct task *task, enum stage_wish wish)
{
    return wish == STAGE_START  ? task->machine.phase == TASK_PHASE_QUEUED
           : wish == STAGE_STOP ? task_can_stop(task)
                                : false;
}

void alloc_queue_due(struct alloc *alloc)
{
    struct stages stages = look_at_time(alloc);

    for (size_t i = 0; i < alloc->group->n_tasks; i++)
        if (is_due(&alloc->tasks[i], stages_wish(&stages, &alloc->tasks[i])))
            alloc_queue(alloc);
}

/* What follows from what is done here has to wait for its turn: it must be on record first. */
void alloc_advance(struct alloc *alloc)
{
    struct stages stages = look_at_time(alloc);

    if (alloc->unsaved)
        alloc_save(alloc);
    for (size_t i = 0; i < alloc->group->n_tasks; i++) {
        struct task *task = &alloc->tasks[i];
        enum stage_wish wish = stages_wish(&stages, task);

        if (!is_due(task, wish))
            continue;
        if (wish == STAGE_STOP)
            task_stop(task, stages.cause, stages.culprit);
        else if (!alloc_ends(alloc, task)) /* another one may have failed at once */
            task_start(task);
    }
}
