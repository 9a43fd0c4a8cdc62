/* SPDX-License-Identifier: MIT
 *
 * posix_spawn(3) does not copy the manager's memory, however large that is.
 */
#include "manager/task/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/sys.h"

/* The manager itself may hold thousands of descriptors; tasks get the limit it was started with. */
static struct rlimit task_nofile;

void spawn_raise_limit(void)
{
    struct rlimit raised;

    (void)getrlimit(RLIMIT_NOFILE, &task_nofile);
    raised = task_nofile;
    raised.rlim_cur = raised.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &raised);
}

/* What keeps signals of the manager's terminal away from a new process. Where there is none, a
 * process group does: a session of its own would, under autogrouping (sched(7)), have the scheduler
 * choose twice for each executor that wakes; a line of a task took 5 % longer (measured). */
static short apart(void)
{
    int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);

    if (fd < 0)
        return POSIX_SPAWN_SETPGROUP;
    (void)close(fd);
    return POSIX_SPAWN_SETSID;
}

static int spawn(const char *program, char *const *argv, char *const *env, const int *fds, int n,
                 pid_t *ret_pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, ignored;
    int r;

    (void)sigemptyset(&none);
    (void)sigemptyset(&ignored);
    (void)sigaddset(&ignored, SIGPIPE);
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setsigdefault(&attr, &ignored);
    (void)posix_spawnattr_setflags(&attr, apart() | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    (void)posix_spawn_file_actions_init(&files);
    for (int fd = 0; fd < n; fd++)
        (void)posix_spawn_file_actions_adddup2(&files, fds[fd], fd);
    (void)posix_spawn_file_actions_addclosefrom_np(&files, n < 3 ? 3 : n);
    for (int fd = n; fd < 3; fd++)
        (void)posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
    r = -posix_spawn(ret_pid, program, &files, &attr, argv, env);
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attr);
    return r;
}

static int spawn_limited(const char *program, char *const *argv, char *const *env, const int *fds,
                         int n, pid_t *ret_pid)
{
    struct rlimit ours;
    int r;

    if (getrlimit(RLIMIT_NOFILE, &ours) < 0 || ours.rlim_cur == task_nofile.rlim_cur)
        return spawn(program, argv, env, fds, n, ret_pid);
    (void)setrlimit(RLIMIT_NOFILE, &task_nofile);
    r = spawn(program, argv, env, fds, n, ret_pid);
    (void)setrlimit(RLIMIT_NOFILE, &ours);
    return r;
}

int spawn_program(const char *program, char *const *argv, char *const *env, const int *fds, int n,
                  const char *what, struct err *e)
{
    char *const path_only[] = {SPAWN_PATH, NULL};
    pid_t pid;
    int pidfd, r = spawn_limited(program, argv, env ? env : path_only, fds, n, &pid);

    if (r)
        return err_sys(e, r, "start %s", what);
    pidfd = sys_pidfd_open(pid, 0); /* it is our child and unwaited: the pid is its own */
    if (pidfd >= 0)
        return pidfd;
    r = err_sys(e, -errno, "watch process %d, %s", pid, what);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    return r;
}

int spawn_executor(const char *program, char *const *argv, char *const *env, const int *fds, int n,
                   struct err *e)
{
    char what[PATH_MAX + 64];

    (void)snprintf(what, sizeof(what), "the executor %s (see the agent's option \"executor\")",
                   program);
    return spawn_program(program, argv, env, fds, n, what, e);
}
