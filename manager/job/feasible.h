/* SPDX-License-Identifier: MIT
 *
 * What of a job this node may run by the job's constraints. What it may not is accepted and waits,
 * since the node's attributes and meta can change; but what runs already is left alone then.
 */
#pragma once

#include <jansson.h>

#include "manager/core.h"
#include "manager/state.h"

/* How many of each group's `count` may be placed: job->n_groups numbers. The result is what is not
 * placed whole, {group: {"Placed": n, "Why": text}} (new reference); NULL: all is. */
json_t *feasible_judge(const struct manager *m, const struct job *job, int64_t *ret_counts);

/* Places what waits and may be placed now. */
void feasible_reconsider(struct manager *m);
