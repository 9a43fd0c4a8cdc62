/* SPDX-License-Identifier: MIT
 *
 * The wait until nothing of a task runs any more, before another executor is started for it or it
 * ends.
 */
#pragma once

#include "manager/state.h"

/* Kills what is left of the task, and feeds MACHINE_GONE when nothing is, after `delay_ns` at the
 * earliest; MACHINE_HELD when an executor has it after all, which is then attached to. */
void task_wait(struct task *task, uint64_t delay_ns);

/* The delay is over. */
void task_wait_hurry(struct task *task);

/* Forgets it. NULL is fine; returns NULL. */
struct task_wait *task_wait_free(struct task_wait *wait);
