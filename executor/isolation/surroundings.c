/* SPDX-License-Identifier: MIT
 *
 * Small stages, each a system call or two.
 */
#include "executor/isolation/surroundings.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared/cleanup.h"

/* Always set: a task must not inherit the protection an init system gives the manager. */
int surroundings_stage_oom_score(struct plan *plan, const char **ret_arg)
{
    autofd int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
    char now[8] = "", want[8];

    *ret_arg = "/proc/self/oom_score_adj";
    if (fd < 0 || read(fd, now, sizeof(now) - 1) < 0)
        return -errno;
    (void)snprintf(want, sizeof(want), "%d\n", plan->spec->oom_score_adj);
    if (strcmp(now, want) == 0)
        return 0;
    close_fd(&fd);
    fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, want, strlen(want)) > 0)
        return 0;
    /* Only root may lower it below what an init system gave the manager, and only a process that
     * others may look into may raise its own: the task is killed the sooner then, and a command
     * beside it as the manager would be. */
    return errno == EACCES && plan->own_uid != 0 ? 0 : -errno;
}

int surroundings_stage_cgroup_namespace(struct plan *plan, const char **ret_arg)
{
    (void)plan;
    (void)ret_arg;
    return unshare(CLONE_NEWCGROUP) < 0 ? -errno : 0;
}

int surroundings_stage_network(struct plan *plan, const char **ret_arg)
{
    autofd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};

    (void)plan;
    *ret_arg = "lo";
    return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0 ? -errno : 0;
}

int surroundings_stage_hostname(struct plan *plan, const char **ret_arg)
{
    const char *name = plan->spec->hostname;

    *ret_arg = name;
    return sethostname(name, strlen(name)) < 0 ? -errno : 0;
}

/* Indexed by RLIMIT_*; the names of ulimit in a job. */
static const char *const limit_names[RLIM_NLIMITS] = {
    [RLIMIT_AS] = "as",
    [RLIMIT_CORE] = "core",
    [RLIMIT_CPU] = "cpu",
    [RLIMIT_DATA] = "data",
    [RLIMIT_FSIZE] = "fsize",
    [RLIMIT_LOCKS] = "locks",
    [RLIMIT_MEMLOCK] = "memlock",
    [RLIMIT_MSGQUEUE] = "msgqueue",
    [RLIMIT_NICE] = "nice",
    [RLIMIT_NOFILE] = "nofile",
    [RLIMIT_NPROC] = "nproc",
    [RLIMIT_RSS] = "rss",
    [RLIMIT_RTPRIO] = "rtprio",
    [RLIMIT_RTTIME] = "rttime",
    [RLIMIT_SIGPENDING] = "sigpending",
    [RLIMIT_STACK] = "stack",
};

/* A session keyring of its own: the keys of the session the manager was started from stay there. */
int surroundings_stage_keyring(struct plan *plan, const char **ret_arg)
{
    (void)plan;
    (void)ret_arg;
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
        return -errno;
    return 0;
}

int surroundings_stage_limits(struct plan *plan, const char **ret_arg)
{
    for (size_t i = 0; i < plan->spec->n_rlimits; i++) {
        const struct spec_rlimit *limit = &plan->spec->rlimits[i];
        struct rlimit value = {limit->soft, limit->hard};

        *ret_arg = limit_names[limit->resource];
        if (setrlimit((__rlimit_resource_t)limit->resource, &value) < 0)
            return -errno;
    }
    return 0;
}

int surroundings_stage_nice(struct plan *plan, const char **ret_arg)
{
    (void)ret_arg;
    return setpriority(PRIO_PROCESS, 0, plan->spec->nice) < 0 ? -errno : 0;
}

int surroundings_stage_stdin(struct plan *plan, const char **ret_arg)
{
    /* Not blocking, so that a FIFO without a writer does not hold up the start. */
    autofd int fd = open(plan->spec->stdin_path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

    *ret_arg = plan->spec->stdin_path;
    return fd < 0 || fcntl(fd, F_SETFL, 0) < 0 || dup2(fd, STDIN_FILENO) < 0 ? -errno : 0;
}
