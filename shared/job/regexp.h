/* SPDX-License-Identifier: MIT
 *
 * Regular expressions of users: what constraints and the filters of the API match with.
 */
#pragma once

#include <stdbool.h>

#include "shared/err.h"

/* -EINVAL: it is none, and `e` (may be NULL) says where. */
int regexp_check(const char *pattern, struct err *e);

/* Whether `pattern` is found in `text`; false as well where it is none, or takes too many steps. */
bool regexp_matches(const char *pattern, const char *text);
