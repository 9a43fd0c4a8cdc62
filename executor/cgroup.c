/* SPDX-License-Identifier: MIT
 *
 * v2 (cgroups(7), kernel Documentation/admin-guide/cgroup-v2.rst): one tree carries limits and is
 * killed through cgroup.kill. Hybrid: the v2 tree has no controllers, it is used to enter and to
 * kill; the v1 trees carry the limits. Pure v1: the freezer makes killing complete.
 *
 * Removal may be refused (-EBUSY) for a moment after a kill; the caller waits for population to
 * fall.
 */
#include "executor/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"

static const char *tree_parent(const struct cgroup *cg, enum cgroup_tree tree)
{
    switch (tree) {
    case CGROUP_UNIFIED:
        return cg->parents->unified;
    case CGROUP_MEMORY:
        return cg->parents->memory;
    case CGROUP_CPU:
        return cg->parents->cpu;
    case CGROUP_FREEZER:
        return cg->parents->freezer;
    default:
        return NULL;
    }
}

void cgroup_init(struct cgroup *cg)
{
    *cg = (struct cgroup){0};
    for (int t = 0; t < CGROUP_TREE_N; t++)
        cg->dir_fd[t] = -1;
}

static int write_file(int dirfd, const char *file, const char *text)
{
    autofd int fd = openat(dirfd, file, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static ssize_t read_file(int dirfd, const char *file, char *buf, size_t size)
{
    autofd int fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = read(fd, buf, size - 1);
    if (n < 0)
        return -errno;
    buf[n] = '\0';
    return n;
}

static int write_number(const struct cgroup *cg, enum cgroup_tree tree, const char *file,
                        uint64_t number, struct err *e)
{
    char text[24];
    int r;

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    r = write_file(cg->dir_fd[tree], file, text);
    if (r < 0)
        return err_sys(e, r, "write %s to %s/%s/%s", text, tree_parent(cg, tree), cg->name, file);
    return 0;
}

/* Opens the leaf in one tree, after making it if `make`. A leaf that does not exist is left out
 * then. */
static int open_leaf(struct cgroup *cg, enum cgroup_tree tree, bool make, struct err *e)
{
    const char *parent = tree_parent(cg, tree);
    autofd int dir = -1;

    if (!parent)
        return 0;
    dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_sys(e, -errno, "open cgroup %s", parent);
    if (make && mkdirat(dir, cg->name, 0755) < 0)
        return err_sys(e, -errno, "make cgroup %s/%s", parent, cg->name);
    cg->made[tree] = make;
    cg->dir_fd[tree] = openat(dir, cg->name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (cg->dir_fd[tree] < 0)
        return !make && errno == ENOENT ? 0
                                        : err_sys(e, -errno, "open cgroup %s/%s", parent, cg->name);
    cg->made[tree] = true;
    return 0;
}

/* cpu.weight for v1 shares: the kernel's own range mapping, 2..262144 to 1..10000. */
static uint64_t weight_of_shares(uint64_t shares)
{
    if (shares < 2)
        shares = 2;
    if (shares > 262144)
        shares = 262144;
    return 1 + (shares - 2) * 9999 / 262142;
}

static int limit_v2(const struct cgroup *cg, const struct exec_spec *spec, struct err *e)
{
    int r = 0;

    if (spec->cpu_shares)
        r = write_number(cg, CGROUP_UNIFIED, "cpu.weight", weight_of_shares(spec->cpu_shares), e);
    if (!r && spec->memory_bytes) {
        r = write_number(cg, CGROUP_UNIFIED, "memory.max", spec->memory_bytes, e);
        /* Absent where the kernel has no swap accounting: then there is nothing to forbid. */
        (void)write_file(cg->dir_fd[CGROUP_UNIFIED], "memory.swap.max", "0");
    }
    return r;
}

static int limit_v1(const struct cgroup *cg, const struct exec_spec *spec, struct err *e)
{
    int r = 0;

    if (spec->cpu_shares && cg->made[CGROUP_CPU])
        r = write_number(cg, CGROUP_CPU, "cpu.shares", spec->cpu_shares < 2 ? 2 : spec->cpu_shares,
                         e);
    if (!r && spec->memory_bytes && cg->made[CGROUP_MEMORY]) {
        r = write_number(cg, CGROUP_MEMORY, "memory.limit_in_bytes", spec->memory_bytes, e);
        /* Either forbids swap; which of them exists depends on the kernel's configuration. */
        if (!r && write_number(cg, CGROUP_MEMORY, "memory.memsw.limit_in_bytes", spec->memory_bytes,
                               NULL) < 0)
            (void)write_file(cg->dir_fd[CGROUP_MEMORY], "memory.swappiness", "0");
    }
    return r;
}

static int open_leaves(struct cgroup *cg, const struct exec_spec *spec, uint32_t attempt, bool make,
                       struct err *e)
{
    int r = 0;

    cgroup_init(cg);
    cg->parents = &spec->cgroup;
    if (snprintf(cg->name, sizeof(cg->name), "%s.%s.%u", spec->alloc_id, spec->task, attempt) >
        NAME_MAX)
        return err_set(e, -ENAMETOOLONG,
                       "cgroup name %s is longer than %d bytes: use a shorter task name", cg->name,
                       NAME_MAX);
    for (int t = 0; !r && t < CGROUP_TREE_N; t++)
        r = open_leaf(cg, t, make, e);
    return r;
}

int cgroup_create(struct cgroup *cg, const struct exec_spec *spec, uint32_t attempt, struct err *e)
{
    int r = open_leaves(cg, spec, attempt, true, e);

    if (!r)
        r = spec->cgroup.v2_controllers ? limit_v2(cg, spec, e) : limit_v1(cg, spec, e);
    if (r < 0)
        (void)cgroup_remove(cg);
    return r;
}

int cgroup_adopt(struct cgroup *cg, const struct exec_spec *spec, uint32_t attempt, struct err *e)
{
    return open_leaves(cg, spec, attempt, false, e);
}

int cgroup_clone_fd(const struct cgroup *cg)
{
    return cg->dir_fd[CGROUP_UNIFIED];
}

int cgroup_open_joins(const struct cgroup *cg, int fds[CGROUP_TREE_N], struct err *e)
{
    int n = 0;

    for (int t = CGROUP_UNIFIED + 1; t < CGROUP_TREE_N; t++) {
        if (!cg->made[t])
            continue;
        fds[n] = openat(cg->dir_fd[t], "cgroup.procs", O_WRONLY | O_CLOEXEC);
        if (fds[n] < 0) {
            int r = err_sys(e, -errno, "open %s/%s/cgroup.procs", tree_parent(cg, t), cg->name);

            while (n > 0)
                close_fd(&fds[--n]);
            return r;
        }
        n++;
    }
    return n;
}

bool cgroup_usable(const struct cgroup *cg)
{
    for (int t = 0; t < CGROUP_TREE_N; t++)
        if (cg->made[t])
            return true;
    return false;
}

/* The v1 tree that sees every process of the task; any will do, they are entered together. */
static int v1_dir(const struct cgroup *cg)
{
    for (int t = CGROUP_TREE_N - 1; t > CGROUP_UNIFIED; t--)
        if (cg->made[t])
            return cg->dir_fd[t];
    return -1;
}

/* Kills what cgroup.procs lists. New forks between read and kill are why the caller freezes first.
 */
static int kill_listed(int dir)
{
    autofd int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    autoclose FILE *f = fd < 0 ? NULL : fdopen(fd, "re");
    int pid, r = 0;

    if (!f)
        return -errno;
    (void)take_fd(&fd);
    while (fscanf(f, "%d", &pid) == 1)
        if (kill(pid, SIGKILL) < 0 && errno != ESRCH)
            r = -errno;
    return r;
}

int cgroup_kill(const struct cgroup *cg)
{
    int dir, r;

    if (cg->made[CGROUP_UNIFIED])
        return write_file(cg->dir_fd[CGROUP_UNIFIED], "cgroup.kill", "1");
    dir = v1_dir(cg);
    if (dir < 0)
        return -ENOENT;
    if (cg->made[CGROUP_FREEZER])
        (void)write_file(cg->dir_fd[CGROUP_FREEZER], "freezer.state", "FROZEN");
    r = kill_listed(dir);
    if (cg->made[CGROUP_FREEZER])
        (void)write_file(cg->dir_fd[CGROUP_FREEZER], "freezer.state", "THAWED");
    return r;
}

uint64_t cgroup_oom_kills(const struct cgroup *cg)
{
    bool v2 = cg->parents && cg->parents->v2_controllers;
    enum cgroup_tree tree = v2 ? CGROUP_UNIFIED : CGROUP_MEMORY;
    char text[512];
    const char *at;

    if (!cg->made[tree] || read_file(cg->dir_fd[tree], v2 ? "memory.events" : "memory.oom_control",
                                     text, sizeof(text)) < 0)
        return 0;
    at = strstr(text, "oom_kill ");
    return at ? strtoull(at + sizeof("oom_kill ") - 1, NULL, 10) : 0;
}

int cgroup_remove(struct cgroup *cg)
{
    int r = 0;

    for (int t = CGROUP_TREE_N - 1; t >= 0; t--) {
        char path[4096];

        if (!cg->made[t])
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", tree_parent(cg, t), cg->name);
        if (rmdir(path) < 0 && errno != ENOENT) {
            r = -errno;
            continue;
        }
        close_fd(&cg->dir_fd[t]);
        cg->made[t] = false;
    }
    return r;
}
