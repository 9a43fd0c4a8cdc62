/* SPDX-License-Identifier: MIT
 *
 * Names of log segments: NAME.N in a directory, N from 0 up, decimal without leading zeros. NAME is
 * "<task>.stdout" or "<task>.stderr". The highest N is the live one. Numbers only grow; a written
 * file is never renamed, truncated or copied.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"

enum { SEGMENT_NAME_MAX = 255 };

/* The number in `file` if it is exactly NAME.<number>, else -1. ("a.stdout.0" is no segment of "a",
 * and "a.stdout.0.gz" or "a.stdout.stdout.0" none of "a.stdout".) */
int64_t segment_number(const char *file, const char *name);

/* Lists the numbers of NAME's segments in `dirfd`, ascending, into a malloc'ed array the caller
 * frees. Entries that are not regular files are left out. Negative errno. */
int segment_list(int dirfd, const char *name, int64_t **ret_numbers, size_t *ret_n, struct err *e);
