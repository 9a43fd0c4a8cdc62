/* SPDX-License-Identifier: MIT
 *
 * The stage table, its walker, and the stages too small for a file of their own.
 *
 * Descriptors of the plan are CLOEXEC and inherited over the clone; stage "stdio" puts three of
 * them at 0, 1, 2 and execve(2) closes the rest.
 */
#include "executor/isolation/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "executor/isolation/privileges.h"
#include "executor/isolation/root.h"
#include "executor/isolation/rootless.h"
#include "executor/isolation/surroundings.h"
#include "executor/isolation/sysfilter.h"
#include "executor/isolation/userns.h"
#include "shared/cleanup.h"

static bool has_joins(const struct plan *plan)
{
    return plan->n_joins > 0;
}

static bool is_chroot(const struct plan *plan)
{
    return plan->spec->isolation == SPEC_ISOLATION_CHROOT;
}

static bool is_rootless(const struct plan *plan)
{
    return plan->spec->rootless;
}

static bool is_chroot_with_shared(const struct plan *plan)
{
    return is_chroot(plan) && plan->spec->shared_dir;
}

static bool has_own_cgroup_root(const struct plan *plan)
{
    return plan->spec->private_cgroup;
}

static bool has_own_network(const struct plan *plan)
{
    return plan->spec->private_net;
}

static bool has_volumes(const struct plan *plan)
{
    return is_chroot(plan) && plan->spec->n_mounts > 0;
}

static bool has_hostname(const struct plan *plan)
{
    return plan->spec->hostname;
}

static bool has_own_users(const struct plan *plan)
{
    return plan->spec->userns_size > 0;
}

static bool has_limits(const struct plan *plan)
{
    return plan->spec->n_rlimits > 0;
}

static bool is_nice(const struct plan *plan)
{
    return plan->spec->nice != 0;
}

static bool has_stdin(const struct plan *plan)
{
    return plan->spec->stdin_path && plan->task_pidfd < 0;
}

static bool sets_user(const struct plan *plan)
{
    return plan->spec->set_user;
}

static bool sets_caps(const struct plan *plan)
{
    return plan->spec->caps;
}

static bool has_tty(const struct plan *plan)
{
    return plan->tty;
}

static bool sets_no_new_privs(const struct plan *plan)
{
    return plan->spec->no_new_privs;
}

static bool sets_seccomp(const struct plan *plan)
{
    return plan->spec->seccomp;
}

static int stage_cgroup(struct plan *plan, const char **ret_arg)
{
    for (int i = 0; i < plan->n_joins; i++) {
        *ret_arg = "cgroup.procs";
        if (write(plan->join_fds[i], "0", 1) < 0)
            return -errno;
    }
    return 0;
}

/* Dies with whoever forked it. The death may have come before the prctl: then the peer is gone. */
static int stage_parent_death(struct plan *plan, const char **ret_arg)
{
    struct pollfd peer = {.fd = plan->report_fd};

    (void)ret_arg;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return -errno;
    if (poll(&peer, 1, 0) > 0 && (peer.revents & POLLHUP))
        return -ESRCH;
    return 0;
}

static int stage_session(struct plan *plan, const char **ret_arg)
{
    (void)plan;
    (void)ret_arg;
    (void)umask(022);
    return setsid() < 0 ? -errno : 0;
}

static int stage_no_new_privs(struct plan *plan, const char **ret_arg)
{
    (void)plan;
    (void)ret_arg;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* The pid namespace is joined before the clone: that takes hold of children only; and without root
 * the user namespace that owns it. */
static int stage_namespaces(struct plan *plan, const char **ret_arg)
{
    int flags = (int)plan_namespaces(plan->spec) & ~(CLONE_NEWPID | CLONE_NEWUSER);

    (void)ret_arg;
    if (plan->spec->private_cgroup)
        flags |= CLONE_NEWCGROUP;
    return flags && setns(plan->task_pidfd, flags) < 0 ? -errno : 0;
}

static int stage_terminal(struct plan *plan, const char **ret_arg)
{
    (void)plan;
    (void)ret_arg;
    return ioctl(0, TIOCSCTTY, 0) < 0 ? -errno : 0;
}

/* Other processes of the task, which have the same ids by now, may neither trace this one nor look
 * at its descriptors. A change of ids resets it; execve(2) ends it. */
static int stage_not_dumpable(struct plan *plan, const char **ret_arg)
{
    (void)plan;
    (void)ret_arg;
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

static int stage_work_dir(struct plan *plan, const char **ret_arg)
{
    const char *dir = plan->spec->work_dir;

    if (!dir)
        dir = is_chroot(plan) ? "/" : plan->spec->task_dir;
    *ret_arg = dir;
    return chdir(dir) < 0 ? -errno : 0;
}

static int stage_stdio(struct plan *plan, const char **ret_arg)
{
    (void)ret_arg;
    if (dup2(plan->stdin_fd, 0) < 0 || dup2(plan->stdout_fd, 1) < 0 || dup2(plan->stderr_fd, 2) < 0)
        return -errno;
    return 0;
}

/* Where a command may be, in this order (Nomad's look-up): beneath local/ and the root as written,
 * then, for a bare name, in the usual directories. */
static const char *const look_in[] = {"/local/", "/", "/usr/local/bin/", "/usr/bin/", "/bin/"};
enum {
    LOOK_IN_FOR_PATHS = 2
};

/* Whether making `path` executable is a service to the task and not a change of the host: under
 * chroot isolation the host's files are read-only anyway. */
static bool is_the_tasks(const struct plan *plan, const char *path)
{
    size_t n = strlen(plan->spec->task_dir);

    return is_chroot(plan) || (strncmp(path, plan->spec->task_dir, n) == 0 && path[n] == '/');
}

/* Runs `path` if it is there. Returns only on failure; -ENOENT means look on. */
static int try_exec(struct plan *plan, const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return errno == ENOTDIR ? -ENOENT : -errno;
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? -EISDIR : -EACCES;
    plan->path = path;
    if ((st.st_mode & 0555) != 0555 && is_the_tasks(plan, path))
        (void)chmod(path, (st.st_mode & 07777) | 0555); /* refused on read-only binds: exec tells */
    execve(path, plan->spec->args, plan->spec->env);
    /* The file is there, so what is missing is its interpreter. */
    return errno == ENOENT ? -ELIBBAD : -errno;
}

static int stage_exec(struct plan *plan, const char **ret_arg)
{
    const char *command = plan->spec->args[0];
    size_t n = strchr(command, '/') ? LOOK_IN_FOR_PATHS : ARRAY_LEN(look_in);
    int r = -ENOENT;

    *ret_arg = command;
    if (!is_chroot(plan))
        return try_exec(plan, command);
    for (size_t i = 0; i < n && (r == -ENOENT || r == -EISDIR); i++) {
        (void)snprintf(plan->found, sizeof(plan->found), "%s%s", look_in[i],
                       command + strspn(command, "/"));
        r = try_exec(plan, plan->found);
    }
    if (plan->path)
        *ret_arg = plan->path;
    return r;
}

/* The ROOT side runs with the executor's own ids; what the task may not have is given up on the
 * TASK side, right before the exec. The parent-death signal is set there again because a change of
 * ids clears it (prctl(2)). */
const struct stage stages[] = {
    {"user-ids", STAGE_ROOT, is_rootless, rootless_stage_ids},
    {"cgroup", STAGE_ROOT | STAGE_JOIN, has_joins, stage_cgroup},
    {"parent-death", STAGE_ROOT | STAGE_JOIN, NULL, stage_parent_death},
    {"oom-score", STAGE_ROOT | STAGE_JOIN, NULL, surroundings_stage_oom_score},
    {"namespaces", STAGE_JOIN, NULL, stage_namespaces},
    {"cgroup-namespace", STAGE_ROOT, has_own_cgroup_root, surroundings_stage_cgroup_namespace},
    {"network", STAGE_ROOT, has_own_network, surroundings_stage_network},
    {"hostname", STAGE_ROOT, has_hostname, surroundings_stage_hostname},
    {"open-volumes", STAGE_ROOT, has_volumes, root_stage_open_volumes},
    {"private-mounts", STAGE_ROOT, is_chroot, root_stage_private},
    {"root", STAGE_ROOT, is_chroot, root_stage_base},
    {"binds", STAGE_ROOT, is_chroot, root_stage_binds},
    {"alloc", STAGE_ROOT, is_chroot_with_shared, root_stage_shared},
    {"dev", STAGE_ROOT, is_chroot, root_stage_dev},
    {"proc", STAGE_ROOT, is_chroot, root_stage_proc},
    {"sys", STAGE_ROOT, is_chroot, root_stage_sys},
    {"volumes", STAGE_ROOT, has_volumes, root_stage_volumes},
    {"pivot", STAGE_ROOT, is_chroot, root_stage_pivot},
    {"session", STAGE_TASK, NULL, stage_session},
    {"stdio", STAGE_TASK, NULL, stage_stdio},
    {"terminal", STAGE_TASK, has_tty, stage_terminal},
    {"keyring", STAGE_TASK, is_chroot, surroundings_stage_keyring},
    {"limits", STAGE_TASK, has_limits, surroundings_stage_limits},
    {"nice", STAGE_TASK, is_nice, surroundings_stage_nice},
    {"user-namespace", STAGE_TASK, has_own_users, userns_stage},
    {"bounding-set", STAGE_TASK, sets_caps, privileges_stage_caps_bound},
    {"user", STAGE_TASK, sets_user, privileges_stage_user},
    {"not-dumpable", STAGE_TASK, NULL, stage_not_dumpable},
    {"capabilities", STAGE_TASK, sets_caps, privileges_stage_caps},
    {"no-new-privs", STAGE_TASK, sets_no_new_privs, stage_no_new_privs},
    {"work-dir", STAGE_TASK, NULL, stage_work_dir},
    {"stdin", STAGE_TASK, has_stdin, surroundings_stage_stdin},
    {"death-with-parent", STAGE_TASK, NULL, stage_parent_death},
    {"seccomp", STAGE_TASK, sets_seccomp, sysfilter_stage},
    {"exec", STAGE_TASK, NULL, stage_exec},
};
const unsigned int n_stages = ARRAY_LEN(stages);

int plan_run(struct plan *plan, enum stage_side side, unsigned int *ret_stage, const char **ret_arg)
{
    for (unsigned int i = 0; i < n_stages; i++) {
        const struct stage *s = &stages[i];
        int r;

        if (!(s->sides & side) || (s->applies && !s->applies(plan)))
            continue;
        *ret_arg = "";
        r = s->run(plan, ret_arg);
        if (r < 0) {
            *ret_stage = i;
            return r;
        }
    }
    return 0;
}

int plan_init(struct plan *plan, const struct exec_spec *spec, struct err *e)
{
    int r;

    *plan = (struct plan){.spec = spec,
                          .own_uid = geteuid(),
                          .own_gid = getegid(),
                          .null_fd = -1,
                          .stdin_fd = -1,
                          .stdout_fd = -1,
                          .stderr_fd = -1,
                          .task_pidfd = -1,
                          .report_fd = -1,
                          .root_fd = -1};
    r = privileges_resolve(plan, e);
    if (r < 0)
        return r;
    plan->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (plan->null_fd < 0)
        return err_sys(e, -errno, "open /dev/null");
    plan->stdin_fd = plan->null_fd;
    if (!spec->n_mounts)
        return 0;
    plan->volume_fds = calloc(spec->n_mounts, sizeof(*plan->volume_fds));
    if (plan->volume_fds)
        return 0;
    plan_deinit(plan);
    return err_sys(e, -ENOMEM, "plan the mounts");
}

unsigned int plan_namespaces(const struct exec_spec *spec)
{
    unsigned int flags = 0;

    if (spec->isolation == SPEC_ISOLATION_CHROOT)
        flags |= CLONE_NEWNS;
    if (spec->rootless)
        flags |= CLONE_NEWUSER;
    if (spec->private_pid)
        flags |= CLONE_NEWPID;
    if (spec->private_ipc)
        flags |= CLONE_NEWIPC;
    if (spec->private_uts)
        flags |= CLONE_NEWUTS;
    if (spec->private_net)
        flags |= CLONE_NEWNET;
    return flags;
}

void plan_deinit(struct plan *plan)
{
    free(plan->volume_fds);
    close_fd(&plan->null_fd);
    close_fd(&plan->report_fd);
    while (plan->n_joins > 0)
        close_fd(&plan->join_fds[--plan->n_joins]);
}

struct hint {
    const char *stage; /* NULL: any */
    int error;
    const char *text;  /* an event has room for about 120 characters of it */
    const char *alone; /* instead, under `cleat-executor run`; NULL: the same */
};

/* AppArmor lets a namespace be made, and then allows nothing in it. */
#define POLICY                                                                                     \
    "forbidden by policy: see kernel.apparmor_restrict_unprivileged_userns, or give "              \
    "cleat-executor a profile with \"userns,\""

static const struct hint hints[] = {
    {"exec", -ENOENT,
     "no such file where the task looks: arguments go into args, the root has what chroot_env "
     "names",
     "no such file where the task looks: with -isolation exec, in its own root"},
    {"exec", -ENOEXEC, "a text file without an interpreter: begin it with a line such as #!/bin/sh",
     NULL},
    {"exec", -ELIBBAD, "the interpreter it names (#! line or ELF loader) is not in the task's root",
     NULL},
    {"exec", -EACCES, "it is no executable file, or its mount is noexec", NULL},
    {"exec", -EISDIR, "it is a directory; name the program in it", NULL},
    {"exec", -E2BIG, "arguments and environment together are too large", NULL},
    {"cgroup", -EACCES, "only root may make one here; others name a group that was left to them",
     "only root may make one here; others give -cgroup DIR, one that was left to them"},
    {"dev", -ENODEV, "it is no device; see the job's devices", NULL},
    {"open-volumes", -ENOENT, "make it again, or mend host_volume in the agent's configuration",
     "make it, or mend -mount"},
    {"volumes", -EROFS, "make the mount point in the read-only directory first, or choose another",
     NULL},
    {"work-dir", -ENOENT, "make the directory, or mend work_dir",
     "make the directory, or mend -work-dir"},
    {"work-dir", -EACCES, "the task's user may not enter it", NULL},
    {"limits", -EPERM,
     "above the manager's hard limit: lower it in the job's ulimit, or raise LimitNOFILE= or its "
     "like in the manager's unit",
     NULL},
    {"nice", -EACCES, "only root can raise a priority", NULL},
    {"stdin", -ENOENT, "the file of stdin must be there when the task starts", NULL},
    {"user-namespace", -ENOSPC, "too many user namespaces: see user.max_user_namespaces in sysctl",
     NULL},
    {"user-namespace", -EPERM, "this kernel, or the policy of this host, allows none", NULL},
    {"user-ids", -ENOENT, "install newuidmap and newgidmap (package uidmap)", NULL},
    {"user-ids", -ERANGE,
     "the ranges of /etc/subuid and /etc/subgid are not what they were when the manager started",
     NULL},
    {"user-ids", -EPERM, POLICY, NULL},
    {"user-ids", -EACCES, POLICY, NULL},
    {"user", -EPERM, "only root can run a task as another user", NULL},
    {"clone", -EPERM,
     "no user namespaces for users here: see kernel.unprivileged_userns_clone; or use raw_exec, "
     "or run the manager as root",
     "no user namespaces for users here: see kernel.unprivileged_userns_clone; or use -isolation "
     "none, or be root"},
    {"clone", -ENOSPC,
     "too many namespaces: see user.max_user_namespaces, user.max_pid_namespaces and their like",
     NULL},
    {"clone", -EAGAIN, "too many processes: see pids.max of the manager's cgroup and RLIMIT_NPROC",
     "too many processes: see pids.max of its cgroup and RLIMIT_NPROC"},
    {"seccomp", -EINVAL, "this kernel is built without CONFIG_SECCOMP_FILTER", NULL},
    {NULL, -ELOOP,
     "a symbolic link lies where a mount point should be; remove it from the task's directory",
     "a symbolic link lies where a mount point should be; remove it from the root"},
    {NULL, -EPERM, "the manager needs to be root with all capabilities for this",
     "this needs root with all capabilities"},
    {NULL, -ENOSYS, "this kernel is too old: 5.15 or newer is needed", NULL},
};

const char *plan_hint(const char *stage, int error, bool standalone)
{
    for (size_t i = 0; i < ARRAY_LEN(hints); i++) {
        const struct hint *h = &hints[i];

        if (h->error == error && (!h->stage || strcmp(h->stage, stage) == 0))
            return standalone && h->alone ? h->alone : h->text;
    }
    return "";
}

bool plan_may_pass(int error)
{
    switch (-error) {
    case EAGAIN:
    case EBUSY:
    case EINTR:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOSPC:
    case ETXTBSY:
        return true;
    default:
        return false;
    }
}
