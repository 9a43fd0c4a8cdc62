/* SPDX-License-Identifier: MIT
 *
 * A look at untrusted msgpack before it is parsed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* True if no array or map in `data` says to have more elements than there are bytes left for them.
 * The parser allocates by those counts before it sees the elements; after this check it needs
 * memory in proportion to `size`. What else may be wrong is left to the parser. */
bool msgpack_counts_fit(const char *data, size_t size);
