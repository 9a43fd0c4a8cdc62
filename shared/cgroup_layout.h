/* SPDX-License-Identifier: MIT
 *
 * This node's cgroups: <mount>/<parent>/<node id>/ in each hierarchy a task needs; without root, in
 * the v2 group this process was started in, if that was left to its user. Executors make
 * the leaves in it, `<alloc id>.<task>.<attempt>`; the manager only clears up what is left of dead
 * ones.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"
#include "shared/proto/spec.h"

struct cgroup_layout {
    struct spec_cgroup dirs;                     /* all NULL: no cgroups, `reason` says why */
    const char *version;                         /* "v2", "v1", "hybrid" or "" */
    char *reason;                                /* NULL where cgroups work */
    bool memory, cpu, pids, cpuset, io, devices; /* limits that can be kept here */
    char *cpus;      /* all CPUs there are, "0-3"; NULL without a cpuset controller */
    char *shared;    /* the cpuset of all that has no CPUs of its own: on v2 a group that takes the
                        place of dirs.unified for such tasks; on v1 the manager sits in it, and its
                        executors and their tasks by birth. NULL as `cpus` */
    size_t base_len; /* v2: of dirs.unified, up to which it is not ours */
    char *cpuset_root; /* v1: where the manager goes when it leaves `shared` */
};

/* Finds the hierarchies in /proc/self/mountinfo and makes our directories. Never fails: what is
 * missing is in `reason`. */
void cgroup_layout_init(struct cgroup_layout *layout, const char *parent, const char *node_id);

/* The same for a task without a manager: `dirs` are the hierarchies' own roots, with nothing made
 * in them, and there is no `shared`. */
void cgroup_layout_init_roots(struct cgroup_layout *layout);

void cgroup_layout_deinit(struct cgroup_layout *layout);

/* v2: what a leaf's memory.low keeps, it keeps only as far as the groups above it keep as much
 * (admin-guide/cgroup-v2.rst, "memory.low"). Sets that for our own groups: `shared` and, in
 * addition to it, `own` bytes are what the leaves in `shared` and beside it claim. No more than
 * they claim: the rest would go to all of them, whether they claim anything or not
 * (memory_recursiveprot). */
void cgroup_layout_protect(const struct cgroup_layout *layout, uint64_t shared, uint64_t own);

/* Says which CPUs the shared cpuset has. */
void cgroup_layout_share(const struct cgroup_layout *layout, const char *cpus);

/* Kills what runs in the leaves of a task and removes them. 0: nothing is left; -EAGAIN: some are
 * still dying, ask again in a moment; other negative errno: a leaf stays. */
int cgroup_layout_kill_task(const struct cgroup_layout *layout, const char *alloc_id,
                            const char *task);

/* Calls `keep` for every leaf, with its name; those it returns false for are killed and removed.
 * Returns as above. */
int cgroup_layout_reap(const struct cgroup_layout *layout,
                       bool (*keep)(void *arg, const char *leaf), void *arg);

/* Removes our directories where they are empty. */
void cgroup_layout_remove(const struct cgroup_layout *layout);
