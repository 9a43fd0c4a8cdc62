/* SPDX-License-Identifier: MIT
 *
 * Jobs that a periodic or parameterized job, their parent, was launched as. A child is a job like
 * any other: it has its own record, outlives its parent, and is removed with its allocations.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "manager/manager.h"

/* Registers the child `id` of `parent`: its definition with `changes`, which are fields of the JSON
 * (taken over). One that is there already stays as it is. */
int child_register(struct manager *m, const struct job_record *parent, const char *id,
                   json_t *changes, struct job_record **ret_child, struct err *e);

/* Some child of it is not dead. */
bool children_run(const struct manager *m, const char *parent_id);
