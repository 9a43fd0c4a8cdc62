/* SPDX-License-Identifier: MIT
 *
 * Base64 as Go reads it: line ends within are skipped, padding must be there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Into `out`, of at least `size` bytes. -EINVAL. */
int base64_decode(const char *in, size_t size, bool url, char *out, size_t *ret_size);
