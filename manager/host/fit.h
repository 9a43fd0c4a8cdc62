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
