/* SPDX-License-Identifier: MIT
 *
 * From /proc/stat and /proc/meminfo (proc(5)) and statvfs(3). What was counted at the last question
 * is kept, for whoever asks next: rates are of the time between.
 */
#include "manager/host/host_stats.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/clock.h"

enum {
    CPUS_MAX = 1024,
};

struct cpu_times {
    uint64_t user, system, idle, total; /* ticks */
};

static struct cpu_times last[CPUS_MAX];

static double percent(uint64_t part, uint64_t all)
{
    return all ? 100.0 * (double)part / (double)all : 0.0;
}

/* "cpu0 user nice system idle iowait irq softirq steal …"; false for other lines. */
static bool read_cpu(const char *line, unsigned int *ret_number, struct cpu_times *ret)
{
    unsigned long long v[8] = {0};

    if (sscanf(line, "cpu%u %llu %llu %llu %llu %llu %llu %llu %llu", ret_number, &v[0], &v[1],
               &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) < 5 ||
        *ret_number >= CPUS_MAX)
        return false;
    *ret =
        (struct cpu_times){.user = v[0] + v[1], .system = v[2] + v[5] + v[6], .idle = v[3] + v[4]};
    ret->total = ret->user + ret->system + ret->idle + v[7];
    return true;
}

/* Each CPU since the last question; *ret_busy: how many were busy, in CPUs. */
static json_t *cpus(double *ret_busy)
{
    autoclose FILE *f = fopen("/proc/stat", "re");
    json_t *list = json_array();
    char line[512];

    *ret_busy = 0;
    while (f && fgets(line, sizeof(line), f)) {
        struct cpu_times now;
        unsigned int n;

        if (!read_cpu(line, &n, &now))
            continue;
        if (now.total < last[n].total || now.idle < last[n].idle)
            last[n] = (struct cpu_times){0}; /* it was taken away, and is back */
        uint64_t all = now.total - last[n].total;
        double idle = percent(now.idle - last[n].idle, all);
        (void)json_array_append_new(
            list, json_pack("{s:o, s:f, s:f, s:f, s:f, s:f}", "CPU", json_sprintf("cpu%u", n),
                            "User", percent(now.user - last[n].user, all), "System",
                            percent(now.system - last[n].system, all), "Idle", idle, "TotalPercent",
                            100.0 - idle, "Total", 100.0 - idle));
        *ret_busy += all ? (100.0 - idle) / 100.0 : 0.0;
        last[n] = now;
    }
    return list;
}

/* A line of /proc/meminfo, in bytes. */
static json_int_t bytes_of(const char *text, const char *name)
{
    const char *line = strstr(text, name);

    return line ? (json_int_t)(strtoull(line + strlen(name), NULL, 10) << 10) : 0;
}

static json_t *memory(void)
{
    autoclose FILE *f = fopen("/proc/meminfo", "re");
    char text[8192];

    text[f ? fread(text, 1, sizeof(text) - 1, f) : 0] = '\0';
    json_int_t total = bytes_of(text, "MemTotal:"), available = bytes_of(text, "MemAvailable:");
    return json_pack("{s:I, s:I, s:I, s:I}", "Total", total, "Available", available, "Used",
                     total - available, "Free", bytes_of(text, "MemFree:"));
}

static json_t *disk(const char *dir)
{
    struct statvfs s = {0};
    uint64_t size, free_bytes, used;

    (void)statvfs(dir, &s);
    size = (uint64_t)s.f_blocks * s.f_frsize;
    free_bytes = (uint64_t)s.f_bavail * s.f_frsize;
    used = size - (uint64_t)s.f_bfree * s.f_frsize;
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:f, s:f}", "Device", "", "Mountpoint", dir, "Size",
                     (json_int_t)size, "Used", (json_int_t)used, "Available",
                     (json_int_t)free_bytes, "UsedPercent", percent(used, used + free_bytes),
                     "InodesUsedPercent",
                     percent((uint64_t)(s.f_files - s.f_ffree), (uint64_t)s.f_files));
}

json_t *host_stats(const char *dir, uint64_t core_mhz)
{
    double busy;
    json_t *cpu = cpus(&busy), *of_dir = disk(dir);

    return json_pack("{s:o, s:f, s:o, s:O, s:[o], s:[], s:I, s:I}", "CPU", cpu, "CPUTicksConsumed",
                     busy * (double)core_mhz, "Memory", memory(), "AllocDirStats", of_dir,
                     "DiskStats", of_dir, "DeviceStats", "Timestamp",
                     (json_int_t)clock_now_ns(CLOCK_REALTIME), "Uptime",
                     (json_int_t)(clock_now_ns(CLOCK_BOOTTIME) / 1000000000));
}
