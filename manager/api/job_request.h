/* SPDX-License-Identifier: MIT
 *
 * What the handlers of jobs share (jobs.c).
 */
#pragma once

#include <jansson.h>

#include "manager/api/request.h"
#include "manager/state.h"

/* The job the path names, that has not been purged; NULL after a 404. */
struct job_record *find_job(struct request *r);

/* The newest change to a job: its own, or one of its allocations (its status follows from them). */
uint64_t job_index(const struct manager *m, const struct job_record *record);

/* The job in {"Job": …}, or NULL after a 400. */
struct job *job_from_request(struct request *r, const json_t *body);

/* Nomad's JobModifyIndex as those know it who enforce it: 0 while there is no such job, or it is
 * stopped. */
uint64_t job_current_index(struct request *r, const char *id);

/* A job has been registered, stopped …; `warnings` may be NULL. */
void job_reply_changed(struct request *r, const struct job_record *record, const char *warnings);
