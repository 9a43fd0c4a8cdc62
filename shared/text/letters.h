/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

enum letters_case {
    LETTERS_LOWER,
    LETTERS_UPPER,
    LETTERS_TITLE, /* upper, of each word the first: as Go's strings.Title */
};

/* The UTF-8 text in that case, malloc'ed, with a NUL behind it; bytes that are no UTF-8 become
 * U+FFFD. NULL: out of memory. */
char *letters_map(const char *text, size_t size, enum letters_case to, size_t *ret_size);
