/* SPDX-License-Identifier: MIT
 *
 * Repositories, by the host's own git and hg.
 */
#pragma once

#include "manager/fetch/order.h"

/* Gets the repository into `tree`, a name in the current directory that is not there yet. */
int vcs_get(const struct fetch_order *order, const char *tree, struct err *e);
