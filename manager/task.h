/* SPDX-License-Identifier: MIT
 *
 * One task: from its place in the queue through its executors (normally one) to its end.
 */
#pragma once

#include "manager/state.h"
#include "shared/proto/spec.h"

/* Releases what the task holds; its executor runs on. */
void task_deinit(struct task *task);

/* Starts a queued task: directories, launch plan, executor. A failure ends the task, with an event
 * that names the cause. */
void task_start(struct task *task);

/* After a start of the manager: finds out what became of a task that was not dead when it was last
 * seen, attaches to its executor, or queues it. */
void task_adopt(struct task *task);

/* Stops the task, now or as soon as its executor answers. `failed`: the sibling whose failure is
 * the cause, or NULL. Idempotent. */
void task_stop(struct task *task, const struct task *failed);

/* Appends to the task's events, the oldest make room; the text is made valid UTF-8. */
void task_append_event(struct task *task, const struct task_event *event);

/* For task_handle.c: the executor's record has changed or should be looked at; the executor is gone
 * (`handle` is freed already; `code` is its exit code, or -1 where it is not known). */
void task_on_record(struct task *task);
void task_on_executor_gone(struct task *task, int code);

/* What the restart policy says to the loss of an executor at `now_ns`. `window_count` and
 * `window_ns` are the task's, and are updated. Returns the delay in *ret_delay_ns and true, or
 * false when the attempts are used up. */
bool task_may_restart(const struct spec_restart *policy, uint64_t now_ns, uint32_t *window_count,
                      uint64_t *window_ns, uint64_t *ret_delay_ns);
