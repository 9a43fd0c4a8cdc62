/* SPDX-License-Identifier: MIT
 *
 * The leaf cgroups of one attempt of one task, behind one interface on v2, v1 and hybrid hosts: a
 * directory per hierarchy that has something to do, all called `<alloc>.<task>.<attempt>`. Every
 * attempt gets new ones, because on recent kernels a group that was once killed by cgroup.kill
 * kills whatever is cloned into it later.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"
#include "shared/proto/spec.h"

enum cgroup_tree {
    CGROUP_UNIFIED,
    CGROUP_MEMORY, /* from here on: v1 */
    CGROUP_CPU,
    CGROUP_PIDS,
    CGROUP_CPUSET,
    CGROUP_IO,
    CGROUP_CPUACCT,
    CGROUP_DEVICES,
    CGROUP_FREEZER,
    CGROUP_TREE_N
};

struct cgroup {
    const struct spec_cgroup *parents; /* borrowed from the spec */
    char name[384];                    /* of the leaf */
    bool made[CGROUP_TREE_N];
    int dir_fd[CGROUP_TREE_N]; /* directories of the leaves, -1; controllers that are mounted
                                  together share the handle of the one that was `made` */
};

void cgroup_init(struct cgroup *cg);

/* Makes the leaves and writes the limits of `spec`. On failure nothing is left. -EROFS, -EACCES,
 * -ENOENT … with the path at fault in `e`; -EOPNOTSUPP when the host has nothing to keep a limit
 * with. */
int cgroup_create(struct cgroup *cg, const struct exec_spec *spec, uint32_t attempt, struct err *e);

/* Takes over the leaves of an attempt that exist. */
int cgroup_adopt(struct cgroup *cg, const struct exec_spec *spec, uint32_t attempt, struct err *e);

/* The unified leaf for CLONE_INTO_CGROUP, or -1. Borrowed. */
int cgroup_clone_fd(const struct cgroup *cg);

/* Opens cgroup.procs of every v1 leaf into `fds` (up to CGROUP_TREE_N), for the child to write "0"
 * to. Returns how many, or a negative errno with `e`. The caller closes them. */
int cgroup_open_joins(const struct cgroup *cg, int fds[CGROUP_TREE_N], struct err *e);

/* True when there is a leaf that can be used to kill. */
bool cgroup_usable(const struct cgroup *cg);

/* SIGKILLs every process in the leaf: cgroup.kill, else freeze, kill each, thaw. 0 or negative
 * errno. */
int cgroup_kill(const struct cgroup *cg);

/* Stops or continues every process in the leaf. -ENOENT: the host has no freezer; other negative
 * errno. */
int cgroup_freeze(const struct cgroup *cg, bool frozen);

/* The leaf that memory is accounted in, or -1. Borrowed. *ret_v2: which version it is. */
int cgroup_memory_fd(const struct cgroup *cg, bool *ret_v2);

/* How often the kernel's OOM killer struck in the leaf. Read after wait and before cgroup_remove(),
 * it is exact. 0 when unknown. */
uint64_t cgroup_oom_kills(const struct cgroup *cg);

/* Removes the leaves, with what the task made below them, and closes everything; idempotent. -EBUSY
 * while a process is left. */
int cgroup_remove(struct cgroup *cg);
