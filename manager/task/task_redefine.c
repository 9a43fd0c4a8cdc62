/* SPDX-License-Identifier: MIT
 *
 * An executor goes on from the record of the one before it. So a record that is dead and older than
 * the order (its number is below the order's `foreign_seq`) is that of the task before; no executor
 * has got as far as to begin with the new one. Unless the record says of which definition it is:
 * the one before may have been lost, and the numbers have begun anew.
 */
#include "manager/task/task_redefine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include "manager/alloc/alloc.h"
#include "manager/core.h"
#include "manager/task/task.h"
#include "manager/task/task_handle.h"
#include "manager/task/task_terms.h"
#include "shared/cleanup.h"
#include "shared/proto/spec.h"
#include "shared/proto/wire.h"
#include "shared/statefile.h"

/* What was told to have ended stays so: a sidecar that ended because all main tasks had is the last
 * one, and once it is dead nothing lives whose allocation could be said to end. */
static bool may_start_over(const struct task *task)
{
    return task->status.state != TASK_STATE_DEAD && !alloc_ends(task->alloc, task);
}

bool task_is_stale(const struct task *task)
{
    return task->definition > task->planned && may_start_over(task);
}

bool task_is_of_before(const struct task *task, const struct task_status *record)
{
    return task->definition && record->state == TASK_STATE_DEAD && record->seq < task->order_seq &&
           record->definition < task->definition && task->status.state != TASK_STATE_DEAD;
}

struct exec_spec *task_read_spec(const char *dir)
{
    autofd int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct exec_spec *spec = NULL;
    autofree char *data = NULL;
    struct err e = ERR_INIT;
    uint32_t version;
    size_t size;

    if (fd < 0 || statefile_read(fd, WIRE_SPEC, SPEC_MAX_BYTES, &version, &data, &size, &e) < 0 ||
        spec_decode(data, size, &spec, &e) < 0)
        return NULL;
    return spec;
}

void task_read_planned(struct task *task, const char *dir)
{
    struct task_status record;
    struct exec_spec *spec;

    if (!task->definition)
        return;
    spec = task_read_spec(dir);
    task->planned = spec ? spec->definition : 0;
    task->order_seq = spec ? spec->foreign_seq : 0;
    /* A power cut takes the order, but not the record of how its run ended. */
    if (task_handle_read_record(dir, &record) == 0 && record.definition > task->planned)
        task->planned = record.definition;
    spec_free(spec);
}

void task_look_at_all(const struct alloc *alloc)
{
    char dir[PATH_MAX];
    bool any = false;

    for (size_t i = 0; i < alloc->group->n_tasks; i++)
        any |= alloc->tasks[i].definition != 0;
    for (size_t i = 0; any && i < alloc->group->n_tasks; i++) {
        struct task *task = &alloc->tasks[i];

        if (task->machine.phase == TASK_PHASE_DONE)
            continue;
        task_state_dir(task, dir, sizeof(dir));
        task_read_planned(task, dir);
        task_on_record(task);
    }
}

/* Queued, it starts as it is defined then; but an executor that an earlier manager forked for what
 * it was may take the lock first. */
static void redefine_queued(struct task *task)
{
    char dir[PATH_MAX];

    task_state_dir(task, dir, sizeof(dir));
    if (task_handle_retire(dir) == -EBUSY)
        task_adopt(task);
}

void task_redefine(struct task *task)
{
    if (!task_is_stale(task)) {
        task_renew_terms(task);
        return;
    }
    switch (task->machine.phase) {
    case TASK_PHASE_QUEUED:
        redefine_queued(task);
        break;
    case TASK_PHASE_SUPERVISED:
        task_handle_stop(task->handle, false, "The job's new version changes the task");
        break;
    default:
        task_start_over(task);
        break;
    }
}
