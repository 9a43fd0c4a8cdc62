/* SPDX-License-Identifier: MIT
 *
 * Taken once per start; only the drivers' health is looked at again when the node is asked for.
 */
#include "manager/host/fingerprint.h"
#include "manager/alloc/quota.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "manager/alloc/volumes.h"
#include "manager/host/budget.h"
#include "manager/host/features.h"
#include "manager/host/rootless.h"
#include "manager/task/driver.h"
#include "shared/cleanup.h"

static void set(json_t *attributes, const char *name, const char *value)
{
    (void)json_object_set_new(attributes, name, json_string(value));
}

static void set_number(json_t *attributes, const char *name, long long value)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%lld", value);
    set(attributes, name, text);
}

/* Takes the value of the first line of `path` that starts with `key`, quotes and blanks dropped. */
static bool find_line(const char *path, const char *key, char *buf, size_t size)
{
    autoclose FILE *f = fopen(path, "re");
    char line[512];

    while (f && fgets(line, sizeof(line), f)) {
        char *value = line + strlen(key);

        if (strncmp(line, key, strlen(key)) != 0)
            continue;
        value += strspn(value, " \t:=\"");
        value[strcspn(value, "\"\n")] = '\0';
        (void)snprintf(buf, size, "%s", value);
        return true;
    }
    return false;
}

static void take_cpu(json_t *attributes, const struct config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    char text[128];

    set_number(attributes, "cpu.numcores", cores);
    if (find_line("/proc/cpuinfo", "model name", text, sizeof(text)))
        set(attributes, "cpu.modelname", text);
    if (find_line("/proc/cpuinfo", "cpu MHz", text, sizeof(text))) {
        long long mhz = strtoll(text, NULL, 10);

        set_number(attributes, "cpu.frequency", mhz);
        set_number(attributes, "cpu.totalcompute", mhz * cores);
    }
    if (config->cpu_total_mhz)
        set_number(attributes, "cpu.totalcompute", config->cpu_total_mhz);
}

static void take_os(json_t *attributes)
{
    struct utsname uts;
    char text[128];

    if (uname(&uts) == 0) {
        set(attributes, "kernel.name", "linux");
        set(attributes, "kernel.version", uts.release);
        set(attributes, "cpu.arch",
            strcmp(uts.machine, "x86_64") == 0
                ? "amd64"
                : (strcmp(uts.machine, "aarch64") == 0 ? "arm64" : uts.machine));
        set(attributes, "unique.hostname", uts.nodename);
    }
    if (find_line("/etc/os-release", "ID=", text, sizeof(text)))
        set(attributes, "os.name", text);
    if (find_line("/etc/os-release", "VERSION_ID=", text, sizeof(text)))
        set(attributes, "os.version", text);
}

/* The limits that can be kept here, by Nomad's names for the controllers. */
static void take_controllers(json_t *attributes, const struct cgroup_layout *cgroup)
{
    const struct {
        const char *name;
        bool there;
    } all[] = {{"cpu", cgroup->cpu},
               {"cpuset", cgroup->cpuset},
               {"io", cgroup->io},
               {"memory", cgroup->memory},
               {"pids", cgroup->pids}};
    char text[64] = "";

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i].there)
            (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
                           *text ? "," : "", all[i].name);
    if (*text)
        set(attributes, "unique.cgroup.controllers", text);
}

static void take_storage(json_t *attributes, const struct config *config)
{
    autofree char *dir = config_alloc_dir(config, NULL);
    struct statvfs fs;

    if (statvfs(dir, &fs) < 0)
        return;
    set_number(attributes, "unique.storage.bytestotal",
               config->disk_total_mb ? (long long)config->disk_total_mb << 20
                                     : (long long)(fs.f_blocks * fs.f_frsize));
    set_number(attributes, "unique.storage.bytesfree", (long long)(fs.f_bavail * fs.f_frsize));
    set(attributes, "cleat.disk.quota", quota_is_on(dir) ? "true" : "false");
}

static void take_rootless(json_t *attributes, const struct config *config)
{
    const struct rootless *rootless = rootless_get(config);

    if (!rootless->on)
        return;
    set(attributes, "cleat.rootless", "1");
    set_number(attributes, "cleat.rootless.ids", 1 + (long long)rootless->n_subids);
    set(attributes, "cleat.rootless.proc", rootless->hosts_proc ? "host" : "private");
    set(attributes, "unique.cleat.user", rootless->user);
}

json_t *fingerprint_attributes(const struct config *config, const struct cgroup_layout *cgroup)
{
    json_t *attributes = json_object();

    take_os(attributes);
    take_cpu(attributes, config);
    set_number(attributes, "memory.totalbytes",
               config->memory_total_mb
                   ? (long long)config->memory_total_mb << 20
                   : (long long)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
    take_storage(attributes, config);
    set(attributes, "cleat.version", CLEAT_VERSION);
    if (*cgroup->version)
        set(attributes, "unique.cgroup.version", cgroup->version);
    take_controllers(attributes, cgroup);
    features_probe(attributes, cgroup);
    budget_probe(attributes);
    take_rootless(attributes, config);
    for (size_t i = 0; drivers[i]; i++) {
        char name[64];
        bool detected;

        (void)snprintf(name, sizeof(name), "driver.%s", drivers[i]->name);
        (void)driver_problem(drivers[i], config, cgroup, &detected);
        if (detected)
            set(attributes, name, "1");
    }
    return attributes;
}

/* How a driver that can run tasks does: in words, what it cannot do here. */
static json_t *describe(const struct driver *driver, const struct config *config,
                        const struct cgroup_layout *cgroup)
{
    bool proc = driver->isolation == SPEC_ISOLATION_CHROOT && rootless_get(config)->hosts_proc;

    if (cgroup->reason)
        return json_sprintf("Healthy, but tasks have no limits: %s%s", cgroup->reason,
                            proc ? "; and they see the host's /proc" : "");
    if (!cgroup->memory || !cgroup->cpu)
        return json_sprintf("Healthy, but tasks have no limits: this manager's cgroup was given no "
                            "controllers%s",
                            proc ? "; and they see the host's /proc" : "");
    return json_string(proc ? "Healthy, but tasks see the host's /proc" : "Healthy");
}

static json_t *drivers_json(const struct config *config, const struct cgroup_layout *cgroup)
{
    json_t *all = json_object();

    for (size_t i = 0; drivers[i]; i++) {
        bool detected;
        const char *problem = driver_problem(drivers[i], config, cgroup, &detected);

        (void)json_object_set_new(
            all, drivers[i]->name,
            json_pack("{s:b, s:b, s:o}", "Detected", detected, "Healthy", !problem,
                      "HealthDescription",
                      problem ? json_string(problem) : describe(drivers[i], config, cgroup)));
    }
    return all;
}

static long long number(const json_t *attributes, const char *name)
{
    const char *text = json_string_value(json_object_get(attributes, name));

    return text ? strtoll(text, NULL, 10) : 0;
}

uint64_t fingerprint_core_mhz(const json_t *attributes)
{
    long long mhz = number(attributes, "cpu.frequency");

    return mhz > 0 ? (uint64_t)mhz : 1000;
}

static const char *text_or_empty(const char *text)
{
    return text ? text : "";
}

static json_t *reserved_cores(const char *cores)
{
    json_t *all = json_array();

    for (int cpu = 0; cores && *cores && cpu < CPU_SETSIZE; cpu++)
        if (config_has_number(cores, (unsigned long)cpu))
            (void)json_array_append_new(all, json_integer(cpu));
    return all;
}

json_t *fingerprint_node(const struct config *config, const struct cgroup_layout *cgroup,
                         const char *node_id, json_t *attributes)
{
    long long memory_mb = number(attributes, "memory.totalbytes") >> 20;
    long long disk_mb = number(attributes, "unique.storage.bytestotal") >> 20;
    long long cpu = number(attributes, "cpu.totalcompute");
    long long cores = number(attributes, "cpu.numcores");

    const struct config_reserved *kept = &config->reserved;

    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:O, s:O, s:o, s:o, s:{s:{s:I, s:I}, "
        "s:{s:I}, s:{s:I}}, s:{s:{s:I, s:o}, s:{s:I}, s:{s:I}, s:{s:s}},"
        " s:{s:I, s:I, s:I}, s:{s:I, s:I, s:I}}",
        "ID", node_id, "Name", config->name, "Datacenter", config->datacenter, "NodeClass",
        text_or_empty(config->node_class), "NodePool",
        config->node_pool ? config->node_pool : "default", "Status", "ready",
        "SchedulingEligibility", "eligible", "Drain", 0, "Attributes", attributes, "Meta",
        config->meta, "Drivers", drivers_json(config, cgroup), "HostVolumes", volumes_json(config),
        "NodeResources", "Cpu", "CpuShares", cpu, "TotalCpuCores", cores, "Memory", "MemoryMB",
        memory_mb, "Disk", "DiskMB", disk_mb, "ReservedResources", "Cpu", "CpuShares",
        (long long)kept->cpu_mhz, "ReservedCpuCores", reserved_cores(kept->cores), "Memory",
        "MemoryMB", (long long)kept->memory_mb, "Disk", "DiskMB", (long long)kept->disk_mb,
        "Networks", "ReservedHostPorts", text_or_empty(kept->ports), "Resources", "CPU", cpu,
        "MemoryMB", memory_mb, "DiskMB", disk_mb, "Reserved", "CPU", (long long)kept->cpu_mhz,
        "MemoryMB", (long long)kept->memory_mb, "DiskMB", (long long)kept->disk_mb);
}
