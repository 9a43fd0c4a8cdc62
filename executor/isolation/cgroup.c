/* SPDX-License-Identifier: MIT
 *
 * v2 (cgroups(7), kernel Documentation/admin-guide/cgroup-v2.rst): one tree carries limits and is
 * killed through cgroup.kill. Hybrid: the v2 tree has no controllers, it is used to enter and to
 * kill; the v1 trees carry the limits. Pure v1: the freezer makes killing complete.
 *
 * A v1 leaf costs every start a system call or five, so one is made only where the spec asks for
 * what it does; memory always, for the count of OOM kills. Removal may be refused (-EBUSY) for a
 * moment after a kill; the caller waits for population to fall.
 */
#include "executor/isolation/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "executor/isolation/devices.h"
#include "shared/cgroupfs.h"
#include "shared/cleanup.h"

static const char *tree_parent(const struct cgroup *cg, enum cgroup_tree tree)
{
    const struct spec_cgroup *p = cg->parents;
    const char *const parents[CGROUP_TREE_N] = {
        [CGROUP_UNIFIED] = p->unified, [CGROUP_MEMORY] = p->memory,   [CGROUP_CPU] = p->cpu,
        [CGROUP_PIDS] = p->pids,       [CGROUP_CPUSET] = p->cpuset,   [CGROUP_IO] = p->io,
        [CGROUP_CPUACCT] = p->cpuacct, [CGROUP_DEVICES] = p->devices, [CGROUP_FREEZER] = p->freezer,
    };

    return parents[tree];
}

static bool is_wanted(const struct exec_spec *spec, enum cgroup_tree tree)
{
    switch (tree) {
    case CGROUP_CPU:
        return spec->cpu_shares || spec->limits.cpu_quota_us;
    case CGROUP_PIDS:
        return spec->limits.pids;
    case CGROUP_CPUSET:
        return spec->limits.cpus;
    case CGROUP_IO:
        return spec->limits.io_weight;
    case CGROUP_DEVICES:
        return spec->limits.own_devices;
    default:
        return true;
    }
}

void cgroup_init(struct cgroup *cg)
{
    *cg = (struct cgroup){0};
    for (int t = 0; t < CGROUP_TREE_N; t++)
        cg->dir_fd[t] = -1;
}

/* The leaf of an earlier tree that is the same directory, because the controllers share a mount. */
static int shared_leaf(const struct cgroup *cg, enum cgroup_tree tree)
{
    for (int t = 0; t < (int)tree; t++)
        if (cg->made[t] && strcmp(tree_parent(cg, t), tree_parent(cg, tree)) == 0)
            return cg->dir_fd[t];
    return -1;
}

/* Opens the leaf in one tree, after making it if `make`. A leaf that does not exist is left out
 * then. */
static int open_leaf(struct cgroup *cg, enum cgroup_tree tree, bool make, struct err *e)
{
    const char *parent = tree_parent(cg, tree);
    autofd int dir = -1;

    if (!parent)
        return 0;
    cg->dir_fd[tree] = shared_leaf(cg, tree);
    if (cg->dir_fd[tree] >= 0)
        return 0;
    dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_sys(e, -errno, "open cgroup %s", parent);
    if (make && mkdirat(dir, cg->name, 0755) < 0)
        return err_sys(e, -errno, "make cgroup %s/%s", parent, cg->name);
    cg->made[tree] = make;
    /* Not O_PATH, which bpf(2) does not take. */
    cg->dir_fd[tree] = openat(dir, cg->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cg->dir_fd[tree] < 0)
        return !make && errno == ENOENT ? 0
                                        : err_sys(e, -errno, "open cgroup %s/%s", parent, cg->name);
    cg->made[tree] = true;
    return 0;
}

/* ---- limits ---- */

/* Where the controller's files are: all in one leaf on v2. -1: nowhere. */
static int home_of(const struct cgroup *cg, enum cgroup_tree tree)
{
    return cg->dir_fd[cg->parents->v2_controllers ? CGROUP_UNIFIED : tree];
}

static int write_limit(const struct cgroup *cg, enum cgroup_tree tree, const char *file,
                       const char *text, struct err *e)
{
    int dir = home_of(cg, tree), r;

    if (dir < 0)
        return err_set(e, -EOPNOTSUPP, "%s cannot be set: this host has no cgroup for it", file);
    r = cgroupfs_write(dir, file, text);
    if (r < 0)
        return err_sys(e, r, "write %s to %s/%s/%s", text,
                       tree_parent(cg, cg->parents->v2_controllers ? CGROUP_UNIFIED : tree),
                       cg->name, file);
    return 0;
}

static int write_number(const struct cgroup *cg, enum cgroup_tree tree, const char *file,
                        uint64_t number, struct err *e)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    return write_limit(cg, tree, file, text, e);
}

/* cpu.weight for v1 shares: the kernel's own range mapping, 2..262144 to 1..10000. */
static uint64_t weight_of_shares(uint64_t shares)
{
    return 1 + (shares - 2) * 9999 / 262142;
}

static int limit_cpu(const struct cgroup *cg, const struct exec_spec *spec, struct err *e)
{
    uint64_t shares = spec->cpu_shares < 2 ? 2 : spec->cpu_shares;
    const struct spec_limits *l = &spec->limits;
    bool v2 = cg->parents->v2_controllers;
    char text[48];
    int r = 0;

    if (shares > 262144)
        shares = 262144;
    /* A weight only says who goes first; it may be missing. */
    if (spec->cpu_shares && home_of(cg, CGROUP_CPU) >= 0)
        r = v2 ? write_number(cg, CGROUP_CPU, "cpu.weight", weight_of_shares(shares), e)
               : write_number(cg, CGROUP_CPU, "cpu.shares", shares, e);
    if (r || !l->cpu_quota_us)
        return r;
    if (v2) {
        (void)snprintf(text, sizeof(text), "%llu %llu", (unsigned long long)l->cpu_quota_us,
                       (unsigned long long)l->cpu_period_us);
        return write_limit(cg, CGROUP_CPU, "cpu.max", text, e);
    }
    r = write_number(cg, CGROUP_CPU, "cpu.cfs_period_us", l->cpu_period_us, e);
    return r ? r : write_number(cg, CGROUP_CPU, "cpu.cfs_quota_us", l->cpu_quota_us, e);
}

/* No swap: in v2 none may be used, in v1 memory and swap together are limited as memory is. Which
 * of these files exist depends on the kernel's configuration; without them there is nothing to
 * forbid. */
static int limit_memory(const struct cgroup *cg, const struct exec_spec *spec, struct err *e)
{
    bool v2 = cg->parents->v2_controllers;
    int dir = home_of(cg, CGROUP_MEMORY), r = 0;

    if (dir < 0)
        return 0;
    if (v2)
        (void)cgroupfs_write(dir, "memory.swap.max", "0");
    if (v2 && spec->limits.oom_group)
        r = write_limit(cg, CGROUP_MEMORY, "memory.oom.group", "1", e);
    if (!r && spec->limits.memory_low_bytes)
        r = write_number(cg, CGROUP_MEMORY, v2 ? "memory.low" : "memory.soft_limit_in_bytes",
                         spec->limits.memory_low_bytes, e);
    if (!r && spec->memory_bytes)
        r = write_number(cg, CGROUP_MEMORY, v2 ? "memory.max" : "memory.limit_in_bytes",
                         spec->memory_bytes, e);
    if (!r && !v2 &&
        (!spec->memory_bytes ||
         cgroupfs_write_number(dir, "memory.memsw.limit_in_bytes", spec->memory_bytes) < 0))
        (void)cgroupfs_write(dir, "memory.swappiness", "0");
    return r;
}

/* A v1 cpuset takes nobody in before it has memory nodes, and starts with none. */
static int limit_cpus(const struct cgroup *cg, const struct exec_spec *spec, struct err *e)
{
    bool v2 = cg->parents->v2_controllers;
    char nodes[256];
    ssize_t n;
    int r;

    if (!spec->limits.cpus)
        return 0;
    if (!v2 && cg->dir_fd[CGROUP_CPUSET] >= 0) {
        n = cgroupfs_read(cg->dir_fd[CGROUP_CPUSET], "../cpuset.mems", nodes, sizeof(nodes));
        if (n < 0 || (n = cgroupfs_write(cg->dir_fd[CGROUP_CPUSET], "cpuset.mems", nodes)) < 0)
            return err_sys(e, (int)n, "set %s/%s/cpuset.mems", cg->parents->cpuset, cg->name);
    }
    r = write_limit(cg, CGROUP_CPUSET, "cpuset.cpus", spec->limits.cpus, e);
    if (r == -EINVAL || r == -ERANGE || r == -EACCES) /* which one depends on the kernel */
        return err_set(e, -EINVAL, "CPUs \"%s\" are not all among those there are: see %s/%s",
                       spec->limits.cpus, tree_parent(cg, v2 ? CGROUP_UNIFIED : CGROUP_CPUSET),
                       v2 ? "cpuset.cpus.effective" : "cpuset.cpus");
    return r;
}

/* Which file there is depends on the host's I/O scheduler; often none is. It is a wish only. BFQ
 * goes to 1000. */
static void weigh_io(const struct cgroup *cg, uint32_t weight)
{
    int dir = home_of(cg, CGROUP_IO);
    char text[32];

    if (!weight || dir < 0)
        return;
    (void)snprintf(text, sizeof(text), "default %u", weight);
    if (cgroupfs_write(dir, "io.weight", text) == 0)
        return;
    weight = weight > 1000 ? 1000 : weight;
    (void)cgroupfs_write_number(
        dir, cg->parents->v2_controllers ? "io.bfq.weight" : "blkio.bfq.weight", weight);
}

static int apply_limits(const struct cgroup *cg, const struct exec_spec *spec, struct err *e)
{
    int r = limit_cpu(cg, spec, e);

    if (!r)
        r = limit_memory(cg, spec, e);
    if (!r && spec->limits.pids)
        r = write_number(cg, CGROUP_PIDS, "pids.max", spec->limits.pids, e);
    if (!r)
        r = limit_cpus(cg, spec, e);
    if (!r)
        r = devices_restrict(cg, spec, e);
    weigh_io(cg, spec->limits.io_weight);
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
        if (is_wanted(spec, t))
            r = open_leaf(cg, t, make, e);
    return r;
}

int cgroup_create(struct cgroup *cg, const struct exec_spec *spec, uint32_t attempt, struct err *e)
{
    int r = open_leaves(cg, spec, attempt, true, e);

    if (!r)
        r = apply_limits(cg, spec, e);
    if (r < 0)
        (void)cgroup_remove(cg);
    return r;
}

int cgroup_adopt(struct cgroup *cg, const struct exec_spec *spec, uint32_t attempt, struct err *e)
{
    return open_leaves(cg, spec, attempt, false, e);
}

/* ---- processes ---- */

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

/* The leaf to act on the processes by: the unified one as long as it is there, which has the kill
 * switch; else the freezer's; else any, since they are entered together. -1: none. */
static int process_dir(const struct cgroup *cg)
{
    if (cg->made[CGROUP_UNIFIED])
        return cg->dir_fd[CGROUP_UNIFIED];
    for (int t = CGROUP_TREE_N - 1; t > CGROUP_UNIFIED; t--)
        if (cg->made[t])
            return cg->dir_fd[t];
    return -1;
}

bool cgroup_usable(const struct cgroup *cg)
{
    return process_dir(cg) >= 0;
}

int cgroup_kill(const struct cgroup *cg)
{
    int dir = process_dir(cg);

    return dir < 0 ? -ENOENT : cgroupfs_kill(dir);
}

int cgroup_freeze(const struct cgroup *cg, bool frozen)
{
    int dir = process_dir(cg);

    return dir < 0 ? -ENOENT : cgroupfs_freeze(dir, frozen);
}

int cgroup_memory_fd(const struct cgroup *cg, bool *ret_v2)
{
    *ret_v2 = cg->parents && cg->parents->v2_controllers;
    return cg->dir_fd[*ret_v2 ? CGROUP_UNIFIED : CGROUP_MEMORY];
}

uint64_t cgroup_oom_kills(const struct cgroup *cg)
{
    char text[512];
    bool v2;
    int dir = cgroup_memory_fd(cg, &v2);

    if (dir < 0 ||
        cgroupfs_read(dir, v2 ? "memory.events" : "memory.oom_control", text, sizeof(text)) < 0)
        return 0;
    return cgroupfs_value(text, "oom_kill");
}

int cgroup_remove(struct cgroup *cg)
{
    int r = 0;

    for (int t = CGROUP_TREE_N - 1; t >= 0; t--) {
        autofd int parent = -1;
        int left;

        if (!cg->made[t]) {
            cg->dir_fd[t] = -1; /* shared, or none */
            continue;
        }
        /* What the task left in the page cache would keep the kernel's side of the group for ever,
         * and thousands of such make every later start slower. */
        if (t == CGROUP_MEMORY)
            (void)cgroupfs_write(cg->dir_fd[t], "memory.force_empty", "0");
        parent = open(tree_parent(cg, t), O_PATH | O_DIRECTORY | O_CLOEXEC);
        left = parent < 0 ? -errno : cgroupfs_remove(parent, cg->name);
        if (left < 0 && left != -ENOENT) {
            r = left;
            continue;
        }
        close_fd(&cg->dir_fd[t]);
        cg->made[t] = false;
    }
    return r;
}
