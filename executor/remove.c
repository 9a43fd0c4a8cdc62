/* SPDX-License-Identifier: MIT
 *
 * For a manager whose user is not root: what tasks of further ids (spec.n_subids) have left behind
 * belongs to users that only a user namespace with these ids has power over. rm(1) does the work in
 * one, as its root.
 */
#include "executor/remove.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "executor/report.h"
#include "executor/rootless.h"
#include "shared/cleanup.h"
#include "shared/proto/exec.h"
#include "shared/sys.h"

enum {
    FIRST_DIR = 5,
};

__attribute__((noreturn)) static void become_rm(int report_fd, char **argv)
{
    static char *const start[] = {"rm", "-rf", "--one-file-system", "--"};
    unsigned char error;

    /* In the place of the arguments before the directories, of which there is one more. */
    memcpy(argv + FIRST_DIR - ARRAY_LEN(start), start, sizeof(start));
    if (recv(report_fd, &error, 1, 0) == 1 && error == 0)
        (void)execvp("rm", argv + FIRST_DIR - ARRAY_LEN(start));
    _exit(EXEC_EXIT_FAILED);
}

int remove_main(int argc, char **argv)
{
    struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    autofd int ours = -1, theirs = -1;
    struct exec_spec spec = {0};
    int status = 0, r;
    pid_t pid;

    if (argc <= FIRST_DIR)
        return EXEC_EXIT_FAILED;
    spec.subuid = (uint32_t)strtoul(argv[2], NULL, 10);
    spec.subgid = (uint32_t)strtoul(argv[3], NULL, 10);
    spec.n_subids = (uint32_t)strtoul(argv[4], NULL, 10);
    r = report_pair(&ours, &theirs);
    if (r < 0)
        return EXEC_EXIT_FAILED;
    pid = sys_clone3(&args);
    if (pid == 0)
        become_rm(theirs, argv);
    if (pid < 0)
        return EXEC_EXIT_FAILED;
    rootless_map(&spec, pid, ours);
    return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : EXEC_EXIT_FAILED;
}
