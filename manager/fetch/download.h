/* SPDX-License-Identifier: MIT
 *
 * A file over HTTP, also from S3: tried again when it fails for a reason that may pass, and gone on
 * with where it broke off, if the server can.
 */
#pragma once

#include "manager/fetch/order.h"
#include "manager/fetch/part.h"

struct download; /* what downloads of one order have in common */

/* `netrc`: a descriptor of such a file, or -1. The order's time limit begins to run. */
struct download *download_new(const struct fetch_order *order, int netrc);
struct download *download_free(struct download *download);

/* What follows are so many bytes in all; 0: not known. */
void download_expect(struct download *download, uint64_t all);

/* All that `part` lacks. The checksum was right when this returns 0. -ENOENT: there is no such
 * file; -ECANCELED: the part's reader wants no more. */
int download_get(struct download *download, const char *url,
                 const struct artifact_checksum *checksum, struct part *part, struct err *e);

/* A copy of the order's file of this host, into an empty part. */
int download_copy(const struct fetch_order *order, struct part *part, struct err *e);
