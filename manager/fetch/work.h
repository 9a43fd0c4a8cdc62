/* SPDX-License-Identifier: MIT
 *
 * What the confined process does: it gets the artifact and unpacks it, into the directory it is in.
 */
#pragma once

#include "manager/fetch/order.h"

#define WORK_TREE "out" /* what of it is the artifact */

/* `netrc`: a file with users and passwords of servers, read from its start, or -1. */
int work(const struct fetch_order *order, int netrc, struct err *e);
