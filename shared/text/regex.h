/* SPDX-License-Identifier: MIT
 *
 * Regular expressions as Go has them (RE2's syntax), run by PCRE2. What PCRE2 has and Go has not is
 * refused, so that an expression accepted here means the same there. Texts are UTF-8; bytes that
 * are none match nothing. One search takes at most 16 MiB, and 2 if it has fewer steps than
 * REGEX_STEPS. Source: regexp/syntax of Go, pcre2pattern(3).
 */
#pragma once

#include <stddef.h>

#include "shared/err.h"

struct regex;

enum {
    REGEX_MAX_BYTES = 16384,
    REGEX_STEPS = 1000000,        /* of one search, for regex_new() */
    REGEX_STEPS_IN_LOOP = 100000, /* milliseconds, of what a loop can wait for */
};

/* What -ETIME is for a person. */
#define REGEX_TOO_LONG                                                                             \
    "the regular expression takes too long or too much memory on this text: repeat nothing that "  \
    "repeats itself, as in (a+)+"

/* `steps`: how often one search may go back and try anew. -EINVAL with the byte that is wrong;
 * -ENOMEM. `e` may be NULL. */
int regex_new(const char *pattern, size_t size, unsigned int steps, struct regex **ret,
              struct err *e);

/* NULL is fine; returns NULL. */
struct regex *regex_free(struct regex *re);

/* 1: `text` matches from `from` on; 0: it does not; -ETIME: finding out takes too long or
 * too much memory. */
int regex_match(const struct regex *re, const char *text, size_t size, size_t from);

/* Takes what a replacement consists of, piece by piece; 0 or an error that is passed on. */
typedef int (*regex_sink)(void *context, const char *bytes, size_t size);

/* Puts `text` with every match replaced by `to`, in which $1, ${1}, $name and ${name} are groups
 * and $$ is a dollar. `step` is called before each search, with no bytes. -ETIME as above. */
int regex_replace(const struct regex *re, const char *text, size_t size, const char *to,
                  size_t to_size, regex_sink step, regex_sink sink, void *context);
