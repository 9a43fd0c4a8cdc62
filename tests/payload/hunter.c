/* SPDX-License-Identifier: MIT
 *
 * cleat-hunter: run as a task, lies in wait for processes that join it, and tries to get hold of
 * them before they have become what they are to be: to trace them, and to reach the program they
 * run and what they have open. Prints "saw" for each joining process that it was in time for, and a
 * line for everything that worked on one. Never ends.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_in_proc(pid_t pid, const char *name, int flags)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    return open(path, flags | O_CLOEXEC);
}

static bool is_joining(pid_t pid)
{
    char name[32] = "";
    int fd = open_in_proc(pid, "comm", O_RDONLY);
    bool joining = fd >= 0 && read(fd, name, sizeof(name) - 1) > 0 && !strcmp(name, "cleat-exec\n");

    if (fd >= 0)
        close(fd);
    return joining;
}

/* What worked counts only if it still is a joining process afterwards. */
static void attempt(pid_t pid, const char *what, int fd)
{
    if (fd < 0)
        return;
    if (is_joining(pid))
        dprintf(STDOUT_FILENO, "reached %s\n", what);
    close(fd);
}

static void hunt(pid_t pid)
{
    if (!is_joining(pid))
        return;
    dprintf(STDOUT_FILENO, "saw\n");
    attempt(pid, "exe", open_in_proc(pid, "exe", O_RDONLY));
    for (int fd = 0; fd < 16; fd++) {
        char name[16];

        snprintf(name, sizeof(name), "fd/%d", fd);
        attempt(pid, name, open_in_proc(pid, name, O_RDONLY | O_NONBLOCK));
    }
    attempt(pid, "root", open_in_proc(pid, "root", O_RDONLY));
    attempt(pid, "cwd", open_in_proc(pid, "cwd", O_RDONLY));
    attempt(pid, "mem", open_in_proc(pid, "mem", O_RDWR));
    attempt(pid, "environ", open_in_proc(pid, "environ", O_RDONLY));
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
        return;
    if (is_joining(pid))
        dprintf(STDOUT_FILENO, "traced\n");
    if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0 && waitpid(pid, NULL, __WALL) == pid)
        ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

int main(void)
{
    struct dirent *entry;
    DIR *proc = opendir("/proc");

    if (!proc)
        return 1;
    dprintf(STDOUT_FILENO, "hunting\n");
    for (;; rewinddir(proc))
        while ((entry = readdir(proc)))
            if (atoi(entry->d_name) > 1 && atoi(entry->d_name) != getpid())
                hunt((pid_t)atoi(entry->d_name));
}
