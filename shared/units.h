/* SPDX-License-Identifier: MIT
 *
 * Durations, sizes and signal names as people write them in job files and on command lines.
 */
#pragma once

#include <stdint.h>

/* Go's duration syntax, as Nomad takes it: "1h30m", "250ms", "1.5s", "-" not allowed; units ns us
 * ms s m h. "0" is zero. -EINVAL, -ERANGE. */
int duration_parse(const char *text, uint64_t *ret_ns);

/* The same back: "1h30m0s", "15s", "250ms", into `buf`. Returns buf. */
const char *duration_format(uint64_t ns, char *buf, uint64_t size);

/* "10", "64KiB", "10MiB", "1G" (K, M, G, T are powers of 1024, with or without "iB" or "B").
 * -EINVAL, -ERANGE. */
int size_parse(const char *text, uint64_t *ret_bytes);

/* "SIGTERM", "term", "15" to 15. -EINVAL for unknown names. */
int signal_parse(const char *name);

/* 15 to "SIGTERM"; "SIG<n>" where the signal has no name (static buffer). */
const char *signal_name(int signo);
