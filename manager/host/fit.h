/* SPDX-License-Identifier: MIT
 *
 * Whether this node is where a job may run.
 */
#pragma once

#include "manager/config/config.h"
#include "shared/job/job.h"

/* No datacenter of the job's is this node's, or its node pool is another one: which, and the mend
 * (malloc'ed). NULL: it may. That it asks for more than the node has is no reason: see
 * features_warnings(). */
char *fit_why_not(const struct job *job, const struct config *config);

/* MiB that allocations may still take: what is free on their file system, but for what is reserved.
 * Negative where nobody knows: ramfs and a tmpfs without a limit say 0 of 0. */
int64_t fit_free_mb(const struct config *config);

/* As Nomad says that a disk is too small for another allocation of `group`, malloc'ed. NULL: it is
 * not; or the group asks for no size of its own, and makes do with what there is. */
char *fit_disk_why_not(const struct job_group *group, int64_t free_mb, const struct config *config);
