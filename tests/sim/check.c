/* SPDX-License-Identifier: MIT
 *
 * What must hold, whatever happens (README.md). The checks see what really happened to processes
 * and records, and compare it with what manager and executors say.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "manager/alloc/alloc.h"
#include "manager/alloc/stages.h"
#include "manager/core.h"
#include "manager/task/spec_build.h"
#include "manager/task/task.h"
#include "manager/task/task_handle.h"
#include "manager/task/task_redefine.h"
#include "tests/sim/sim.h"

struct proc *someone_of(const struct dir *dir, const struct proc *but)
{
    for (int i = 0; i < world.n_procs; i++) {
        struct proc *p = &world.procs[i];

        if (p->alive && p->kind == PROC_TASK && p->dir == dir && p != but)
            return p;
    }
    return NULL;
}

char role_of(const struct dir *dir)
{
    return strrchr(dir->path, '/')[1];
}

/* The next task, other than `dir`'s, of the same allocation with one of these roles; NULL: no more.
 */
static struct dir *sibling(const struct dir *dir, const char *roles, int *at)
{
    size_t n = (size_t)(strrchr(dir->path, '/') - dir->path) + 1;

    while (*at < world.n_dirs) {
        struct dir *d = &world.dirs[(*at)++];

        if (d != dir && strncmp(d->path, dir->path, n) == 0 && strchr(roles, role_of(d)))
            return d;
    }
    return NULL;
}

#define FOR_SIBLINGS(d, dir, roles) for (int at_ = 0; (d = sibling(dir, roles, &at_));)

/* The order of a group (manager/alloc/stages.h), told once more by what processes there are. */
static void check_start_order(const struct dir *dir)
{
    const struct dir *d;

    if (role_of(dir) == 'z') {
        FOR_SIBLINGS(d, dir, "psmlab")
        if (someone_of(d, NULL))
            violated("%s starts, and %s runs", dir->path, d->path);
        return;
    }
    FOR_SIBLINGS(d, dir, "z")
    if (d->ran && !d->forgets)
        violated("%s starts, and %s has been started", dir->path, d->path);
    if (strchr("ps", role_of(dir)))
        return;
    FOR_SIBLINGS(d, dir, "p")
    if (!d->ended_well || someone_of(d, NULL))
        violated("%s starts, and %s has not succeeded", dir->path, d->path);
    FOR_SIBLINGS(d, dir, "s")
    if (!d->ran && !d->forgets)
        violated("%s starts, and %s was not started", dir->path, d->path);
    FOR_SIBLINGS(d, dir, strchr("ab", role_of(dir)) ? "ml" : "")
    if (!d->ran && !d->forgets && !d->stop_unsaved)
        violated("%s starts, and %s was not started", dir->path, d->path);
}

static void check_stop_order(const struct dir *dir)
{
    const char *before = role_of(dir) == 'l' ? "" : strchr("sb", role_of(dir)) ? "lpma" : "l";
    const struct dir *d;

    if (role_of(dir) == 'z')
        violated("%s is told to stop", dir->path);
    FOR_SIBLINGS(d, dir, before)
    if (someone_of(d, NULL))
        violated("%s is told to stop, and %s runs", dir->path, d->path);
}

/* The restart policy, told once more: what an executor decides must follow from it. */
static void check_restart(struct dir *dir, const struct task_event *event)
{
    const struct spec_restart *policy = &dir->policy;
    bool over, used_up;

    if (event->type == TASK_EVENT_RESTARTING && !event->delay_ns && !*event->message) {
        if (!current->told_to_restart)
            violated("%s restarts as if told to", dir->path);
        current->told_to_restart = false;
        return;
    }
    over = !dir->window_open || world.mono_ns - dir->window_ns > policy->interval_ns;
    used_up = !over && dir->window_count >= policy->attempts;
    if (event->type == TASK_EVENT_NOT_RESTARTING) {
        if (policy->attempts && !strstr(event->message, "not pass") &&
            (!used_up || policy->mode == SPEC_RESTART_DELAY))
            violated("%s gives up after %u of %u restarts", dir->path, dir->window_count,
                     policy->attempts);
        return;
    }
    if (over) {
        dir->window_open = true;
        dir->window_ns = world.mono_ns;
        dir->window_count = 0;
    }
    if (dir->window_count < policy->attempts) {
        dir->window_count++;
        if (event->delay_ns < policy->delay_ns || event->delay_ns > policy->delay_ns * 5 / 4)
            violated("%s restarts after %llu ns", dir->path, (unsigned long long)event->delay_ns);
    } else if (policy->mode != SPEC_RESTART_DELAY) {
        violated("%s restarts more than %u times", dir->path, policy->attempts);
    } else if (world.mono_ns + event->delay_ns != dir->window_ns + policy->interval_ns) {
        violated("%s waits for no end of its interval", dir->path);
    }
}

static void check_event(struct dir *dir, const struct task_event *event)
{
    int status = dir->exit_status;

    switch (event->type) {
    case TASK_EVENT_STARTED:
        dir->starts++;
        break;
    case TASK_EVENT_TERMINATED:
        if (dir->exit_unrecorded &&
            event->exit_code !=
                (WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status)))
            violated("%s: exit code %d is recorded instead of status %#x", dir->path,
                     event->exit_code, (unsigned int)status);
        dir->exit_unrecorded = false;
        dir->ended_well = event->exit_code == 0;
        current->exit_seq = event->seq;
        break;
    case TASK_EVENT_RESTARTING:
    case TASK_EVENT_NOT_RESTARTING:
        check_restart(dir, event);
        break;
    case TASK_EVENT_RESTART_SIGNALED:
        current->told_to_restart = true;
        dir->recall = true;
        break;
    case TASK_EVENT_KILLING:
        if (!strstr(event->message, "new version")) /* then each task on its own */
            check_stop_order(dir);
        current->stopping = true;
        break;
    case TASK_EVENT_KILLED:
        current->stopping = true;
        break;
    default:
        break;
    }
}

/* Why a task is dead must be on record before it is. */
static void check_dead(struct dir *dir, const struct task_status *s)
{
    const struct task_event *last = s->n_events ? &s->events[s->n_events - 1] : NULL;
    struct proc *p = someone_of(dir, NULL);
    size_t n = s->n_events;

    if (p)
        violated("%s is recorded dead, and its pid %d lives", dir->path, p->pid);
    while (n > 0 && (last->type == TASK_EVENT_UPGRADED || last->type == TASK_EVENT_PAUSE_FAILED ||
                     last->type == TASK_EVENT_UPGRADE_FAILED))
        last = &s->events[--n - 1];
    if (!n || (last->type != TASK_EVENT_KILLED && last->type != TASK_EVENT_NOT_RESTARTING &&
               (last->type != TASK_EVENT_TERMINATED || last->exit_code || dir->policy.on_success)))
        violated("%s is dead without a reason: last is %s", dir->path,
                 n ? task_event_type_name(last->type) : "nothing");
}

void check_record(struct dir *dir, const char *slot, size_t size)
{
    const struct task_event *event;
    struct task_status s, *said = &current->said;
    struct err e;

    if (status_decode(slot, size, &s, &e))
        violated("a record is written that cannot be read: %s", e.text);
    if (dir->lock != current)
        violated("pid %d writes the record of %s without its lock", current->pid, dir->path);
    if (!said->seq) {
        if (s.restarts != current->base_restarts)
            violated("%s goes on from %u restarts, and counts %u", dir->path,
                     current->base_restarts, s.restarts);
    } else if (s.seq != said->seq + 1 || s.restarts - said->restarts > 1 ||
               s.attempt - said->attempt != s.restarts - said->restarts) {
        violated("%s: change %llu, attempt %u, restarts %u follow on %llu, %u, %u", dir->path,
                 (unsigned long long)s.seq, s.attempt, s.restarts, (unsigned long long)said->seq,
                 said->attempt, said->restarts);
    }
    event = s.n_events ? &s.events[s.n_events - 1] : NULL;
    if (event && event->seq == s.seq) {
        trace("%s: record %llu: %s %s", dir->path, (unsigned long long)s.seq,
              task_event_type_name(event->type), event->message);
        check_event(dir, event);
    } else {
        trace("%s: record %llu: attempt %u, %s", dir->path, (unsigned long long)s.seq, s.attempt,
              task_state_name(s.state));
        if (s.state == TASK_STATE_DEAD)
            check_dead(dir, &s);
    }
    *said = s;
}

struct task_status newest_record(const struct status_file *file)
{
    struct task_status found = {0}, s;
    struct err e;

    for (size_t i = 0; file->exists && i < 2; i++)
        if (!status_decode(file->data + i * STATUS_SLOT_BYTES, STATUS_SLOT_BYTES, &s, &e) &&
            s.seq > found.seq)
            found = s;
    return found;
}

void check_forget(struct dir *dir)
{
    dir->next_leaf = 0; /* attempts may be numbered anew */
    dir->exit_unrecorded = false;
    dir->told_dead = false;
    dir->recall = true; /* its end may be forgotten */
    dir->window_open = false;
    dir->losses++;
    dir->forgets++;
}

void check_launch(struct dir *dir, struct proc *p)
{
    struct proc *other = someone_of(dir, p);

    trace("%s: pid %d is launched by %d", dir->path, p->pid, current->pid);
    if (other)
        violated("%s runs twice: pid %d while %d lives", dir->path, p->pid, other->pid);
    if (dir->lock != current)
        violated("pid %d launches %s without its lock", current->pid, dir->path);
    if (dir->exit_unrecorded)
        violated("%s is launched, and its last exit was not recorded", dir->path);
    if (newest_record(&dir->synced).seq < current->exit_seq)
        violated("%s is launched, and a power cut would forget its last exit", dir->path);
    if (current->stopping)
        violated("%s is launched after it was told to stop", dir->path);
    if (dir->told_dead && !dir->stop_unsaved)
        violated("%s is launched, and was said to be dead", dir->path);
    if (dir->ended_well && !dir->recall && !dir->policy.on_success)
        violated("%s is launched, and has succeeded", dir->path);
    check_start_order(dir);
    dir->ended_well = dir->recall = false;
}

static struct proc *main_of(const struct proc *executor)
{
    for (int i = 0; i < world.n_procs; i++) {
        struct proc *p = &world.procs[i];

        if (p->alive && p->main && p->executor == executor)
            return p;
    }
    return NULL;
}

/* An executor sends SIGKILL: not before the kill_timeout. */
void check_kill(struct proc *executor, uint32_t attempt)
{
    const struct proc *p = main_of(executor);
    uint64_t timeout = p && p->signalled ? p->kill_timeout_ns : executor->dir->kill_timeout_ns;

    if (!p || p->attempt != attempt || !p->executed || !p->told || !timeout)
        return;
    if (!p->signalled || world.mono_ns + SECOND / 1000 < p->signalled_ns + timeout)
        violated("%s: pid %d is killed before its kill_timeout", executor->dir->path, p->pid);
}

/* … and not long after it. */
void check_clock(void)
{
    for (int i = 0; i < world.n_procs; i++) {
        const struct proc *p = &world.procs[i];

        if (p->alive && p->main && p->signalled && !p->killed && p->executor->alive &&
            world.mono_ns > p->signalled_ns + p->kill_timeout_ns + SECOND)
            violated("%s: pid %d outlives its kill_timeout", p->dir->path, p->pid);
    }
}

void check_executor_end(struct proc *p)
{
    if (p->said.state != TASK_STATE_DEAD)
        violated("the executor of %s ends, and its task is %s", p->dir->path,
                 task_state_name(p->said.state));
    if (p->dir->exit_unrecorded)
        violated("the executor of %s ends without recording the exit", p->dir->path);
    if (newest_record(&p->dir->synced).seq != p->said.seq)
        violated("the executor of %s ends, and a power cut would forget how", p->dir->path);
}

static struct dir *dir_of(const struct task *task)
{
    char path[sizeof(world.dirs[0].path)];

    task_state_dir(task, path, sizeof(path));
    return dir_find(path);
}

void check_stop_unsaved(const char *job_id)
{
    for (struct alloc *a = manager_allocs(world.manager); a; a = a->next)
        for (size_t i = 0; strcmp(a->job->job->id, job_id) == 0 && i < a->group->n_tasks; i++) {
            struct dir *dir = dir_of(&a->tasks[i]);

            if (dir)
                dir->stop_unsaved = true;
        }
}

/* Each time the manager tells of a change. */
void check_alloc(void *arg, struct alloc *alloc)
{
    (void)arg;
    for (size_t i = 0; i < alloc->group->n_tasks; i++) {
        const struct task *task = &alloc->tasks[i];
        struct dir *dir = dir_of(task);
        bool dead = task->status.state == TASK_STATE_DEAD;

        if (!dir)
            continue;
        if (dead && someone_of(dir, NULL))
            violated("the manager says %s is dead, and a process of it lives", dir->path);
        if (dir->told_dead && !dead && !dir->stop_unsaved)
            violated("%s was dead, and is %s", dir->path, task_state_name(task->status.state));
        if (task->status.restarts < dir->told_restarts && !dir->forgets)
            violated("%s had %u restarts, and has %u", dir->path, dir->told_restarts,
                     task->status.restarts);
        dir->told_restarts = task->status.restarts;
        if (alloc->tidy && dir->lock && dir->lock->said.seq)
            violated("alloc %s is done with, and %s has an executor", alloc->id, dir->path);
        dir->told_dead = dead;
    }
}

static void check_events(const struct task *task, const struct task_status *record,
                         const struct dir *dir)
{
    const struct task_event *wanted =
        record->n_events ? &record->events[record->n_events - 1] : NULL;
    uint64_t seq = 0;
    bool found = !wanted;

    for (size_t i = 0; i < task->n_events; i++) {
        const struct task_event *event = &task->events[i];

        if (!event->seq)
            continue;
        if (event->seq <= seq && !dir->forgets)
            violated("%s: event %llu comes after %llu", dir->path, (unsigned long long)event->seq,
                     (unsigned long long)seq);
        seq = event->seq;
        found |= wanted && event->seq == wanted->seq && event->type == wanted->type;
    }
    if (!found && (task->n_events < STATUS_EVENTS || task->machine.phase == TASK_PHASE_SUPERVISED))
        violated("%s: event %llu (%s) did not reach the manager", dir->path,
                 (unsigned long long)wanted->seq, task_event_type_name(wanted->type));
}

/* The end of a task that is to be started over is none for those who ask. */
static enum task_state told_state(const struct task *task, const struct task_status *record)
{
    return task_is_stale(task) && record->state == TASK_STATE_DEAD ? TASK_STATE_PENDING
                                                                   : record->state;
}

/* A change of the job that starts nothing anew has reached the executor. */
static void check_terms(const struct task *task, const struct dir *dir)
{
    struct spec_terms terms;
    struct err e;

    if (dir->definition != task->definition || task->status.state == TASK_STATE_DEAD ||
        alloc_ends(task->alloc, task))
        return;
    if (spec_build_terms(manager_config(world.manager), task, &terms, &e))
        violated("%s: %s", dir->path, e.text);
    if (terms.id != dir->terms_id || terms.id != task->terms_id)
        violated("%s does not run on the terms its job has now, or does not say so", dir->path);
}

static void check_supervised(const struct task *task, const struct dir *dir)
{
    const struct task_summary *s = &task->status;
    struct task_status record;
    uint32_t restarts;

    if (!dir->lock || task_handle_read_record(dir->path, &record))
        violated("%s is supervised by nobody", dir->path);
    if (dir->definition != task->definition && !alloc_ends(task->alloc, task) &&
        !task_handle_is_stopping(task->handle))
        violated("%s is that of version %llu, and not of %llu", dir->path,
                 (unsigned long long)dir->definition, (unsigned long long)task->definition);
    check_terms(task, dir);
    if (s->seq != record.seq || s->state != told_state(task, &record) ||
        s->exit_code != record.exit_code || s->exit_signal != record.exit_signal ||
        s->pid != record.pid)
        violated("%s: the manager is at change %llu, the record at %llu", dir->path,
                 (unsigned long long)s->seq, (unsigned long long)record.seq);
    check_events(task, &record, dir);
    restarts = s->restarts;
    if (!dir->losses && !task->definition && restarts != record.attempt + task->own_restarts)
        violated("%s: %u restarts are told after %u", dir->path, restarts, record.attempt);
    if (!dir->forgets && (restarts + 1 < dir->starts ||
                          restarts > record.attempt + task->own_restarts + dir->losses))
        violated("%s: %u restarts are told after %u starts and %u losses", dir->path, restarts,
                 dir->starts, dir->losses);
}

/* One that an earlier manager forked came to a task whose turn to stop or, again, to start has not
 * come: in its turn it is found. */
static bool waits_for_its_turn(const struct stages *stages, const struct task *task,
                               const struct dir *dir)
{
    return task->machine.phase == TASK_PHASE_QUEUED && dir->lock &&
           (alloc_ends(task->alloc, task) || stages_wish(stages, task) != STAGE_START);
}

/* Nothing happens any more for now: manager, executors and processes agree. */
void check_quiet(void)
{
    for (struct alloc *a = manager_allocs(world.manager); a; a = a->next) {
        struct stages stages = stages_look(a->tasks, a->group->n_tasks, a->desired == DESIRED_STOP);

        for (size_t i = 0; i < a->group->n_tasks; i++) {
            const struct task *task = &a->tasks[i];
            const struct dir *dir = dir_of(task);

            if (task->machine.phase == TASK_PHASE_SUPERVISED)
                check_supervised(task, dir);
            else if (dir && someone_of(dir, NULL) && task->machine.phase != TASK_PHASE_WAITING &&
                     !waits_for_its_turn(&stages, task, dir))
                violated("%s has a process and no supervisor", dir->path);
            if (task->machine.phase == TASK_PHASE_QUEUED &&
                stages_wish(&stages, task) == STAGE_START)
                violated("%s of %s is never started", task->def->name, a->id);
        }
    }
}

void check_stopped(void)
{
    for (int i = 0; i < world.n_procs; i++)
        if (world.procs[i].alive && world.procs[i].kind != PROC_MANAGER)
            violated("pid %d of %s does not end", world.procs[i].pid,
                     world.procs[i].dir ? world.procs[i].dir->path : "no task");
    for (struct alloc *a = manager_allocs(world.manager); a; a = a->next) {
        if (!alloc_is_terminal(a) || !a->tidy)
            violated("alloc %s does not end", a->id);
        for (size_t i = 0; i < a->group->n_tasks; i++) {
            const struct task *task = &a->tasks[i];
            const struct dir *dir = dir_of(task);

            if (*task->def->name == 'z' && !task->status.failed && !(dir && dir->ran))
                violated("%s of %s is dead, and did not run", task->def->name, a->id);
        }
    }
}
