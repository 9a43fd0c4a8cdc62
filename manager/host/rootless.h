/* SPDX-License-Identifier: MIT
 *
 * What a manager whose user is not root can do: looked into once, by trying.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "manager/bag.h"
#include "manager/config/config.h"
#include "shared/err.h"
#include "shared/proto/spec.h"

struct rootless {
    bool on;           /* the manager's user is not root */
    const char *user;  /* its name, or number */
    char *problem;     /* why tasks get no user namespace here, and the mend; NULL: they do */
    bool hosts_proc;   /* they see the host's /proc: none of their own may be mounted */
    uint32_t subuid;   /* the first range of /etc/subuid and of /etc/subgid … */
    uint32_t subgid;   /* … that are the user's … */
    uint32_t n_subids; /* … and how many ids both have; 0 also where newuidmap(1) is not there */
};

/* The first call starts an executor and waits for it: some milliseconds. */
const struct rootless *rootless_get(const struct config *config);

/* Whether a task may have that `user` ("": none named) and, with `isolated`, `userns`. -EINVAL with
 * the cause and the mend. */
int rootless_check(const struct rootless *rootless, const char *user, bool isolated, bool userns,
                   struct err *e);

enum {
    ROOTLESS_REMOVAL = 5, /* words before the directories */
};

/* The beginning of a command line that removes directories with all that tasks left in them. */
void rootless_removal(const struct config *config, char *ret_argv[ROOTLESS_REMOVAL]);

/* Fills in the ids of an isolated task: after rootless_check(). */
int rootless_plan(const struct rootless *rootless, const char *user, bool userns, struct bag *bag,
                  struct exec_spec *spec, struct err *e);
