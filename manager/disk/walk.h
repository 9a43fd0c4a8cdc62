/* SPDX-License-Identifier: MIT
 *
 * A tree of files that tasks made: what it takes up, and whose it is to be for disk quotas. Tasks
 * may change it meanwhile: no link in it is followed, and no mount entered.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shared/err.h"

enum {
    WALK_DEPTH_MAX = 500,
};

struct walk_result {
    uint64_t bytes; /* on the disk; a file with several names in the tree counts once */
    uint64_t files; /* of any kind, the top included */
    bool partial;   /* something could not be looked at */
};

/* Counts what is in the directory `top`, which is kept open. */
int walk_count(int top, struct walk_result *ret, struct err *e);

/* Makes directories and plain files of the tree those of `project`, the top last, and counts.
 * Links, sockets, pipes and devices stay what they are: the kernel has no way to change them, and
 * they take up next to nothing. So does a file with several names that no project has had before:
 * the others may be anywhere. Files that go meanwhile are left out; anything else that fails
 * (-EDQUOT, -EPERM …) ends it, and what was changed stays changed: it may be done again. */
int walk_label(int top, uint32_t project, struct walk_result *ret, struct err *e);
