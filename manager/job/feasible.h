/* SPDX-License-Identifier: MIT
 *
 * What of a job this node may run by the job's constraints and the room on its disk. What it may
 * not is accepted and waits, since the node's attributes and meta can change, and what has ended
 * makes room; but what runs already is left alone then, and what would be replaced by something
 * that waits runs on, of its older version.
 */
#pragma once

#include <jansson.h>

#include "manager/state.h"

/* How many of each group's `count` may be placed: job->n_groups numbers. The result is what is not
 * placed whole, {group: {"Placed": n, "Why": text, "DiskMB": what there is no room for}} (new
 * reference); NULL: all is. */
json_t *feasible_judge(const struct manager *m, const struct job *job, int64_t *ret_counts);

/* Whether `alloc`, if it is of an older version, stays for what of `job` is not placed. `blocked`
 * is what was said of the job, or NULL. */
bool feasible_keeps(const struct job *job, const json_t *blocked, const struct alloc *alloc);

/* `blocked` for people: each "Why" also says what runs on for it (new reference, or NULL). */
json_t *feasible_told(const struct manager *m, const struct job *job, const json_t *blocked);

/* The least size of an ephemeral disk that waits for room, MiB; 0: none does. */
int64_t feasible_room_wanted(const struct manager *m);

/* Places what waits and may be placed now, and stops what stayed for it. */
void feasible_reconsider(struct manager *m);
