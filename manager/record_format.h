/* SPDX-License-Identifier: MIT
 *
 * Formats of the manager's records, and how one of an older release becomes what this one reads.
 *
 * Keys are only added to records, and readers do without those they do not find; for that no format
 * changes. What is not of that kind makes a new format: one more step at the end of the table,
 * which says how to get there from the one before. A record is raised when it is read and stays on
 * disk as it was until it is written again, in the newest format; a release that does not know that
 * one then refuses to start and touches nothing.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"

enum record_kind {
    RECORD_NODE_ID,
    RECORD_JOB,
    RECORD_ALLOC
};

/* Changes a record from one format to the next; negative errno with a text for what it cannot. */
typedef int record_step(enum record_kind kind, json_t *record, struct err *e);

struct record_format {
    record_step *const *steps; /* from format 1 to 2, from 2 to 3 … */
    size_t n_steps;
};

/* This release's. */
extern const struct record_format record_format;

/* The number of the newest format. */
uint32_t record_format_newest(const struct record_format *format);

/* Makes of a record in format `version` one in the newest. -ENOTSUP: it is of a newer release;
 * -EBADMSG: of none; or what a step says. `name` is for the text, and `record` NULL
 * where it is no JSON at all: then only the number is looked at. */
int record_format_raise(const struct record_format *format, uint32_t version, enum record_kind kind,
                        const char *name, json_t *record, struct err *e);
