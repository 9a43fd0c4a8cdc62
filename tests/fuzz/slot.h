/* SPDX-License-Identifier: MIT
 *
 * A status slot's header in front of any payload, so that a fuzzer gets past the checksum.
 */
#pragma once

#include <stdint.h>
#include <string.h>
#include <zlib.h>

enum {
    SLOT_HEADER_BYTES = 12
};

/* Overwrites the first SLOT_HEADER_BYTES of `slot`; the rest of its `size` bytes is the payload. */
static inline void slot_seal(char *slot, size_t size)
{
    uint32_t words[2] = {(uint32_t)(size - SLOT_HEADER_BYTES)};

    words[1] = (uint32_t)crc32(0, (const Bytef *)slot + SLOT_HEADER_BYTES, words[0]);
    memcpy(slot, "CTS1", 4);
    memcpy(slot + 4, words, sizeof(words));
}
