/* SPDX-License-Identifier: MIT
 *
 * Compresses finished segments, NAME.N to NAME.N.gz (logrotate/segment.h). For a process of its
 * own, since it takes its time and memory: the executor runs it as a short-lived child.
 */
#pragma once

#include <stdint.h>

/* Compresses all segments of `name` below number `live` that were last written at or before
 * `before_ns` (CLOCK_REALTIME), oldest first, and removes what a killed predecessor left. A new
 * file has the old one's time of change. Killed at any point, this leaves of each segment the plain
 * file, or both, or the new one; called again, it finishes. A segment that fails stays as it was
 * and does not stop the others; the first failure is returned, a negative errno, such as -EMLINK
 * where a segment has a second name and so may be anything. Only one process at a time may do this
 * for a directory: see compress_lock(). */
int compress_due(int dirfd, const char *name, int64_t live, uint64_t before_ns);

/* Removes what a killed compressor left behind. Only while none is at work. */
void compress_clear_away(int dirfd, const char *name);

/* Waits for its turn among all that compress in the directory, so many tenths of a second at most:
 * a task may have the lock, and keep it. Returns a descriptor that holds the lock until it is
 * closed, or negative errno, -EBUSY where the time is up. */
int compress_lock(int dirfd, unsigned int tenths);
