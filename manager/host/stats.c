/* SPDX-License-Identifier: MIT
 *
 * The leaves are those the executor made (executor/isolation/cgroup.h): on v2 one with everything,
 * on hybrid hosts a v2 one with CPU times and pressure beside v1 ones. A file that is not there is
 * a number that is not measured: it is 0, and not in "Measured". A v1 leaf exists only where a
 * limit needs it, so the number of processes comes from the pids controller only where `pids` is
 * set.
 */
#include "manager/host/stats.h"

#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "manager/alloc/disk_usage.h"
#include "manager/core.h"
#include "manager/host/fingerprint.h"
#include "shared/cgroupfs.h"
#include "shared/cleanup.h"

#define SECOND_NS 1000000000.0

enum {
    FILE_MAX = 8192
};

struct cpu {
    uint64_t total_ns, user_ns, system_ns;
    uint64_t throttled_periods, throttled_ns;
};

struct source {
    const struct cgroup_layout *layout;
    char leaf[NAME_MAX + 1];
};

/* The task's leaf below `parent`, or -1. */
static int open_leaf(const struct source *src, const char *parent)
{
    char path[PATH_MAX];

    if (!parent || snprintf(path, sizeof(path), "%s/%s", parent, src->leaf) >= (int)sizeof(path))
        return -1;
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static int open_unified(const struct source *src)
{
    int fd = open_leaf(src, src->layout->dirs.unified);

    return fd < 0 && src->layout->dirs.v2_controllers ? open_leaf(src, src->layout->shared) : fd;
}

static uint64_t number_in(int dir, const char *file)
{
    uint64_t number = 0;

    if (dir >= 0)
        (void)cgroupfs_read_number(dir, file, &number);
    return number;
}

static bool text_of(int dir, const char *file, char buf[FILE_MAX])
{
    buf[0] = '\0';
    return dir >= 0 && cgroupfs_read(dir, file, buf, FILE_MAX) >= 0;
}

/* Where each figure is on v2 and on v1: in memory.stat, or in a file of its own; neither: 0. */
static const struct {
    size_t offset;
    struct {
        const char *stat, *file;
    } v2, v1;
} memory_figures[] = {
    {offsetof(struct usage_memory, rss), {.stat = "anon"}, {.stat = "total_rss"}},
    {offsetof(struct usage_memory, cache), {.stat = "file"}, {.stat = "total_cache"}},
    {offsetof(struct usage_memory, mapped), {.stat = "file_mapped"}, {.stat = "total_mapped_file"}},
    {offsetof(struct usage_memory, swap), {.file = "memory.swap.current"}, {.stat = "total_swap"}},
    {offsetof(struct usage_memory, usage),
     {.file = "memory.current"},
     {.file = "memory.usage_in_bytes"}},
    {offsetof(struct usage_memory, max_usage),
     {.file = "memory.peak"},
     {.file = "memory.max_usage_in_bytes"}},
    {offsetof(struct usage_memory, kernel),
     {.stat = "kernel"},
     {.file = "memory.kmem.usage_in_bytes"}},
    {offsetof(struct usage_memory, kernel_max), {NULL}, {.file = "memory.kmem.max_usage_in_bytes"}},
};

static void read_memory(int dir, bool v2, struct usage_memory *m)
{
    char text[FILE_MAX];

    (void)text_of(dir, "memory.stat", text);
    for (size_t i = 0; i < ARRAY_LEN(memory_figures); i++) {
        const char *stat = v2 ? memory_figures[i].v2.stat : memory_figures[i].v1.stat;
        const char *file = v2 ? memory_figures[i].v2.file : memory_figures[i].v1.file;
        uint64_t *figure = (uint64_t *)((char *)m + memory_figures[i].offset);

        *figure = stat ? cgroupfs_value(text, stat) : file ? number_in(dir, file) : 0;
    }
}

/* False where nothing is measured. */
static bool read_cpu(const struct source *src, int unified, struct cpu *cpu)
{
    autofd int v1 = open_leaf(src, src->layout->dirs.cpu);
    autofd int acct = unified < 0 ? open_leaf(src, src->layout->dirs.cpuacct) : -1;
    uint64_t tick_ns = (uint64_t)(SECOND_NS / (double)sysconf(_SC_CLK_TCK));
    char text[FILE_MAX];
    bool measured = true;

    *cpu = (struct cpu){0};
    if (text_of(unified, "cpu.stat", text)) {
        cpu->total_ns = cgroupfs_value(text, "usage_usec") * 1000;
        cpu->user_ns = cgroupfs_value(text, "user_usec") * 1000;
        cpu->system_ns = cgroupfs_value(text, "system_usec") * 1000;
        cpu->throttled_periods = cgroupfs_value(text, "nr_throttled");
        cpu->throttled_ns = cgroupfs_value(text, "throttled_usec") * 1000;
    } else if (text_of(acct, "cpuacct.stat", text)) {
        cpu->total_ns = number_in(acct, "cpuacct.usage");
        cpu->user_ns = cgroupfs_value(text, "user") * tick_ns;
        cpu->system_ns = cgroupfs_value(text, "system") * tick_ns;
    } else {
        measured = false;
    }
    if (text_of(v1, "cpu.stat", text)) {
        cpu->throttled_periods = cgroupfs_value(text, "nr_throttled");
        cpu->throttled_ns = cgroupfs_value(text, "throttled_time");
    }
    return measured;
}

/* Percentages of one core since `since`, which becomes `now`. */
static void rate_cpu(struct task *task, const struct cpu *cpu, uint64_t now_ns, uint64_t core_mhz,
                     struct usage *u)
{
    struct task_sample *last = &task->sample;
    double elapsed;

    if (last->time_ns < task->status.started_ns || last->total_ns > cpu->total_ns)
        *last = (struct task_sample){.time_ns = task->status.started_ns}; /* another attempt */
    elapsed = now_ns > last->time_ns ? (double)(now_ns - last->time_ns) : 1.0;
    u->percent = 100.0 * (double)(cpu->total_ns - last->total_ns) / elapsed;
    u->user_percent = 100.0 * (double)(cpu->user_ns - last->user_ns) / elapsed;
    u->system_percent = 100.0 * (double)(cpu->system_ns - last->system_ns) / elapsed;
    u->ticks = u->percent / 100.0 * (double)core_mhz;
    u->user_ns = cpu->user_ns;
    u->system_ns = cpu->system_ns;
    u->throttled_periods = cpu->throttled_periods;
    u->throttled_ns = cpu->throttled_ns;
    *last = (struct task_sample){.time_ns = now_ns,
                                 .total_ns = cpu->total_ns,
                                 .user_ns = cpu->user_ns,
                                 .system_ns = cpu->system_ns};
}

/* Sums over the disks: "8:0 rbytes=1 wbytes=2 …" of io.stat, "8:0 Read 1" of blkio. */
static void read_io(int v2, int v1, struct usage *u)
{
    char text[FILE_MAX];

    if (text_of(v2, "io.stat", text)) {
        u->has_io = true;
        for (const char *p = text; (p = strstr(p, "rbytes=")); p++)
            u->read_bytes += strtoull(p + 7, NULL, 10);
        for (const char *p = text; (p = strstr(p, "wbytes=")); p++)
            u->write_bytes += strtoull(p + 7, NULL, 10);
    }
    if (text_of(v1, "blkio.throttle.io_service_bytes_recursive", text)) {
        u->has_io = true;
        for (const char *p = text; (p = strstr(p, " Read ")); p++)
            u->read_bytes += strtoull(p + 6, NULL, 10);
        for (const char *p = text; (p = strstr(p, " Write ")); p++)
            u->write_bytes += strtoull(p + 7, NULL, 10);
    }
}

/* One pressure file (kernel, accounting/psi.rst) as {"some": {"avg10": …, "total": µs}, …}. */
static json_t *pressure(int dir, const char *file)
{
    char text[FILE_MAX], *save = NULL;
    json_t *json = json_object();

    (void)text_of(dir, file, text);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        double avg10, avg60, avg300;
        unsigned long long total;
        char kind[8];

        if (sscanf(line, "%7s avg10=%lf avg60=%lf avg300=%lf total=%llu", kind, &avg10, &avg60,
                   &avg300, &total) == 5)
            (void)json_object_set_new(json, kind,
                                      json_pack("{s:f,s:f,s:f,s:I}", "Avg10", avg10, "Avg60", avg60,
                                                "Avg300", avg300, "TotalUs", (json_int_t)total));
    }
    return json;
}

static json_t *memory_json(const struct usage_memory *m, bool known, bool v2)
{
    json_t *measured = !known ? json_array()
                       : v2   ? json_pack("[s,s,s,s,s,s]", "RSS", "Cache", "Swap", "Usage",
                                          "Max Usage", "Kernel Usage")
                              : json_pack("[s,s,s,s,s,s,s]", "RSS", "Cache", "Swap", "Usage",
                                          "Max Usage", "Kernel Usage", "Kernel Max Usage");

    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "RSS", (json_int_t)m->rss, "Cache",
                     (json_int_t)m->cache, "Swap", (json_int_t)m->swap, "MappedFile",
                     (json_int_t)m->mapped, "Usage", (json_int_t)m->usage, "MaxUsage",
                     (json_int_t)m->max_usage, "KernelUsage", (json_int_t)m->kernel,
                     "KernelMaxUsage", (json_int_t)m->kernel_max, "Measured", measured);
}

static json_t *usage_json(const struct usage *u, bool v2)
{
    json_t *cpu = u->has_cpu ? json_pack("[s,s,s,s,s]", "System Mode", "User Mode",
                                         "Throttled Periods", "Throttled Time", "Percent")
                             : json_array();
    json_t *io = u->has_io ? json_pack("[s,s]", "Read Bytes", "Write Bytes") : json_array();

    return json_pack("{s:o, s:{s:f,s:f,s:f,s:I,s:I,s:f,s:o}, s:[], s:{s:I}, s:{s:I,s:I,s:o}}",
                     "MemoryStats", memory_json(&u->memory, u->has_memory, v2), "CpuStats",
                     "SystemMode", u->system_percent, "UserMode", u->user_percent, "TotalTicks",
                     u->ticks, "ThrottledPeriods", (json_int_t)u->throttled_periods,
                     "ThrottledTime", (json_int_t)u->throttled_ns, "Percent", u->percent,
                     "Measured", cpu, "DeviceStats", "PidsStats", "Current", (json_int_t)u->pids,
                     "IoStats", "ReadBytes", (json_int_t)u->read_bytes, "WriteBytes",
                     (json_int_t)u->write_bytes, "Measured", io);
}

/* Counts the lines of a v1 leaf's or a controller-less leaf's list of processes. */
static uint64_t count_processes(int dir)
{
    autofd int fd = dir < 0 ? -1 : openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    char text[FILE_MAX];
    uint64_t lines = 0;
    ssize_t n;

    while (fd >= 0 && (n = read(fd, text, sizeof(text))) > 0)
        for (ssize_t i = 0; i < n; i++)
            lines += text[i] == '\n';
    return lines;
}

static void name_leaf(const struct task *task, struct source *src)
{
    src->layout = &task->alloc->manager->cgroup;
    (void)snprintf(src->leaf, sizeof(src->leaf), "%s.%s.%u", task->alloc->id, task->def->name,
                   task->status.attempt);
}

static void read_usage(struct task *task, const struct source *src, int unified, uint64_t now_ns,
                       struct usage *u)
{
    const struct spec_cgroup *dirs = &src->layout->dirs;
    bool v2 = dirs->v2_controllers;
    autofd int memory = open_leaf(src, dirs->memory), pids = open_leaf(src, dirs->pids);
    autofd int io = open_leaf(src, dirs->io);
    struct cpu cpu;

    *u = (struct usage){.has_memory = (v2 ? unified : memory) >= 0};
    read_memory(v2 ? unified : memory, v2, &u->memory);
    u->has_cpu = read_cpu(src, unified, &cpu);
    rate_cpu(task, &cpu, now_ns, fingerprint_core_mhz(task->alloc->manager->attributes), u);
    u->pids = number_in(v2 ? unified : pids, "pids.current");
    if (!u->pids)
        u->pids = count_processes(unified >= 0 ? unified : memory);
    read_io(v2 ? unified : -1, io, u);
}

void stats_task(struct task *task, uint64_t now_ns, struct usage *ret_usage)
{
    struct source src;
    autofd int unified = -1;

    name_leaf(task, &src);
    unified = open_unified(&src);
    read_usage(task, &src, unified, now_ns, ret_usage);
}

static json_t *task_stats(struct task *task, uint64_t now_ns, struct usage *u)
{
    struct source src;
    autofd int unified = -1;
    json_t *json;

    name_leaf(task, &src);
    unified = open_unified(&src);
    read_usage(task, &src, unified, now_ns, u);
    json = json_pack("{s:o, s:I, s:n}", "ResourceUsage",
                     usage_json(u, src.layout->dirs.v2_controllers), "Timestamp",
                     (json_int_t)now_ns, "Pids");
    (void)json_object_set_new(json, "PressureStats",
                              json_pack("{s:o,s:o,s:o}", "Cpu", pressure(unified, "cpu.pressure"),
                                        "Memory", pressure(unified, "memory.pressure"), "Io",
                                        pressure(unified, "io.pressure")));
    return json;
}

static void add(struct usage *sum, const struct usage *u)
{
    sum->has_memory |= u->has_memory;
    sum->has_cpu |= u->has_cpu;
    sum->has_io |= u->has_io;
    sum->memory.rss += u->memory.rss;
    sum->memory.cache += u->memory.cache;
    sum->memory.swap += u->memory.swap;
    sum->memory.mapped += u->memory.mapped;
    sum->memory.usage += u->memory.usage;
    sum->memory.max_usage += u->memory.max_usage;
    sum->memory.kernel += u->memory.kernel;
    sum->memory.kernel_max += u->memory.kernel_max;
    sum->user_percent += u->user_percent;
    sum->system_percent += u->system_percent;
    sum->percent += u->percent;
    sum->ticks += u->ticks;
    sum->throttled_periods += u->throttled_periods;
    sum->throttled_ns += u->throttled_ns;
    sum->pids += u->pids;
    sum->read_bytes += u->read_bytes;
    sum->write_bytes += u->write_bytes;
}

json_t *stats_alloc(struct alloc *alloc)
{
    uint64_t now_ns = manager_now_ns();
    json_t *tasks = json_object();
    struct usage sum = {0}, u;

    for (size_t i = 0; i < alloc->group->n_tasks; i++) {
        struct task *task = &alloc->tasks[i];

        if (task->status.state != TASK_STATE_RUNNING)
            continue;
        (void)json_object_set_new(tasks, task->def->name, task_stats(task, now_ns, &u));
        add(&sum, &u);
    }
    return json_pack("{s:o, s:o, s:o, s:I}", "ResourceUsage",
                     usage_json(&sum, alloc->manager->cgroup.dirs.v2_controllers), "Tasks", tasks,
                     "EphemeralDisk", disk_usage_to_json(alloc), "Timestamp", (json_int_t)now_ns);
}
