/* SPDX-License-Identifier: MIT
 *
 * The launch plan: everything one attempt needs between clone and exec, made and allocated before
 * the clone, and the table of stages that uses it up. From clone to exec there are only system
 * calls.
 *
 * A stage belongs to one or more sides:
 *   ROOT      in the first child (with a private pid namespace it becomes the stub init)
 *   JOIN      instead of ROOT, in a child that joins a running task (alloc exec)
 *   TASK      in the process that becomes the task (the first child itself, or the stub's child)
 * The walker, not the stage, records which one failed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "executor/isolation/cgroup.h"
#include "shared/err.h"
#include "shared/proto/spec.h"

enum stage_side {
    STAGE_ROOT = 1,
    STAGE_JOIN = 2,
    STAGE_TASK = 4
};

struct plan {
    const struct exec_spec *spec; /* borrowed */
    bool tmpfs_root; /* the root is a fresh tmpfs mounted on task_dir (standalone runs) */
    uint64_t caps;   /* bit N: capability N is kept */
    uid_t own_uid;   /* the executor's */
    gid_t own_gid;
    int null_fd;
    int stdin_fd, stdout_fd, stderr_fd; /* borrowed; stdin_fd is null_fd unless set */
    bool tty;                           /* stdin_fd is a terminal, to control the new session */
    int task_pidfd; /* JOIN: a process of the task, borrowed; -1: an attempt of its own */
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
    unsigned int sides;                       /* enum stage_side */
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

/* The namespaces (CLONE_NEW…) that a task of this spec is cloned into. */
unsigned int plan_namespaces(const struct exec_spec *spec);

/* Runs the stages of one side in order. Returns 0, or the negative errno of the stage at
 * *ret_stage. */
int plan_run(struct plan *plan, enum stage_side side, unsigned int *ret_stage,
             const char **ret_arg);

/* The likely mend when the named stage failed with `error`, or "": in the words of jobs or, where
 * there is no manager, of `cleat-executor run`. */
const char *plan_hint(const char *stage, int error, bool standalone);

/* True for failures that may pass by themselves, so that the restart policy applies. */
bool plan_may_pass(int error);
