/* SPDX-License-Identifier: MIT
 *
 * A temporary directory of log segments for tests, and what tests want to know of one.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct logdir {
    char path[64];
    int fd;
};

/* All of these fail the test themselves. */
void logdir_make(struct logdir *d);
void logdir_remove(struct logdir *d);
void logdir_put(const struct logdir *d, const char *file, const void *data, size_t size);
void logdir_put_gzip(const struct logdir *d, const char *file, const void *data, size_t size);
/* The file's bytes, terminated by a zero that *ret_size does not count; the caller frees. */
char *logdir_get(const struct logdir *d, const char *file, size_t *ret_size);
int logdir_has(const struct logdir *d, const char *file);
