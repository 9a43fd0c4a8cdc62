/* SPDX-License-Identifier: MIT
 *
 * Memory that is given back all at once: a parsed file's tree lives in one arena.
 */
#pragma once

#include <stddef.h>

struct arena {
    struct arena_chunk *chunks;
};

/* `size` zeroed bytes, aligned for any type. NULL: out of memory. */
void *arena_alloc(struct arena *arena, size_t size);

/* A NUL-terminated copy of `size` bytes. NULL: out of memory. */
char *arena_copy(struct arena *arena, const char *bytes, size_t size);

/* `array` holds `n` elements of `size` bytes; returns it, moved where needed, with room for one
 * more. NULL: out of memory, the old one stays valid. Only for arrays that grew through this from
 * NULL. */
void *arena_grow(struct arena *arena, void *array, size_t n, size_t size);

void arena_deinit(struct arena *arena);
