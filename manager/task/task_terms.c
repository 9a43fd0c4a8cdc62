/* SPDX-License-Identifier: MIT
 *
 * An executor that is starting tells on its first record what was in its order. One that is to stop
 * goes on as it began.
 */
#include "manager/task/task_terms.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "manager/alloc/alloc.h"
#include "manager/core.h"
#include "manager/task/spec_build.h"
#include "manager/task/task.h"
#include "manager/task/task_handle.h"
#include "manager/task/task_redefine.h"
#include "shared/log.h"
#include "shared/proto/terms.h"

static bool is_told(const struct task *task)
{
    for (size_t i = 0; i < task->n_events; i++)
        if (task->events[i].type == TASK_EVENT_NOT_UPDATED)
            return true;
    return false;
}

/* An executor that says nothing of its terms has those it was started with. */
static uint64_t ordered_terms(const struct task *task)
{
    struct spec_terms terms = {0};
    char dir[PATH_MAX];
    struct exec_spec *spec;

    task_state_dir(task, dir, sizeof(dir));
    spec = task_read_spec(dir);
    if (spec)
        spec_terms_of(spec, &terms);
    (void)spec_free(spec);
    return terms.id;
}

/* Not of what only this release plans otherwise than the one that started it. */
static bool is_changed(const struct task *task, const struct spec_terms *terms)
{
    const struct alloc *alloc = task->alloc;

    return alloc->job->submit_ns > alloc->create_ns && ordered_terms(task) != terms->id;
}

static void tell(struct task *task)
{
    task_note(task, TASK_EVENT_NOT_UPDATED, 0,
              "executor %s cannot take changed restart, stop and log settings while it runs: they "
              "count once it is upgraded (cleat system upgrade-executors) or replaced",
              task_handle_release(task->handle));
}

void task_renew_terms(struct task *task)
{
    struct spec_terms terms;
    struct err e = ERR_INIT;
    int r;

    if (task->machine.phase != TASK_PHASE_SUPERVISED || !task->handle ||
        task->status.state == TASK_STATE_DEAD || task_is_stale(task) ||
        task_handle_is_stopping(task->handle) || alloc_ends(task->alloc, task) ||
        spec_build_terms(task->alloc->manager->config, task, &terms, &e) ||
        terms.id == task->terms_id)
        return;
    r = task_handle_send_terms(task->handle, &terms);
    if (r == -EPROTONOSUPPORT && !is_told(task) && is_changed(task, &terms))
        tell(task);
    else if (r && r != -EAGAIN && r != -ENXIO && r != -EPROTONOSUPPORT)
        log_error("alloc %s task %s: send changed settings to its executor: %s", task->alloc->id,
                  task->def->name, strerror(-r));
}
