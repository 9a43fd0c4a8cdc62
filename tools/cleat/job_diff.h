/* SPDX-License-Identifier: MIT
 *
 * A job's diff (shared/job/diff.h) for people, in colours where stdout is a terminal.
 */
#pragma once

#include <jansson.h>

void print_job_diff(const json_t *diff);
