/* SPDX-License-Identifier: MIT
 *
 * The manager's structs as Nomad's JSON. Every function returns a new reference, or NULL when
 * memory is short.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

#include "manager/manager.h"

/* A JSON string of any bytes: what is not UTF-8 becomes U+FFFD. NULL gives "". */
json_t *encode_text(const char *text);

/* Go's time.Time in JSON: "2020-10-27T18:00:39.123456789Z"; 0 is "0001-01-01T00:00:00Z". */
json_t *encode_time(uint64_t ns);

enum {
    GO_MODE_BYTES = 16
};

/* Go's os.FileMode text: "drwxr-xr-x", "dtrwxrwxrwx", "Lrwxrwxrwx". Returns buf. */
const char *encode_go_mode(mode_t mode, char buf[GO_MODE_BYTES]);

/* Nomad's name for it: "force_pause", or "" for a task that is not paused. */
const char *encode_pause(const struct task *task);

json_t *encode_event(const struct task_event *event);
json_t *encode_task_states(const struct alloc *alloc);

/* An allocation as lists show it, and as GET /v1/allocation/:id does (with its job). */
json_t *encode_alloc_stub(const struct alloc *alloc);
json_t *encode_alloc(const struct alloc *alloc);
json_t *encode_resources(const struct job_group *group); /* what each of its allocations may use */

/* What of allocations the list of jobs shows, for all in one go: {job id: {"Live": whether some are
 * not at their end, "Groups": {group: {"Running": n, …}}}}. */
json_t *encode_summaries(const struct manager *m);

/* A job as the list shows it, and as GET /v1/job/:id does. */
json_t *encode_job_stub(const struct manager *m, const struct job_record *record,
                        const json_t *summaries);
json_t *encode_job(const struct manager *m, const struct job_record *record);

/* The counts of a job's groups, as GET /v1/job/:id/summary shows them. */
json_t *encode_job_summary(const struct manager *m, const struct job_record *record);

/* What is not placed whole (manager/job/feasible.h), as Nomad's FailedTGAllocs; null for NULL. */
json_t *encode_failed_groups(const json_t *blocked, const struct job *job);

/* The id of the evaluation that is told of the last change to `record` (evals.c). */
void encode_eval_id(const struct manager *m, const struct job_record *record, char ret_id[37]);
