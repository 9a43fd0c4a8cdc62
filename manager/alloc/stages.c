/* SPDX-License-Identifier: MIT
 *
 * "Live" is everything that is not dead, so what never started too: it has to be told to stop
 * before it counts as stopped. Odd cases: a main task that an executor is just restarting has been
 * started; one that is to be started again after a loss or a reboot has not, and so waits for its
 * prestart sidecars again.
 */
#include "manager/alloc/stages.h"

static bool is_dead(const struct task *task)
{
    return task->status.state == TASK_STATE_DEAD;
}

/* An executor says "running" of what it takes back before it was started, too. */
static bool is_running(const struct task *task)
{
    return task->status.started_ns &&
           (task->status.state == TASK_STATE_RUNNING ||
            (task->status.state == TASK_STATE_PENDING && !task->machine.unheard &&
             task->machine.phase == TASK_PHASE_SUPERVISED));
}

static bool has_begun(const struct task *task)
{
    return is_dead(task) || is_running(task);
}

static bool is_sidecar(const struct task *task)
{
    return task->def->lifecycle.sidecar;
}

/* Told to stop is not done; and that it was told so may be forgotten, with the disk full and the
 * manager dead. */
static bool has_succeeded(const struct task *task)
{
    const struct task_summary *status = &task->status;

    return is_dead(task) && !status->failed && status->started_ns && !status->exit_code &&
           !status->exit_signal;
}

/* For good. */
static bool has_failed(const struct task *task)
{
    return is_dead(task) &&
           (task->status.failed || (task->def->lifecycle.hook == JOB_HOOK_PRESTART &&
                                    !is_sidecar(task) && !has_succeeded(task)));
}

static void count_alive(struct stages *s, const struct task *task)
{
    s->any_lives = true;
    s->any_runs |= is_running(task);
    s->others_live |= !is_sidecar(task);
    s->leader_lives |= task->def->leader;
}

static void look_at_starts(struct stages *s, const struct task *task)
{
    switch (task->def->lifecycle.hook) {
    case JOB_HOOK_PRESTART:
        s->prestarted &= is_sidecar(task) ? has_begun(task) : has_succeeded(task);
        break;
    case JOB_HOOK_NONE:
        s->main_started &= has_begun(task);
        break;
    default:
        break;
    }
}

/* Of several failed ones the first to end is to blame: the others may have failed with it. A leader
 * that ended well is to blame before them. */
static void look_at_ends(struct stages *s, const struct task *task)
{
    bool failed = has_failed(task);

    if (!is_dead(task) || s->cause == STOP_LEADER || (!failed && !task->def->leader))
        return;
    if (failed && s->culprit && s->culprit->status.finished_ns <= task->status.finished_ns)
        return;
    s->cause = failed ? STOP_SIBLING : STOP_LEADER;
    s->culprit = task;
}

struct stages stages_look(const struct task *tasks, size_t n_tasks, bool asked)
{
    struct stages s = {.prestarted = true, .main_started = true};

    for (size_t i = 0; i < n_tasks; i++) {
        if (tasks[i].def->lifecycle.hook == JOB_HOOK_POSTSTOP)
            continue;
        if (!is_dead(&tasks[i]))
            count_alive(&s, &tasks[i]);
        look_at_starts(&s, &tasks[i]);
        look_at_ends(&s, &tasks[i]);
    }
    if (asked) {
        s.cause = STOP_ASKED;
        s.culprit = NULL;
    } else if (!s.cause && s.any_lives && !s.others_live) {
        s.cause = STOP_MAIN;
    }
    return s;
}

static enum stage_wish wish_to_stop(const struct stages *s, const struct task *task)
{
    if (s->delayed)
        return STAGE_KEEP;
    if (s->leader_lives)
        return task->def->leader ? STAGE_STOP : STAGE_KEEP;
    return is_sidecar(task) && s->others_live ? STAGE_KEEP : STAGE_STOP;
}

enum stage_wish stages_wish(const struct stages *s, const struct task *task)
{
    bool go = true;

    if (is_dead(task))
        return STAGE_KEEP;
    if (task->def->lifecycle.hook == JOB_HOOK_POSTSTOP)
        return s->any_lives ? STAGE_KEEP : STAGE_START;
    if (s->cause)
        return wish_to_stop(s, task);
    if (task->def->lifecycle.hook != JOB_HOOK_PRESTART)
        go = s->prestarted;
    if (task->def->lifecycle.hook == JOB_HOOK_POSTSTART)
        go &= s->main_started;
    return go ? STAGE_START : STAGE_KEEP;
}
