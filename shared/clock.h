/* SPDX-License-Identifier: MIT
 *
 * Time as this project needs it: nanoseconds, and UTC text for people and JSON.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum {
    CLOCK_TEXT_BYTES = 64
};

static inline uint64_t clock_to_ns(const struct timespec *ts)
{
    return (uint64_t)ts->tv_sec * 1000000000 + (uint64_t)ts->tv_nsec;
}

/* Nanoseconds of the clock `id` (CLOCK_REALTIME: since 1970; CLOCK_MONOTONIC: since boot). */
uint64_t clock_now_ns(clockid_t id);

/* `ns` since 1970 as RFC 3339 in UTC with milliseconds, "2026-01-02T03:04:05.678Z". Returns buf. */
const char *clock_format(uint64_t ns, char buf[CLOCK_TEXT_BYTES]);

/* Grows with time, 2^32 in one to five seconds; for "not long ago" only. Where the processor
 * counts, no memory is read: a process woken for a single line finds its caches cold, and there the
 * clock of the vDSO takes 2 µs (measured), as long as the rest of what it does outside the kernel.
 */
static inline uint64_t clock_ticks(void)
{
#ifdef __x86_64__
    return __builtin_ia32_rdtsc();
#else
    return clock_now_ns(CLOCK_MONOTONIC_COARSE);
#endif
}

/* A number that spreads things apart in time: another one for each process and each nanosecond. */
uint32_t clock_spread(uint64_t now_ns);
