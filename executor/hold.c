/* SPDX-License-Identifier: MIT
 *
 * A cgroup v2 group has processes or hands controllers to its children, never both; an init system
 * puts a unit's first process into the unit's own group; and systemd removes that group once nobody
 * is in it. So one small process moves a level down and stays. Executors and tasks do not depend on
 * its life: when it is killed, they go on.
 *
 * Odd case: an executor that is just becoming another release may miss the signal, so it is sent
 * again.
 */
#include "executor/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/cgroupfs.h"
#include "shared/cleanup.h"
#include "shared/err.h"
#include "shared/notify.h"
#include "shared/proto/wire.h"

#define AGAIN_MS 1000

/* Where the v2 hierarchy is mounted, and this process's group in it. */
static int own_group(char path[PATH_MAX], struct err *e)
{
    autoclose FILE *mounts = fopen("/proc/self/mountinfo", "re");
    autoclose FILE *groups = fopen("/proc/self/cgroup", "re");
    char line[2 * PATH_MAX], point[PATH_MAX];
    bool mounted = false;

    while (mounts && !mounted && fgets(line, sizeof(line), mounts))
        mounted = strstr(line, " - cgroup2 ") && sscanf(line, "%*s %*s %*s %*s %4095s", point) == 1;
    while (mounted && groups && fgets(line, sizeof(line), groups)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::", 3) == 0 &&
            snprintf(path, PATH_MAX, "%s%s", point, line + 3) < PATH_MAX)
            return 0;
    }
    return err_set(e, -ENOENT,
                   "no cgroup v2 hierarchy is mounted; mount one: mount -t cgroup2 "
                   "none /sys/fs/cgroup");
}

static int make_group(int parent, const char *path, const char *name, int *ret_dir, struct err *e)
{
    if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
        return err_sys(e, -errno, "make the cgroup %s/%s", path, name);
    *ret_dir = openat(parent, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return *ret_dir < 0 ? err_sys(e, -errno, "open the cgroup %s/%s", path, name) : 0;
}

/* *ret_executors: the directory of the executors' group. */
static int settle(int *ret_executors, struct err *e)
{
    autofd int parent = -1, own = -1;
    char path[PATH_MAX];
    int r = own_group(path, e);

    if (r)
        return r;
    parent = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0)
        return err_sys(e, -errno, "open the cgroup %s", path);
    r = make_group(parent, path, "hold", &own, e);
    if (!r)
        r = make_group(parent, path, WIRE_EXECUTORS_GROUP, ret_executors, e);
    if (r)
        return r;
    r = cgroupfs_write(own, "cgroup.procs", "0");
    return r < 0 ? err_sys(e, r, "enter the cgroup %s/hold", path) : 0;
}

static void signal_all(int dir)
{
    autofd int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    autoclose FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
    int pid;

    if (!f)
        return;
    (void)take_fd(&fd);
    while (fscanf(f, "%d", &pid) == 1)
        (void)kill(pid, SIGPWR);
}

/* Reading the file is what makes poll(2) wait for the next change. */
static bool is_populated(int events)
{
    char text[128];
    ssize_t n = pread(events, text, sizeof(text) - 1, 0);

    text[n < 0 ? 0 : n] = '\0';
    return cgroupfs_value(text, "populated");
}

static void empty(int dir)
{
    autofd int events = openat(dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
    struct pollfd poller = {.fd = events, .events = POLLPRI};

    while (is_populated(events)) {
        signal_all(dir);
        (void)poll(&poller, 1, AGAIN_MS);
    }
}

int hold_main(void)
{
    autofd int executors = -1;
    struct err e = ERR_INIT;
    sigset_t term;
    int signo, r;

    (void)sigemptyset(&term);
    (void)sigaddset(&term, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &term, NULL);
    r = settle(&executors, &e);
    if (r) {
        (void)dprintf(STDERR_FILENO, "cleat-executor: %s\n", e.text);
        return WIRE_EXIT_STATE;
    }
    (void)notify_send(getenv("NOTIFY_SOCKET"), "READY=1");
    while (sigwait(&term, &signo))
        ;
    empty(executors);
    return 0;
}
