/* SPDX-License-Identifier: MIT
 *
 * A file over HTTP, also from S3: tried again when it fails for a reason that may pass, and gone on
 * with where it broke off, if the server can.
 */
#pragma once

#include "manager/fetch/order.h"
#include "manager/fetch/part.h"

/* All that `part` lacks. `netrc`: a descriptor of such a file, or -1. The checksum was right when
 * this returns 0. -ECANCELED: the part's reader wants no more. */
int download(const struct fetch_order *order, int netrc, struct part *part, struct err *e);

/* A copy of a file of this host, if it is the kind, into an empty part. */
int download_copy(const struct fetch_order *order, struct part *part, struct err *e);
