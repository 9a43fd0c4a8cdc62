/* SPDX-License-Identifier: MIT
 *
 * A group's volumes, and where its tasks see them.
 */
#pragma once

#include "shared/err.h"
#include "shared/job/job.h"
#include "shared/job/schema.h"

extern const struct schema volume_schema;       /* struct job_volume */
extern const struct schema volume_mount_schema; /* struct job_volume_mount */

/* What holds between the mounts of `task`, and between them and the volumes of `group`. What
 * schema_fail() returned, or 0. */
int volume_check_mounts(struct schema_context *ctx, const struct job_group *group,
                        const struct job_task *task);

/* Whether a volume may be shown there, all variables replaced. -EINVAL with the cause and the mend.
 */
int volume_check_destination(const char *path, struct err *e);
