/* SPDX-License-Identifier: MIT
 *
 * Jobs that do not run themselves but are launched as other jobs, their children: at times of the
 * clock (periodic), or when somebody dispatches them (parameterized).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shared/err.h"
#include "shared/hcl/hcl.h"

struct job;
struct schema;
struct schema_context;

enum { /* of what a child's name has behind its parent's: "/dispatch-<unix>-<8 hex>" */
    LAUNCH_SUFFIX_BYTES = 32,
    LAUNCH_PAYLOAD_MAX = 16 << 10,
};

struct job_periodic {
    bool set; /* the job has such a block */
    struct hcl_pos pos;
    bool enabled;
    char *cron;
    char **crons; /* instead of `cron` */
    char *type;   /* "cron" */
    bool prohibit_overlap;
    char *time_zone;
};

enum job_payload {
    JOB_PAYLOAD_OPTIONAL,
    JOB_PAYLOAD_REQUIRED,
    JOB_PAYLOAD_FORBIDDEN,
    JOB_PAYLOAD_N
};

struct job_parameterized {
    bool set;
    struct hcl_pos pos;
    enum job_payload payload;
    char **meta_required;
    char **meta_optional;
};

struct job_dispatch_payload {
    bool set;
    struct hcl_pos pos;
    char *file; /* below the task's local/ */
};

extern const struct schema periodic_schema, parameterized_schema, dispatch_payload_schema;

/* What holds between the fields of a job of such a kind. */
int launch_check(struct schema_context *ctx, const struct job *job);

/* The job is launched by the clock: it has no allocations of its own. A child of a parameterized
 * job may be so. Whether that is enabled is another question. */
bool job_is_periodic(const struct job *job);

/* The job waits to be dispatched. */
bool job_is_parameterized(const struct job *job);

/* One of the two. */
bool job_is_parent(const struct job *job);

/* The first second after `after` at which the job is to be launched; -1: never. */
int64_t job_next_launch(const struct job *job, int64_t after);

/* The payload of a dispatched child, in base64 as the job holds it, to bytes: a malloc'ed buffer.
 * -EINVAL: that is no base64, or more than LAUNCH_PAYLOAD_MAX. */
int launch_payload(const char *base64, unsigned char **ret_data, size_t *ret_size);
