/* SPDX-License-Identifier: MIT
 *
 * References (${…}) of a job that nothing here stands behind. They stay as they are written, which
 * is seldom what was meant, so whoever registers the job is told.
 */
#pragma once

#include <jansson.h>

#include "manager/config/config.h"
#include "shared/job/job.h"

/* Calls `each` once for every unknown reference of a task, whose JSON is `shown`, "${NAME}", and
 * the field that has it first ("Config", "Env" …). In the driver's config plain names are passed
 * over: there a shell may know them. */
void references_unknown(const struct job *job, const struct job_group *group,
                        const struct job_task *def, const json_t *shown,
                        const struct config *config, const json_t *attributes,
                        void (*each)(void *arg, const char *name, const char *field), void *arg);
