/* SPDX-License-Identifier: MIT */
#include "manager/fetch/report.h"

#include <jansson.h>
#include <time.h>

#include "shared/clock.h"
#include "shared/helper.h"

#define INTERVAL_NS 500000000ULL

void report_begin(struct report *report, const char *stage, uint64_t total)
{
    *report =
        (struct report){.stage = stage, .total = total, .last_ns = clock_now_ns(CLOCK_MONOTONIC)};
}

void report_progress(struct report *report, uint64_t bytes)
{
    uint64_t now = clock_now_ns(CLOCK_MONOTONIC), passed = now - report->last_ns;
    double rate;

    report->bytes = bytes;
    if (passed < INTERVAL_NS)
        return;
    if (bytes < report->last_bytes) /* from the start again */
        report->last_bytes = bytes;
    rate = (double)(bytes - report->last_bytes) * 1e9 / (double)passed;
    report->rate = report->rate > 0 ? 0.7 * report->rate + 0.3 * rate : rate;
    report->last_ns = now;
    report->last_bytes = bytes;
    helper_say(json_pack("{s:s, s:I, s:I, s:I}", "stage", report->stage, "bytes", (json_int_t)bytes,
                         "total", (json_int_t)report->total, "rate", (json_int_t)report->rate));
}
