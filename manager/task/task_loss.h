/* SPDX-License-Identifier: MIT
 *
 * A task whose executor, or with it the machine, died under it, or could not be started.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "manager/state.h"
#include "shared/proto/spec.h"

/* The executor is dead and has not recorded the end of its task. `known`: there is a record, from
 * which the next one goes on. `detail`, for people, starts with a blank or is empty. */
void task_lose_executor(struct task *task, bool known, const char *detail);

/* No executor could be started, for a cause that may pass. Returns false when the restart policy
 * allows no further attempt. */
bool task_retry_start(struct task *task);

/* The record of the task is of another boot. */
void task_lose_boot(struct task *task);

/* Goes on with the waiting that an earlier manager had begun after a loss. */
void task_wait_again(struct task *task);

/* Makes a waiting task end instead of starting again; `failed`: the sibling that is the cause, or
 * NULL. Idempotent. */
void task_end_waiting(struct task *task, const struct task *failed);

/* Forgets the waiting (when the manager ends). */
void task_cancel_waiting(struct task *task);

/* What the restart policy says to the loss of an executor at `now_ns`. `window_count` and
 * `window_ns` are the task's, and are updated. Returns the delay in *ret_delay_ns and true, or
 * false when the attempts are used up. */
bool task_may_restart(const struct spec_restart *policy, uint64_t now_ns, uint32_t *window_count,
                      uint64_t *window_ns, uint64_t *ret_delay_ns);
