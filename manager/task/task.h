/* SPDX-License-Identifier: MIT
 *
 * One task: from its place in the queue through its executors (normally one) to its end.
 */
#pragma once

#include "manager/state.h"

/* Releases what the task holds; its executor runs on. */
void task_deinit(struct task *task);

/* Starts a queued task: directories, launch plan, executor. A failure ends the task, with an event
 * that names the cause. */
void task_start(struct task *task);

/* After a start of the manager: finds out what became of a task that was not dead when it was last
 * seen, attaches to its executor, or queues it. */
void task_adopt(struct task *task);

/* Stops the task, now or as soon as its executor answers. `culprit`: the task whose end is the
 * cause, or NULL. Idempotent. */
void task_stop(struct task *task, enum stop_cause cause, const struct task *culprit);

/* False when it is dead or on its way there. */
bool task_can_stop(const struct task *task);

/* Appends to the task's events, the oldest make room; the text is made valid UTF-8. */
void task_append_event(struct task *task, const struct task_event *event);

/* An event of the manager's own; returned for what else is to be said of it. */
struct task_event *task_note(struct task *task, enum task_event_type type, uint64_t delay_ns,
                             const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Why it did not start: whole in the log, shortened as needed in the event. */
void task_note_failure(struct task *task, enum task_event_type type, const char *text);

/* Those that the machine wants told. `detail`: of a loss, what is known of it (begins with a blank,
 * or is empty); of a stop, the sibling that is its cause. */
void task_take_notes(struct task *task, const struct machine_output *out, const char *detail);

/* For task_handle.c: the executor's record has changed or should be looked at; the executor is gone
 * (`handle` is freed already; `code` is its exit code, or -1 where it is not known). */
void task_on_record(struct task *task);
void task_on_executor_gone(struct task *task, int code);

/* For task_wait.c: nothing of the task runs, or (`held`) an executor has it after all. */
void task_on_gone(struct task *task, bool held);

/* Writes the launch plan of a running task anew: the next attempt of its executor has the
 * environment of this one. */
int task_renew_spec(struct task *task, struct err *e);

/* The directory shared with the executor. */
void task_state_dir(const struct task *task, char *buf, size_t size);
