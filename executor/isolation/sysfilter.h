/* SPDX-License-Identifier: MIT
 *
 * The default seccomp filter of a task. What it allows stands in
 * executor/isolation/sysfilter_gen.c, which writes it as a table when the project is built; at a
 * start it is only loaded.
 */
#pragma once

#include <linux/filter.h>
#include <stdint.h>

#include "executor/isolation/plan.h"

enum {
    /* Error numbers from here on, above any errno, are indices into sysfilter_conditions. */
    SYSFILTER_PLACEHOLDER = 3000,
    SYSFILTER_MAX = 512, /* instructions */
};

/* `caps`: a set; where the task keeps one of them the call is allowed, else fails with `error`. */
struct sysfilter_condition {
    uint64_t caps;
    int error;
};

/* Written by sysfilter_gen. */
extern const struct sock_filter sysfilter_program[];
extern const unsigned short sysfilter_program_length;
extern const struct sysfilter_condition sysfilter_conditions[];

/* Loads the filter for a process that keeps `caps`. The caller has set no_new_privs. 0 or a
 * negative errno: -EINVAL when the kernel has no seccomp filters. */
int sysfilter_load(uint64_t caps);

int sysfilter_stage(struct plan *plan, const char **ret_arg);
