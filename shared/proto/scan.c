/* SPDX-License-Identifier: MIT
 *
 * One pass without recursion: `wanted` counts the elements still to come on all levels together.
 * Each takes at least one byte, so it may never exceed the bytes that are left. Source: the msgpack
 * specification (spec.md, "Formats").
 */
#include "shared/proto/scan.h"

#include <stdint.h>

/* What follows the first byte of an element. */
struct shape {
    unsigned int length_bytes; /* of the big-endian length behind the first byte */
    uint64_t length;           /* the length itself where the first byte holds it */
    unsigned int per_length;   /* elements for each unit of length; 0: it counts bytes */
    unsigned int extra;        /* bytes behind the length */
};

static struct shape shape_of(unsigned char c)
{
    static const unsigned char number_bytes[] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8}; /* 0xca to 0xd3 */

    if (c <= 0x7f || c >= 0xe0)
        return (struct shape){0};
    if (c <= 0x8f)
        return (struct shape){.length = c & 0x0f, .per_length = 2};
    if (c <= 0x9f)
        return (struct shape){.length = c & 0x0f, .per_length = 1};
    if (c <= 0xbf)
        return (struct shape){.length = c & 0x1f};
    if (c <= 0xc3)
        return (struct shape){0};
    if (c <= 0xc6) /* bin 8, 16, 32 */
        return (struct shape){.length_bytes = 1u << (c - 0xc4)};
    if (c <= 0xc9) /* ext 8, 16, 32 */
        return (struct shape){.length_bytes = 1u << (c - 0xc7), .extra = 1};
    if (c <= 0xd3)
        return (struct shape){.extra = number_bytes[c - 0xca]};
    if (c <= 0xd8) /* fixext 1 to 16 */
        return (struct shape){.extra = 1 + (1u << (c - 0xd4))};
    if (c <= 0xdb) /* str 8, 16, 32 */
        return (struct shape){.length_bytes = 1u << (c - 0xd9)};
    if (c <= 0xdd) /* array 16, 32 */
        return (struct shape){.length_bytes = 2u << (c - 0xdc), .per_length = 1};
    return (struct shape){.length_bytes = 2u << (c - 0xde), .per_length = 2};
}

bool msgpack_counts_fit(const char *data, size_t size)
{
    uint64_t wanted = 1, left = size;

    while (wanted > 0 && left > 0) {
        struct shape shape = shape_of((unsigned char)*data++);
        uint64_t skip;

        wanted--;
        left--;
        if (shape.length_bytes > left)
            return true; /* cut short, which the parser sees as well */
        for (left -= shape.length_bytes; shape.length_bytes > 0; shape.length_bytes--)
            shape.length = shape.length << 8 | (unsigned char)*data++;
        wanted += shape.length * shape.per_length;
        if (wanted > left)
            return false;
        skip = shape.extra + (shape.per_length ? 0 : shape.length);
        if (skip > left)
            return true;
        data += skip;
        left -= skip;
    }
    return true;
}
