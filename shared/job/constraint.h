/* SPDX-License-Identifier: MIT
 *
 * What a job, a group or a task demands of the node it runs on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "shared/err.h"
#include "shared/hcl/hcl.h"

struct schema;
struct schema_context;

struct job_constraint {
    struct hcl_pos pos;
    char *left;  /* "${attr.kernel.name}", or a text to be taken as it is */
    char *right; /* the same; what the operator has to its right */
    char *op;
    /* The short forms of HCL; "" once constraint_finish() has made them those above. */
    char *version, *semver, *regexp, *set_contains, *set_contains_all, *set_contains_any;
    char *distinct_hosts, *distinct_property;
};

extern const struct schema constraint_schema;

/* Resolves the short forms, and checks operators and what is at their sides. `in_task`: some are
 * only for jobs and groups. */
int constraints_finish(struct schema_context *ctx, struct job_constraint *constraints, size_t n,
                       bool in_task);

/* How many allocations a constraint allows on a host that is all right otherwise: N of
 * distinct_property, 1 of distinct_hosts; -1: any number. */
long long constraint_limit(const struct job_constraint *c);

/* The name in "${NAME}", malloc'ed; NULL: `text` is to be taken as it is. Aborts where memory is
 * short. */
char *constraint_reference(const char *text);

/* 1: it is met where its sides have these values, 0: it is not; NULL: there is no such. Distinct_*
 * are met where what they speak of is there. Negative, and not met, where that cannot be told, and
 * `e` (may be NULL) says why: -EINVAL, `right` is no regular expression; -ETIME, it takes too long;
 * -ENOMEM. */
int constraint_met(const struct job_constraint *c, const char *left, const char *right,
                   struct err *e);
