/* SPDX-License-Identifier: MIT
 *
 * The terms a running task's executor acts by (shared/proto/terms.h): restart policy, stop
 * sequence, limits of logs. A changed job, or configuration, changes them and nothing else in the
 * task.
 *
 * What the executor has is in its record; what it should have follows from the job's file. So
 * nothing is noted of what was sent, and a manager that attaches sends what differs.
 */
#pragma once

#include "manager/state.h"

/* Sends the executor what it should have and has not. One of a release that takes none is told of
 * in an event. Idempotent. */
void task_renew_terms(struct task *task);
