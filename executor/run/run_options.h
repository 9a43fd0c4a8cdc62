/* SPDX-License-Identifier: MIT
 *
 * The options of `cleat-executor run`, as the spec of a task.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "shared/err.h"
#include "shared/proto/spec.h"

enum {
    RUN_ENV_MAX = 1024,
    RUN_GROUPS_MAX = 256,
    RUN_MOUNTS_MAX = 64,
};

struct run_options {
    struct exec_spec spec; /* borrows from argv and from the rest of this */
    char id[16];           /* of the only allocation there is */
    const char *isolation;
    const char *root;
    char *user;
    const char *seccomp;
    bool compress_after;  /* it was given */
    const char *for_logs; /* the last option given that means something with -log-dir only */
    size_t n_env;
    char *env[RUN_ENV_MAX + 2]; /* the large ones last, so that the rest is on one page */
    gid_t groups[RUN_GROUPS_MAX];
    struct spec_mount mounts[RUN_MOUNTS_MAX];
};

/* Fills `o`, which is all zero, from argv[1] on. The spec has no task_dir unless -root gives one.
 * 1: help was asked for and printed. */
int run_options_parse(struct run_options *o, int argc, char **argv, struct err *e);
