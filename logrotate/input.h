/* SPDX-License-Identifier: MIT
 *
 * One segment, open for reading, plain or compressed: the reader does not care which. Offsets are
 * those of the uncompressed bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct gunzip;

enum {
    INPUT_STEP = 64 << 10 /* one call reads, or unpacks, about as much at most */
};

struct segment_input {
    int fd;            /* -1: none */
    struct gunzip *gz; /* NULL: plain */
    uint64_t offset;   /* of the next byte; the owner of a plain one may set it */
};

#define SEGMENT_INPUT_INIT                                                                         \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/* Opens NAME.<number>, or else NAME.<number>.gz, at offset 0. Only regular files, and no links, are
 * opened at all. -ENOENT: neither is there; -EINVAL: something else is in its place. */
int input_open(struct segment_input *in, int dirfd, const char *name, int64_t number);

/* Returns the bytes read; 0 at the end, which in a plain file may move; -EINPROGRESS: bytes were
 * unpacked that gave none yet, call again; -EBADMSG: from here on it is damaged; another negative
 * errno. */
ssize_t input_read(struct segment_input *in, char *buf, size_t size);

/* Takes back the last `n` bytes of the last input_read(). */
void input_unread(struct segment_input *in, size_t n);

/* Back to offset 0. */
void input_rewind(struct segment_input *in);

/* Fine for one that is not open. */
void input_close(struct segment_input *in);
