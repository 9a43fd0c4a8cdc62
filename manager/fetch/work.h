/* SPDX-License-Identifier: MIT
 *
 * What the confined process does: it gets the artifact and unpacks it, in the directory it is in.
 *   out             what of it is the artifact, but for
 *   download        (part.h) the artifact itself, if it is one file that is not unpacked
 */
#pragma once

#include "manager/fetch/order.h"

#define WORK_TREE "out"

/* `netrc`: a file with users and passwords of servers, read from its start, or -1. `key`: of what
 * an earlier attempt with the same one left, it may go on. */
int work(const struct fetch_order *order, int netrc, const char *key, struct err *e);
