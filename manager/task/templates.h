/* SPDX-License-Identifier: MIT
 *
 * A task's templates: rendered before it starts (a step of prepare.h), and again when something
 * changes that they depend on; then the task is restarted or signalled, or a script is run in it,
 * as the job says. The rendering itself is done by cleat-template (template/).
 */
#pragma once

#include "manager/config/config.h"
#include "manager/state.h"
#include "manager/task/prepare.h"
#include "shared/err.h"

extern const struct prepare_step templates_step;

/* Whether the node lets a job use these templates: its operator may deny functions. */
int templates_check(const struct job_task *def, const struct config *config, struct err *e);

/* An executor that an earlier manager started has the task: what changed meanwhile is found by
 * rendering again. */
void templates_adopt(struct task *task);

/* The task is not to run any more, or starts anew: nothing is rendered and nothing watched. */
void templates_stop(struct task *task);
