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

/* Nanoseconds of the clock `id` (CLOCK_REALTIME: since 1970; CLOCK_MONOTONIC: since boot). */
uint64_t clock_now_ns(clockid_t id);

/* `ns` since 1970 as RFC 3339 in UTC with milliseconds, "2026-01-02T03:04:05.678Z". Returns buf. */
const char *clock_format(uint64_t ns, char buf[CLOCK_TEXT_BYTES]);

/* A number that spreads things apart in time: another one for each process and each nanosecond. */
uint32_t clock_spread(uint64_t now_ns);
