/* SPDX-License-Identifier: MIT
 *
 * What a bucket answers when it is asked which objects it has (ListObjectsV2), by libexpat.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"

enum {
    S3_KEY_MAX = 1024, /* bytes, as in Amazon's */
    S3_TOKEN_MAX = 4096,
};

struct s3_list {
    char **keys; /* of all pages so far */
    size_t n;
    uint64_t bytes; /* of all objects */
    char *next;     /* what the next page is asked for with; NULL: there is none */
};

/* Adds a page's keys, but for those that end in "/": they stand for directories and hold nothing.
 * -EBADMSG, -EFBIG: more than `max` keys; the list may have some of the page's then. */
int s3_list_add(struct s3_list *list, const void *xml, size_t size, uint64_t max, struct err *e);

/* Zeroed structs are fine. */
void s3_list_deinit(struct s3_list *list);
