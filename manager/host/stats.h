/* SPDX-License-Identifier: MIT
 *
 * What the tasks of an allocation use right now, read from their cgroups when somebody asks and at
 * no other time.
 */
#pragma once

#include <jansson.h>

#include "manager/state.h"

struct usage_memory {
    uint64_t rss, cache, swap, mapped, usage, max_usage, kernel, kernel_max; /* bytes */
};

/* What one task uses; what is not measured here is 0. */
struct usage {
    bool has_memory, has_cpu, has_io; /* that is measured at all */
    struct usage_memory memory;
    double user_percent, system_percent, percent; /* of one core … */
    double ticks;                                 /* … and MHz, since the last question */
    uint64_t user_ns, system_ns;                  /* since the attempt began */
    uint64_t throttled_periods, throttled_ns;
    uint64_t pids;
    uint64_t read_bytes, write_bytes;
};

/* Reads a running task's: some ten small files, whose content the kernel makes up when asked. */
void stats_task(struct task *task, uint64_t now_ns, struct usage *ret_usage);

/* Nomad's AllocResourceUsage, and ours: PidsStats, IoStats, PressureStats. CPU percentages are over
 * the time since the last question, or since the start of the task. New reference. */
json_t *stats_alloc(struct alloc *alloc);
