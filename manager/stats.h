/* SPDX-License-Identifier: MIT
 *
 * What the tasks of an allocation use right now, read from their cgroups when somebody asks and at
 * no other time.
 */
#pragma once

#include <jansson.h>

#include "manager/state.h"

/* Nomad's AllocResourceUsage, and ours: PidsStats, IoStats, PressureStats. CPU percentages are over
 * the time since the last question, or since the start of the task. New reference. */
json_t *stats_alloc(struct alloc *alloc);
