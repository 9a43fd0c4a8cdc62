/* SPDX-License-Identifier: MIT
 *
 * A tree of files that somebody else made: looked through, given an owner, moved, removed. No link
 * in it is followed, nor one that is in its way.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/err.h"

struct tree_rules {
    uid_t maker; /* all of it must belong to that user, so that nothing else is in it by a link */
    bool chown;  /* it becomes these users' */
    uid_t uid;
    gid_t gid;
    bool inspected; /* no link may lead out */
    uint64_t max_files, max_bytes;
};

/* Looks through the tree and changes owners and modes: plain files, directories and links only, no
 * setuid, setgid or sticky bits. -EINVAL, -EFBIG with the path in `e`. */
int tree_settle(int dir, const struct tree_rules *rules, struct err *e);

/* Moves every entry of `from` into `to`; what is there already under its name makes room, but for a
 * directory in the place of a file. */
int tree_merge(int from, int to, struct err *e);

/* Moves the one plain file of `from` to `to`/`name`. -EINVAL if there is not just that. */
int tree_move_file(int from, int to, const char *name, struct err *e);

/* Removes `name` in `dir`, whatever it is; it may be missing. */
int tree_remove(int dir, const char *name);

/* Removes all that is in a directory; -errno. */
int tree_empty(const char *path);
