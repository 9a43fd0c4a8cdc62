/* SPDX-License-Identifier: MIT
 *
 * The process that meets bytes from outside can do little else: it is nobody, sees a read-only
 * system and one directory of its own, opens nothing beside those and what libraries need
 * (landlock, where the kernel has it), and lacks the system calls that get out of such places.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/err.h"

struct confine {
    bool drop; /* there is a user to become: this one is root */
    uid_t uid;
    gid_t gid;
    bool isolated;             /* landlock and the read-only view; an operator may do without */
    bool programs;             /* it runs git or hg */
    const char *file;          /* of this host, to be read; NULL: none */
    const json_t *extra_paths; /* "d:rx:/path", "f:r:/path" */
    uint64_t max_file;         /* bytes a file may grow to */
    int view;                  /* of the directory, to be mounted; set by confine_fork(), or -1 */
};

/* The user "cleat-fetch", or else nobody. */
void confine_find_user(struct confine *confine);

/* As fork(2); in namespaces of its own, where that is possible: what it starts ends with it then,
 * and sees the directory `dir` in the place of another one. */
pid_t confine_fork(struct confine *confine, int dir);

/* In the child: goes to `dir`, then gives up everything else. */
int confine_enter(const struct confine *confine, int dir, struct err *e);

/* For the tests: "d:rwcx:/path" apart. -EINVAL. */
int confine_parse_path(const char *text, bool *ret_dir, unsigned *ret_rights,
                       const char **ret_path);
