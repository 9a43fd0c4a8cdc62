/* SPDX-License-Identifier: MIT
 *
 * The pidfd is opened before the environment is read: if that is the one looked for, the process is
 * the one the signal goes to.
 */
#include "manager/host/strays.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/sys.h"

enum {
    ENVIRONMENT_MAX = 256 << 10,
};

static bool has_variable(const char *env, size_t size, const char *name, const char *value)
{
    size_t n = strlen(name), k = strlen(value);

    for (const char *p = env, *end; p < env + size; p = end + 1) {
        end = memchr(p, '\0', (size_t)(env + size - p));
        if (!end)
            return false;
        if ((size_t)(end - p) == n + 1 + k && memcmp(p, name, n) == 0 && p[n] == '=' &&
            memcmp(p + n + 1, value, k) == 0)
            return true;
    }
    return false;
}

static size_t read_environment(const char *pid, char *buf, size_t size)
{
    char path[32];
    autofd int fd = -1;
    size_t n = 0;
    ssize_t got;

    (void)snprintf(path, sizeof(path), "/proc/%.12s/environ", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && n < size && (got = read(fd, buf + n, size - n)) > 0)
        n += (size_t)got;
    return n;
}

/* True when it was one, and the signal could be sent. */
static bool kill_if_stray(const char *pid, char *buf, const char *alloc_id, const char *task)
{
    autofd int pidfd = sys_pidfd_open((pid_t)strtol(pid, NULL, 10), 0);
    size_t n = pidfd < 0 ? 0 : read_environment(pid, buf, ENVIRONMENT_MAX);

    return has_variable(buf, n, "NOMAD_ALLOC_ID", alloc_id) &&
           (!task || has_variable(buf, n, "NOMAD_TASK_NAME", task)) &&
           sys_pidfd_send_signal(pidfd, SIGKILL) == 0;
}

int strays_kill(const char *alloc_id, const char *task)
{
    autodir DIR *proc = opendir("/proc");
    autofree char *buf = malloc(ENVIRONMENT_MAX);
    struct dirent *entry;
    int r = 0;

    while (proc && buf && (entry = readdir(proc)))
        if (isdigit((unsigned char)entry->d_name[0]) &&
            kill_if_stray(entry->d_name, buf, alloc_id, task))
            r = -EAGAIN;
    return r;
}
