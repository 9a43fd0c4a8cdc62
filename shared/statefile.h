/* SPDX-License-Identifier: MIT
 *
 * Whole small files that must survive anything: an envelope (magic, format version, length, CRC-32)
 * around a payload, written temp -> fsync -> rename -> fsync(directory).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"

/* Writes `name` in the directory `dirfd`. On success the old or the new content is there after any
 * crash, and the new one once this returns. Errors: -ENOSPC, -EROFS, -EIO … with the text in `e`;
 * the old content is untouched then. */
int statefile_write(int dirfd, const char *name, uint32_t version, const char *data, size_t size,
                    struct err *e);

/* The same without the two syncs, for what a crash of the machine may lose: a reader sees the old
 * content, the new one, or (after such a crash only) a damaged file. */
int statefile_write_unsynced(int dirfd, const char *name, uint32_t version, const char *data,
                             size_t size, struct err *e);

/* Reads `name`. 0, and *ret_data (malloc'ed, NUL-terminated behind its *ret_size bytes) and
 * *ret_version; -ENOENT; -EBADMSG when the envelope is damaged (`e` says how); -EFBIG over `max`.
 */
int statefile_read(int dirfd, const char *name, size_t max, uint32_t *ret_version, char **ret_data,
                   size_t *ret_size, struct err *e);

/* Checks the envelope of a file's content `text`, which is NUL-terminated behind its `size` bytes.
 * 0, and the payload is from *ret_start to the end; or -EBADMSG. */
int statefile_decode(const char *text, size_t size, uint32_t *ret_version, size_t *ret_start);
