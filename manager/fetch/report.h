/* SPDX-License-Identifier: MIT
 *
 * Progress, told to the manager twice a second at most.
 */
#pragma once

#include <stdint.h>

struct report {
    const char *stage;
    uint64_t bytes, total;
    uint64_t last_ns, last_bytes;
    double rate; /* bytes a second, smoothed */
};

/* Begins a stage. */
void report_begin(struct report *report, const char *stage, uint64_t total);

/* `bytes` are done of the stage. */
void report_progress(struct report *report, uint64_t bytes);
