/* SPDX-License-Identifier: MIT
 *
 * The block template of a task.
 */
#pragma once

#include "shared/job/job.h"
#include "shared/job/schema.h"

extern const struct schema template_schema;

/* What holds between the fields of each, and between those of one task; each template that stands
 * in the job is read, so that what is wrong in it is known now. A wait or change_script without
 * content becomes none. */
int template_finish_task(struct schema_context *ctx, struct job_task *task);
