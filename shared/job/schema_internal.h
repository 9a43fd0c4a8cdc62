/* SPDX-License-Identifier: MIT
 *
 * Between the schema engine's own files.
 */
#pragma once

#include "shared/cleanup.h"
#include "shared/job/schema.h"
#include "shared/job/value.h"

/* Refuses what the table does not have (naming the nearest it has), what is written in the wrong
 * form, and what asks for something of a later release. */
int schema_check_names(struct schema_context *ctx, const struct schema *schema,
                       struct schema_source source);

/* json[key], with Go's leniency about upper and lower case. */
json_t *schema_json_get(const json_t *json, const char *key);

/* A JSON array of the `n` structs from `first` on; NULL: out of memory. */
json_t *schema_encode_blocks(const struct schema *schema, const char *first, size_t n);

static inline void *schema_member(const void *obj, size_t offset)
{
    return (char *)obj + offset;
}

static inline bool schema_is_map(enum field_kind kind)
{
    return kind == FIELD_STRING_MAP || kind == FIELD_FREE_MAP;
}

static inline bool schema_is_block(enum field_kind kind)
{
    return kind == FIELD_BLOCK || kind == FIELD_BLOCKS || kind == FIELD_NAMED;
}
