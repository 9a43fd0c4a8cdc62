/* SPDX-License-Identifier: MIT
 *
 * An error a person will read: a negative errno and one line of text, held on the caller's stack.
 * A function that takes `struct err *e` fills it exactly when it returns a negative value; passing
 * NULL drops the text. Nothing here allocates.
 */
#pragma once

#include <stdarg.h>

struct err {
    int code;       /* negative errno; 0 while unset */
    char text[508]; /* what was tried, on what, and the likely mend; no newline at the end */
};

#define ERR_INIT                                                                                   \
    {                                                                                              \
        0                                                                                          \
    }

/* Sets `e` to `code` (a negative errno) and the formatted text. Returns `code`, so that a caller
 * can write `return err_set(e, -EINVAL, "…")`. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Like err_set(), and appends ": " and the system's text for `code`. */
int err_sys(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts the formatted text and ": " in front of the text already in `e`. Returns e->code (0 for
 * NULL, so callers return their own code, not this, where `e` may be NULL). */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
