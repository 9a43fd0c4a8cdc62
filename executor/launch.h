/* SPDX-License-Identifier: MIT
 *
 * Starts one attempt: clones the first child with the namespaces and cgroup the spec asks for and
 * lets it walk the stages. With a private pid namespace the first child becomes the stub init: it
 * forks the task, hands a pidfd of it to the executor, reaps orphans, reports the task's wait
 * status and exits, which makes the kernel kill whatever is left in the namespace.
 */
#pragma once

#include <sys/types.h>

#include "executor/isolation/cgroup.h"
#include "executor/isolation/plan.h"
#include "shared/err.h"

struct launched {
    pid_t pid;     /* of the first child */
    int pidfd;     /* of the first child; the caller closes it */
    int report_fd; /* the executor's end; the caller closes it */
};

/* `fds`, the task's standard input, output and error, are borrowed; -1 for /dev/null. On failure
 * nothing is left of the attempt but the cgroup, and *ret_stage names the stage ("plan", "cgroup"
 * or "clone"). Failures of later stages come over report_fd. */
int launch(const struct exec_spec *spec, const struct cgroup *cgroup, bool tmpfs_root,
           const int fds[3], struct launched *ret_launched, const char **ret_stage, struct err *e);

/* Starts `spec`'s command beside a running task: in the leaves of `cgroup` and in the namespaces of
 * the process `task_pidfd` is of. Joining the pid namespace, and a rootless task's user namespace,
 * is for good, so the caller's further children are in it too. `fds` are borrowed; with `tty`, they
 * are one terminal. No stub: the child is the command. */
int launch_beside(const struct exec_spec *spec, const struct cgroup *cgroup, int task_pidfd,
                  const int fds[3], bool tty, struct launched *ret_launched, const char **ret_stage,
                  struct err *e);
