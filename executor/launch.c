/* SPDX-License-Identifier: MIT
 *
 * After clone, the first child never returns from here. It shares nothing with the executor but
 * descriptors (no CLONE_VM): whatever it does to its memory is its own affair.
 */
#include "executor/launch.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "executor/isolation/rootless.h"
#include "executor/memory.h"
#include "executor/report.h"
#include "shared/cleanup.h"
#include "shared/sys.h"

enum {
    CHILD_FAILED = 127
};

__attribute__((noreturn)) static void child_fail(const struct plan *plan, unsigned int stage,
                                                 int error, const char *arg)
{
    struct report report = {.kind = REPORT_FAILED, .stage = stage, .value = error};

    (void)strncpy(report.arg, arg ? arg : "", sizeof(report.arg) - 1);
    report_send(plan->report_fd, &report);
    _exit(CHILD_FAILED);
}

__attribute__((noreturn)) static void become_task(struct plan *plan)
{
    unsigned int stage = 0;
    const char *arg = "";
    int r = plan_run(plan, STAGE_TASK, &stage, &arg);

    child_fail(plan, stage, r, arg); /* the last stage is the exec, so this is a failure */
}

enum {
    STUB_REPORT_FD = 3
};

/* What the stub init is there for, until its own end. */
__attribute__((noreturn)) static void reap(int task)
{
    struct report report = {.kind = REPORT_EXITED};
    pid_t pid;

    while ((pid = waitpid(-1, &report.value, 0)) != task)
        if (pid < 0 && errno != EINTR)
            _exit(CHILD_FAILED);
    report_send(STUB_REPORT_FD, &report);
    _exit(0);
}

/* The stub init. Its memory is a copy of the executor's, shared until written: it touches little.
 */
__attribute__((noreturn)) static void stub_init(struct plan *plan)
{
    int report_fd = plan->report_fd;
    pid_t task = vfork();

    if (task == 0)
        become_task(plan);
    if (task < 0) {
        struct report report = {.kind = REPORT_FAILED, .stage = n_stages, .value = -errno};

        report_send(report_fd, &report);
        _exit(CHILD_FAILED);
    }
    /* vfork(2) returned: the task has been executed or has failed and said so. It is not reaped
     * yet, so its pid cannot be another's. */
    report_send_started(report_fd, sys_pidfd_open(task, 0), task);
    (void)prctl(PR_SET_NAME, "cleat-init");
    /* Keep the report socket and nothing else: not the log pipes, whose end the pump waits for. */
    if (dup2(report_fd, STUB_REPORT_FD) < 0 || sys_close_range(STUB_REPORT_FD + 1, ~0U, 0) < 0 ||
        sys_close_range(0, STUB_REPORT_FD - 1, 0) < 0)
        _exit(CHILD_FAILED);
    memory_shed(reap, task);
}

__attribute__((noreturn)) static void first_child(struct plan *plan)
{
    bool joins = plan->task_pidfd >= 0;
    unsigned int stage = 0;
    const char *arg = "";
    int r;

    /* Else the socket never hangs up in here, and stage "parent-death" misses a dead executor. */
    close_fd(&plan->peer_fd);
    r = plan_run(plan, joins ? STAGE_JOIN : STAGE_ROOT, &stage, &arg);
    if (r < 0)
        child_fail(plan, stage, r, arg);
    if (plan->spec->private_pid && !joins)
        stub_init(plan);
    become_task(plan);
}

static int clone_child(struct plan *plan, int cgroup_fd, struct launched *out, struct err *e)
{
    struct clone_args args = {
        .flags = CLONE_PIDFD | (plan->task_pidfd < 0 ? plan_namespaces(plan->spec) : 0),
        .pidfd = (uint64_t)(uintptr_t)&out->pidfd,
        .exit_signal = SIGCHLD,
    };
    pid_t pid;

    if (cgroup_fd >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)cgroup_fd;
    }
    pid = sys_clone3(&args);
    if (pid < 0)
        return err_sys(e, -errno, "start a process");
    if (pid == 0)
        first_child(plan);
    out->pid = pid;
    return 0;
}

/* Clones the child that `plan` is for, and deinits `plan`. */
static int launch_plan(struct plan *plan, const struct cgroup *cgroup,
                       struct launched *ret_launched, const char **ret_stage, struct err *e)
{
    struct launched out = {.pidfd = -1, .report_fd = -1};
    int r = report_pair(&out.report_fd, &plan->report_fd);

    if (r < 0)
        err_sys(e, r, "make the report socket");
    plan->peer_fd = out.report_fd;
    if (!r) {
        *ret_stage = "cgroup";
        plan->n_joins = cgroup_open_joins(cgroup, plan->join_fds, e);
        r = plan->n_joins < 0 ? plan->n_joins : 0;
    }
    if (!r) {
        *ret_stage = "clone";
        r = clone_child(plan, cgroup_clone_fd(cgroup), &out, e);
    }
    if (!r && plan->task_pidfd < 0 && plan->spec->n_subids)
        rootless_map(plan->spec, out.pid, out.report_fd);
    plan_deinit(plan);
    if (r < 0) {
        close_fd(&out.report_fd);
        return r;
    }
    *ret_launched = out;
    return 0;
}

int launch(const struct exec_spec *spec, const struct cgroup *cgroup, bool tmpfs_root,
           const int fds[3], struct launched *ret_launched, const char **ret_stage, struct err *e)
{
    struct plan plan;
    int r;

    *ret_stage = "plan";
    r = plan_init(&plan, spec, e);
    if (r < 0)
        return r;
    plan.tmpfs_root = tmpfs_root;
    plan.stdin_fd = fds[0] >= 0 ? fds[0] : plan.null_fd;
    plan.stdout_fd = fds[1] >= 0 ? fds[1] : plan.null_fd;
    plan.stderr_fd = fds[2] >= 0 ? fds[2] : plan.null_fd;
    return launch_plan(&plan, cgroup, ret_launched, ret_stage, e);
}

int launch_beside(const struct exec_spec *spec, const struct cgroup *cgroup, int task_pidfd,
                  const int fds[3], bool tty, struct launched *ret_launched, const char **ret_stage,
                  struct err *e)
{
    struct plan plan;
    int first, r;

    *ret_stage = "plan";
    r = plan_init(&plan, spec, e);
    if (r < 0)
        return r;
    plan.task_pidfd = task_pidfd;
    plan.stdin_fd = fds[0];
    plan.stdout_fd = fds[1];
    plan.stderr_fd = fds[2];
    plan.tty = tty;
    first = (spec->private_pid ? CLONE_NEWPID : 0) | (spec->rootless ? CLONE_NEWUSER : 0);
    if (first && setns(task_pidfd, first) < 0) {
        *ret_stage = "namespaces";
        r = err_sys(e, -errno, "join the task's pid or user namespace");
        plan_deinit(&plan);
        return r;
    }
    return launch_plan(&plan, cgroup, ret_launched, ret_stage, e);
}
