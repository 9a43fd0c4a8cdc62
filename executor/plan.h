/* SPDX-License-Identifier: MIT
 *
 * The launch plan: everything one attempt needs between clone and exec, made and allocated before
 * the clone, and the table of stages that uses it up. From clone to exec there are only system
 * calls.
 *
 * A stage belongs to a side:
 *   ROOT      in the first child (with a private pid namespace it becomes the stub init)
 *   TASK      in the process that becomes the task (the first child itself, or the stub's child)
 * The walker, not the stage, records which one failed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "executor/cgroup.h"
#include "shared/err.h"
#include "shared/proto/spec.h"

enum stage_side {
    STAGE_ROOT,
    STAGE_TASK
};

struct plan {
    const struct exec_spec *spec; /* borrowed */
    bool tmpfs_root; /* the root is a fresh tmpfs mounted on task_dir (standalone runs) */
    uint64_t caps;   /* bit N: capability N is kept */
    int null_fd;
    int stdout_fd, stderr_fd; /* borrowed */
    int join_fds[CGROUP_TREE_N];
    int n_joins;
    int report_fd;    /* the child's end */
    int peer_fd;      /* the executor's end: the child inherits it and closes it first of all */
    int *volume_fds;  /* ROOT: the spec's mounts, opened */
    int root_fd;      /* ROOT: the new root while it is built */
    const char *path; /* TASK: the file that was found, for messages */
    char found[4096];
};

struct stage {
    const char *name;
    enum stage_side side;
    bool (*applies)(const struct plan *plan); /* NULL: always */
    /* 0 or a negative errno; *ret_arg may be set to what was being worked on. */
    int (*run)(struct plan *plan, const char **ret_arg);
};

extern const struct stage stages[];
extern const unsigned int n_stages;

/* Fills a plan from the spec: opens, resolves and allocates. -EINVAL for names the kernel does not
 * know. */
int plan_init(struct plan *plan, const struct exec_spec *spec, struct err *e);

/* Closes what the executor no longer needs once the child runs (its copies live on in the child).
 */
void plan_deinit(struct plan *plan);

/* Runs the stages of one side in order. Returns 0, or the negative errno of the stage at
 * *ret_stage. */
int plan_run(struct plan *plan, enum stage_side side, unsigned int *ret_stage,
             const char **ret_arg);

/* The likely mend when the named stage failed with `error`, or "". */
const char *plan_hint(const char *stage, int error);

/* True for failures that may pass by themselves, so that the restart policy applies. */
bool plan_may_pass(int error);
