/* SPDX-License-Identifier: MIT
 *
 * The block artifact of a task. Its texts may hold ${…}, so they are checked as far as they are
 * known: shared/artifact.h reads them once they are.
 */
#pragma once

#include "shared/job/job.h"
#include "shared/job/schema.h"

extern const struct schema artifact_schema; /* struct job_artifact */

/* What holds between the fields of each of a task's artifacts. */
int artifact_check_all(struct schema_context *ctx, const struct job_task *task);

/* The same for the old options of the exec driver, which are an artifact of their own. */
int artifact_check_legacy(const char *source, const char *checksum, struct err *e);
