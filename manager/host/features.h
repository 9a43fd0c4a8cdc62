/* SPDX-License-Identifier: MIT
 *
 * Where this host falls short: what its cgroups cannot do for tasks (said at fingerprint), and what
 * of that a job asks for (said when it is registered). A limit that cannot be kept at all is
 * refused instead, by manager/alloc/limits.h.
 */
#pragma once

#include <jansson.h>

#include "manager/config/config.h"
#include "shared/cgroup_layout.h"
#include "shared/job/job.h"

/* Sets an attribute "cgroup.<feature>", "true" or "false", for each there is. */
void features_probe(json_t *attributes, const struct cgroup_layout *cgroup);

/* What `job` asks for and the node of these attributes has not, in Nomad's form: "2 warnings:" and
 * the list. "" when there is nothing to say. `blocked` is what feasible_judge() said,
 * `replaced` what update_replaced() did, or NULL. The caller frees. */
char *features_warnings(const struct job *job, const struct config *config,
                        const json_t *attributes, const json_t *blocked, const json_t *replaced);
