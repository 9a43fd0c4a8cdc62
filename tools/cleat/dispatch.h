/* SPDX-License-Identifier: MIT
 *
 * What `job status` shows of jobs that are launched as others: periodic and parameterized ones.
 */
#pragma once

#include <stdbool.h>

#include "shared/job/job.h"
#include "tools/cleat/cli.h"

/* `job` (of the API) is such a one. */
bool is_parent(const json_t *job);

/* Those that job `id` was launched as, as the list of jobs has them; the caller's reference. */
int get_children(const struct cli *cli, const char *id, json_t **ret_children);

/* Of a job that was just registered: what it waits for, if it is such a one. */
void print_waiting(const struct job *job);

/* What it takes or when it is due, and its children. */
void print_children(const json_t *job, const json_t *children);
