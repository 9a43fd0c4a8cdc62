/* SPDX-License-Identifier: MIT
 *
 * Names of log segments: NAME.N in a directory, N from 0 up, decimal without leading zeros. NAME is
 * "<task>.stdout" or "<task>.stderr". The highest N is the live one. Numbers only grow; a written
 * file is never renamed, truncated or copied.
 *
 * A finished segment may be compressed: NAME.N.gz is written under the name .NAME.N.tmp, renamed,
 * and then NAME.N is removed. So at any moment one of the two is there and whole; where both are,
 * they hold the same and NAME.N counts.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"

enum {
    SEGMENT_NAME_MAX = 255,                     /* of a file's name */
    SEGMENT_STREAM_MAX = SEGMENT_NAME_MAX - 20, /* of NAME, with its terminating zero */
};

/* Larger numbers are no segments: a file put there by hand must not make a number overflow. */
#define SEGMENT_NUMBER_MAX INT64_C(999999999999999)

enum segment_form {
    SEGMENT_PLAIN,   /* NAME.N */
    SEGMENT_GZIP,    /* NAME.N.gz */
    SEGMENT_PARTIAL, /* .NAME.N.tmp: being compressed, or left by a crash; no reader looks at it */
};

/* The number in `file` if it is NAME.<number> in one of its forms, else -1. ("a.stdout.0" is no
 * segment of "a", and "a.stdout.stdout.0" or "a.stdout.00" none of "a.stdout".) */
int64_t segment_parse(const char *file, const char *name, enum segment_form *ret_form);

/* The same for the plain form only. */
int64_t segment_number(const char *file, const char *name);

/* Writes the name of segment `number` into `buf`. `name` is one that segment_check_name() took. */
void segment_file_as(char buf[SEGMENT_NAME_MAX + 1], const char *name, int64_t number,
                     enum segment_form form);

/* The same for the plain form, NAME.<number>. */
void segment_file(char buf[SEGMENT_NAME_MAX + 1], const char *name, int64_t number);

/* -EINVAL unless `name` can be a stream's: not empty, no '/', shorter than SEGMENT_STREAM_MAX. */
int segment_check_name(const char *name, struct err *e);

typedef int segment_found(void *arg, int64_t number, enum segment_form form);

/* Calls `found` for each file of NAME's segments in `dirfd`, in no order. Entries that are not
 * regular files are left out, and of those made meanwhile any. Allocates nothing. `found` may
 * remove files. A negative return of `found` ends the scan and is returned. Negative errno of the
 * directory. */
int segment_scan(int dirfd, const char *name, segment_found *found, void *arg);

/* Lists the numbers of NAME's segments in `dirfd`, plain or compressed, ascending, each once, into
 * a malloc'ed array the caller frees (NULL when there is none). Those made meanwhile are left out
 * from some number up. Negative errno. */
int segment_list(int dirfd, const char *name, int64_t **ret_numbers, size_t *ret_n, struct err *e);
