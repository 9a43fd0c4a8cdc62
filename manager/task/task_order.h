/* SPDX-License-Identifier: MIT
 *
 * Orders to running tasks: restart, signal. Each is in the executor's command pipe when the call
 * returns, and so is obeyed whatever becomes of the manager.
 */
#pragma once

#include "manager/state.h"
#include "shared/err.h"

/* Runs the task's stop sequence and starts it again, at once and without counting that against its
 * restart policy. `reason` is shown in the event. -ESRCH: it does not run, or is to stop. */
int task_restart(const struct task *task, const char *reason, struct err *e);

/* Sends `signo` to the task's main process; errors as above. */
int task_signal(const struct task *task, int signo, struct err *e);
