/* SPDX-License-Identifier: MIT
 *
 * A task whose definition has changed under it while its allocation stays (manager/job/update.h).
 *
 * The job's file says by which version it was changed last (`definition`), the executor's order on
 * disk, or its record where the order was lost, which of these it is of (`planned`). Where the two
 * differ, what is on record is that of a task that is no more, its end included: it is stopped, its
 * record is removed, and it starts over in the queue. So each step may be the last one before a
 * crash.
 */
#pragma once

#include "manager/state.h"

/* The job's file has changed: ends what is stale; an executor takes over what it can live. */
void task_redefine(struct task *task);

/* True when what runs or ran of it is of an older definition, and it is to run. */
bool task_is_stale(const struct task *task);

/* True when that record is of the task before: no executor has begun with what the order says. One
 * may yet, so this is not the task's end even when its allocation ends. */
bool task_is_of_before(const struct task *task, const struct task_status *record);

/* After a start of the manager, before the task is looked at: what the order or the record in `dir`
 * is of. */
void task_read_planned(struct task *task, const char *dir);

/* Before any of an allocation's tasks is attached to: one that has failed for good decides whether
 * another one is to be started over. */
void task_look_at_all(const struct alloc *alloc);

/* The order in `dir`, which the caller frees; NULL: none that can be read. */
struct exec_spec *task_read_spec(const char *dir);

/* A stale task whose executor is gone: kills what is left of it, and starts it over. */
void task_start_over(struct task *task);
