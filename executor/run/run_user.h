/* SPDX-License-Identifier: MIT
 *
 * Who a task of `cleat-executor run` runs as.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "shared/err.h"
#include "shared/proto/spec.h"

/* Puts the ids of `text`, which is USER[:GROUP] in names or numbers and is cut at its colon, into
 * `spec`. Without a group: the user's own of /etc/passwd, and those of /etc/group that name it, at
 * most `max` of them in `groups`, which the spec borrows with `text`. */
int run_user_resolve(char *text, struct exec_spec *spec, gid_t *groups, size_t max, struct err *e);
