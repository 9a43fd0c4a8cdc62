/* SPDX-License-Identifier: MIT
 *
 * A job's file in state/jobs as JSON, and back: "Versions" has the newest one and those that still
 * have allocations, and which these are; "History" the older ones that are remembered besides.
 */
#pragma once

#include <jansson.h>

#include "manager/core.h"
#include "manager/state.h"

enum {
    HISTORY_VERSIONS = 6,      /* that are remembered, the newest included, as in Nomad … */
    HISTORY_BYTES = 1024 << 10 /* … as far as the JSON of the older ones is no larger together */
};

json_t *job_file(const struct manager *m, const struct job_record *newest);

/* Adds the job, its versions and allocations to what the manager knows. -ENOTSUP: it is of another
 * release and beyond this one; -EINVAL, -EBADMSG: it is no good. */
int job_file_load(struct manager *m, const json_t *json, struct err *e);

/* Lets go of the versions that are older than what is remembered. */
void job_history_trim(struct job_record *newest);

struct job_record *job_record_new(struct job *job);

/* Makes `record` the newest version of its job; the one it replaces, if any, is given back. */
struct job_record *job_link_newest(struct manager *m, struct job_record *record);
