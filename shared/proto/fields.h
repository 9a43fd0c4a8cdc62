/* SPDX-License-Identifier: MIT
 *
 * Plain structs to msgpack maps and back, by a table of fields: every message and record of the
 * project is one such table, so that encoder, decoder and format cannot disagree.
 *
 * Maps have string keys. Decoding skips unknown keys, refuses missing required ones, and checks
 * every range; integers are accepted in any msgpack width. Depth is bounded by msgpack-c (32
 * levels).
 */
#pragma once

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"

enum field_kind {
    FIELD_BOOL,    /* bool */
    FIELD_INT,     /* signed, `size` bytes wide */
    FIELD_UINT,    /* unsigned, `size` bytes wide; at most `max` if that is not 0 */
    FIELD_TEXT,    /* char[size], terminated; longer input is refused */
    FIELD_STRING,  /* char *, in the zone; NULL is nil */
    FIELD_STRINGS, /* char **, NULL-terminated, in the zone; NULL is nil */
    FIELD_MAP,     /* embedded struct described by `sub` */
    FIELD_LIST,    /* structs of `size` bytes described by `sub`, count in the size_t at
                      `count_offset`: an embedded array of `max` elements, or, when max is 0, a
                      pointer into the zone */
};

struct field {
    const char *key; /* NULL ends the table */
    enum field_kind kind;
    bool optional; /* missing or nil: the struct's zero stays */
    bool sparse;   /* optional, and left out while all of it is zero */
    size_t offset;
    size_t size;
    uint64_t max;
    size_t count_offset;
    const struct field *sub;
};

#define FIELD_AS(name, type, member, knd, ...)                                                     \
    {                                                                                              \
        .key = (name), .kind = FIELD_##knd, .offset = offsetof(type, member),                      \
        .size = sizeof(((type *)0)->member), __VA_ARGS__                                           \
    }
#define FIELD(type, member, knd, ...) FIELD_AS(#member, type, member, knd, __VA_ARGS__)
#define FIELD_SPARSE(type, member, knd, ...) FIELD(type, member, knd, .sparse = true, __VA_ARGS__)

/* Packs the struct at `base`. Returns what the packer's sink returned first that was not 0. */
int fields_pack(msgpack_packer *pk, const struct field *fields, const void *base);

/* Fills the zeroed struct at `base` from `map`. Strings and lists go to `zone` (may be NULL when
 * the table has none). -EBADMSG with the key at fault, -ENOMEM. */
int fields_unpack(const msgpack_object *map, const struct field *fields, void *base,
                  msgpack_zone *zone, struct err *e);

/* Parses exactly one map in `data` and unpacks it. */
int fields_decode(const char *data, size_t size, const struct field *fields, void *base,
                  msgpack_zone *zone, struct err *e);

/* A packer's sink over a fixed buffer. */
struct fixed_buf {
    char *data;
    size_t used;
    size_t size;
};
int fixed_buf_write(void *buf, const char *data, size_t size); /* -1 when full */
