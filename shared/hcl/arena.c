/* SPDX-License-Identifier: MIT
 *
 * A list of chunks, the newest first; only that one has room. What is larger than a chunk gets one
 * of its own, put second so that the open chunk stays in use. Grown arrays leave their old copy
 * behind: at most as much again, as they double.
 */
#include "shared/hcl/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_BYTES = 16 << 10
};

struct arena_chunk {
    struct arena_chunk *next;
    size_t used;
    size_t size;
    alignas(max_align_t) char bytes[];
};

static struct arena_chunk *chunk_new(size_t size)
{
    struct arena_chunk *chunk = calloc(1, sizeof(*chunk) + size);

    if (chunk)
        chunk->size = size;
    return chunk;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t align = alignof(max_align_t);
    struct arena_chunk *chunk = arena->chunks;
    void *result;

    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + align - 1) & ~(align - 1);
    if (!chunk || chunk->size - chunk->used < size) {
        struct arena_chunk **at = size > CHUNK_BYTES && chunk ? &chunk->next : &arena->chunks;

        chunk = chunk_new(size > CHUNK_BYTES ? size : CHUNK_BYTES);
        if (!chunk)
            return NULL;
        chunk->next = *at;
        *at = chunk;
    }
    result = chunk->bytes + chunk->used;
    chunk->used += size;
    return result;
}

char *arena_copy(struct arena *arena, const char *bytes, size_t size)
{
    char *copy = arena_alloc(arena, size + 1);

    if (copy)
        memcpy(copy, bytes, size);
    return copy;
}

void *arena_grow(struct arena *arena, void *array, size_t n, size_t size)
{
    void *grown;

    if (array && (n & (n - 1)) != 0) /* capacities are powers of two: there is room in between */
        return array;
    grown = arena_alloc(arena, (n ? 2 * n : 1) * size);
    if (grown && n)
        memcpy(grown, array, n * size);
    return grown;
}

void arena_deinit(struct arena *arena)
{
    while (arena->chunks) {
        struct arena_chunk *next = arena->chunks->next;

        free(arena->chunks);
        arena->chunks = next;
    }
}
