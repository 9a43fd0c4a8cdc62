/* SPDX-License-Identifier: MIT
 *
 * Objects of S3 and of what speaks as it does: one, or all whose keys begin alike, as if they were
 * files of a directory.
 */
#pragma once

#include "manager/fetch/download.h"

struct s3_place {
    char *bucket; /* its address, without a slash at its end */
    char *key;    /* as it is, not as it is written in an address; may be "" */
    char *query;  /* of the object that is the place; begins with "?", or "" */
};

/* Amazon's hosts are https://BUCKET.s3.REGION.amazonaws.com/KEY or, as all others,
 * https://HOST/BUCKET/KEY. -EINVAL: there is no bucket. */
int s3_place_parse(const char *url, struct s3_place *ret_place, struct err *e);
void s3_place_deinit(struct s3_place *place);

/* The address of an object, each character of whose key is written in the one way that a signature
 * is made of; with the query, if it is the place itself. The caller frees it. */
char *s3_object_url(const struct s3_place *place, const char *key);

/* All objects of the place's key and "/", into the current directory, which is empty. *ret_n: how
 * many there are, 0 also if they could not be listed. */
int s3_get_tree(struct download *download, const struct fetch_order *order,
                const struct s3_place *place, size_t *ret_n, struct err *e);
