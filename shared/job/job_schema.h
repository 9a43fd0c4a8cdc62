/* SPDX-License-Identifier: MIT
 *
 * The tables of a job's blocks.
 */
#pragma once

#include "shared/job/schema.h"

extern const struct schema job_schema; /* struct job */

/* A job file: one job and nothing else. */
struct job_root {
    struct job *jobs;
    size_t n_jobs;
};

extern const struct schema job_root_schema;
