/* SPDX-License-Identifier: MIT
 *
 * Only starts it: the executor program joins the task (executor/run/exec.c), the API relays
 * (manager/api/exec.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manager/core.h"
#include "manager/task/spawn.h"
#include "shared/cleanup.h"
#include "shared/proto/exec.h"

enum {
    FDS = EXEC_CTL_FD + 1
};

/* Pipes for descriptors 0 to EXEC_CTL_FD; our ends do not block. 1 and 2 carry output. */
static int make_pipes(int theirs[FDS], int ours[FDS])
{
    for (int i = 0; i < FDS; i++) {
        bool output = i == 1 || i == 2;
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
            return -errno;
        theirs[i] = ends[output];
        ours[i] = ends[!output];
        if (fcntl(ours[i], F_SETFL, O_NONBLOCK) < 0)
            return -errno;
    }
    return 0;
}

static void close_all(int fds[FDS])
{
    for (int i = 0; i < FDS; i++)
        close_fd(&fds[i]);
}

/* The whole command line; NULL when memory is short. The caller frees the array, not the strings.
 */
static char **command_line(char *dir, bool tty, char *const *argv)
{
    char *head[] = {"cleat-executor", "exec", "-control", "-tty", NULL};
    char *const tail[] = {dir, "--"};
    size_t n_head = tty ? 4 : 3, n = 0;
    char **line;

    while (argv[n])
        n++;
    line = calloc(n_head + ARRAY_LEN(tail) + n + 1, sizeof(*line));
    if (!line)
        return NULL;
    memcpy(line, head, n_head * sizeof(*line));
    memcpy(line + n_head, tail, sizeof(tail));
    memcpy(line + n_head + ARRAY_LEN(tail), argv, n * sizeof(*line));
    return line;
}

int manager_exec(struct manager *m, const struct task *task, char *const *argv, bool tty,
                 struct task_exec *ret_exec, struct err *e)
{
    int theirs[FDS] = {-1, -1, -1, -1}, ours[FDS] = {-1, -1, -1, -1}, r;
    autofree char **line = NULL;
    char dir[PATH_MAX];

    if (task->status.state != TASK_STATE_RUNNING)
        return err_set(e, -ESRCH, "task \"%s\" is not running", task->def->name);
    store_task_dir(&m->store, task->alloc->id, task->def->name, dir, sizeof(dir));
    line = command_line(dir, tty, argv);
    r = line ? make_pipes(theirs, ours) : -ENOMEM;
    if (r)
        err_sys(e, r, "run a command in task \"%s\"", task->def->name);
    else
        r = spawn_executor(m->config->executor, line, NULL, theirs, FDS, e);
    close_all(theirs);
    if (r < 0) {
        close_all(ours);
        return r;
    }
    *ret_exec = (struct task_exec){
        .pidfd = r, .in = ours[0], .out = ours[1], .error = ours[2], .control = ours[EXEC_CTL_FD]};
    return 0;
}
