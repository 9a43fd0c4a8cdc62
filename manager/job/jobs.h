/* SPDX-License-Identifier: MIT
 *
 * Registered jobs, their versions, and the allocations that follow from them. manager.h has the
 * operations; this is for the manager's own modules.
 */
#pragma once

#include "manager/core.h"
#include "manager/state.h"

struct job_record *job_record_ref(struct job_record *record);
/* NULL is fine; returns NULL. */
struct job_record *job_record_unref(struct job_record *record);

/* Reads all records: jobs, and for each the allocations with what is known of them. Nothing is
 * started. -ENOTSUP: some of it is of another release and beyond this one; nothing was changed. */
int jobs_load(struct manager *m, struct err *e);

/* Records job `id` as it is now, or removes it when it is done with: no allocations are left, and
 * none will come. */
int jobs_save_or_remove(struct manager *m, const char *id, struct err *e);

/* Removes the jobs that are done with and have no allocations left. */
void jobs_remove_empty(struct manager *m);

/* True when some job is not stopped, or some allocation not terminal. */
bool jobs_active(const struct manager *m);
