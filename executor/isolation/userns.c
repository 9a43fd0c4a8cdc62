/* SPDX-License-Identifier: MIT
 *
 * A process inside the new namespace may not map a range of ids; one outside that has CAP_SETUID
 * may. So a helper is forked that stays outside, waits for the word that the namespace is there,
 * and writes the maps. Raw calls: in a vforked child the memory belongs to the stub init.
 */
#include "executor/isolation/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/cleanup.h"

static int write_map(pid_t pid, const char *file, const struct exec_spec *spec)
{
    char path[48], line[48];
    int n = snprintf(line, sizeof(line), "0 %u %u\n", spec->userns_base, spec->userns_size);
    int fd, r;

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    r = write(fd, line, (size_t)n) < 0 ? -errno : 0;
    (void)close(fd);
    return r;
}

/* Exits with the error, 0 for none. */
__attribute__((noreturn)) static void helper(int ready_fd, pid_t task, const struct exec_spec *spec)
{
    char byte;
    int r = -ECANCELED; /* the task failed to make the namespace and says so itself */

    if (read(ready_fd, &byte, 1) == 1)
        r = write_map(task, "uid_map", spec);
    if (!r)
        r = write_map(task, "gid_map", spec);
    _exit(-r);
}

static int make(struct plan *plan, const char **ret_arg)
{
    pid_t task = (pid_t)syscall(SYS_getpid), pid;
    autofd int ready_fd = -1, word_fd = -1;
    int fds[2], status, r = 0;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    ready_fd = fds[0];
    word_fd = fds[1];
    pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        (void)close(word_fd);
        helper(ready_fd, task, plan->spec);
    }
    if (unshare(CLONE_NEWUSER) < 0 || write(word_fd, "x", 1) < 0)
        r = -errno;
    close_fd(&word_fd);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    if (r)
        return r;
    *ret_arg = "uid_map";
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

int userns_stage(struct plan *plan, const char **ret_arg)
{
    if (plan->task_pidfd >= 0)
        return setns(plan->task_pidfd, CLONE_NEWUSER) < 0 ? -errno : 0;
    return make(plan, ret_arg);
}
