/* SPDX-License-Identifier: MIT
 *
 * One table for both: a feature is there where one of its files is, in this node's group, or where
 * a probe says so.
 */
#include "manager/host/features.h"

#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manager/alloc/volumes.h"
#include "manager/host/budget.h"
#include "manager/host/references.h"
#include "shared/cleanup.h"
#include "shared/job/driver_config.h"
#include "shared/job/value.h"
#include "shared/log.h"

/* A task and the node it is to run on. */
struct demand {
    const struct job_task *def;
    const struct driver_config *options;
    const struct config *config;
};

/* Nobody is told of a default that is not kept. */
static bool asks_for_cpu(const struct demand *d)
{
    return d->def->resources.cpu_mhz != JOB_DEFAULT_CPU_MHZ;
}

static bool asks_for_memory(const struct demand *d)
{
    return d->def->resources.memory_mb != JOB_DEFAULT_MEMORY_MB ||
           d->def->resources.memory_max_mb != 0;
}

static bool asks_for_swap_limit(const struct demand *d)
{
    autoclose FILE *swaps = fopen("/proc/swaps", "re");
    char line[256];

    (void)d;
    /* Without swap there is nothing to limit; the first line is the heading. */
    return swaps && fgets(line, sizeof(line), swaps) && fgets(line, sizeof(line), swaps);
}

static bool asks_to_keep_memory(const struct demand *d)
{
    return d->def->resources.memory_max_mb != 0;
}

static bool asks_for_io_weight(const struct demand *d)
{
    return d->options->io_weight != 0;
}

static bool asks_for_oom_group(const struct demand *d)
{
    return d->options->oom_group;
}

static bool has_pids_by_default(const struct demand *d)
{
    return strcmp(d->def->driver, "raw_exec") == 0 ? d->config->raw_exec_pids_limit
                                                   : d->config->exec_pids_limit;
}

static bool restricts_devices(const struct cgroup_layout *cgroup)
{
    return cgroup->devices;
}

#define V1(member) offsetof(struct spec_cgroup, member)

static const struct feature {
    const char *name;
    const char *v2, *v2_or;                            /* files, in dirs.unified */
    const char *v1;                                    /* file, in the directory at … */
    size_t v1_dir;                                     /* … this offset in struct spec_cgroup */
    bool (*asks)(const struct demand *d);              /* NULL: said at fingerprint only */
    const char *lack;                                  /* what becomes of a task that asks for it */
    bool (*probe)(const struct cgroup_layout *cgroup); /* in place of the files */
} features[] = {
    {"cpu_weight", "cpu.weight", NULL, "cpu.shares", V1(cpu), asks_for_cpu,
     "\"cpu\" has no effect: the manager has no cgroup controller \"cpu\" for it (see cleat node "
     "status)",
     NULL},
    {"memory_limit", "memory.max", NULL, "memory.limit_in_bytes", V1(memory), asks_for_memory,
     "\"memory\" has no effect: the manager has no cgroup controller \"memory\" for it (see cleat "
     "node status)",
     NULL},
    {"memory_soft_limit", "memory.low", NULL, "memory.soft_limit_in_bytes", V1(memory),
     asks_to_keep_memory,
     "\"memory\" is not kept for it when memory runs short: this kernel cannot", NULL},
    {"swap_limit", "memory.swap.max", NULL, "memory.memsw.limit_in_bytes", V1(memory),
     asks_for_swap_limit,
     "it may use swap beyond \"memory\": this kernel does not account for swap (see swapaccount=1 "
     "of its command line)",
     NULL},
    {"oom_group", "memory.oom.group", NULL, NULL, 0, asks_for_oom_group,
     "\"oom_group\" is not this kernel's work (cgroup v1): the executor ends the task when "
     "it learns that one of its processes was killed",
     NULL},
    {"io_weight", "io.weight", "io.bfq.weight", "blkio.bfq.weight", V1(io), asks_for_io_weight,
     "\"io_weight\" has no effect: no I/O scheduler of this host takes weights (bfq does)", NULL},
    {"pids_limit", "pids.max", NULL, "pids.max", V1(pids), has_pids_by_default,
     "it may have any number of processes: the manager has no cgroup controller \"pids\" for "
     "its pids_limit",
     NULL},
    {"devices", NULL, NULL, NULL, 0, NULL,
     "only file modes and mount options keep tasks from devices: this host neither permits bpf(2) "
     "nor has the cgroup v1 controller \"devices\"",
     restricts_devices},
};

static bool is_file(const char *dir, const char *name)
{
    char path[PATH_MAX];

    return dir && name && snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path) &&
           access(path, F_OK) == 0;
}

static bool is_there(const struct feature *f, const struct cgroup_layout *cgroup)
{
    const struct spec_cgroup *dirs = &cgroup->dirs;

    if (f->probe)
        return f->probe(cgroup);
    if (dirs->v2_controllers)
        return is_file(dirs->unified, f->v2) || is_file(dirs->unified, f->v2_or);
    return is_file(*(char *const *)((const char *)dirs + f->v1_dir), f->v1);
}

static void attribute_name(const struct feature *f, char buf[64])
{
    (void)snprintf(buf, 64, "cgroup.%s", f->name);
}

void features_probe(json_t *attributes, const struct cgroup_layout *cgroup)
{
    for (size_t i = 0; i < ARRAY_LEN(features); i++) {
        const struct feature *f = &features[i];
        bool there = is_there(f, cgroup);
        char name[64];

        attribute_name(f, name);
        (void)json_object_set_new(attributes, name, json_string(there ? "true" : "false"));
        if (!there && !f->asks && !cgroup->reason)
            log_warn("%s", f->lack);
    }
}

struct warnings {
    char *text; /* a line each */
    unsigned int n;
};

static void warn(struct warnings *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void warn(struct warnings *w, const char *fmt, ...)
{
    char *before = w->text, line[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (asprintf(&w->text, "%s\n* %s", before ? before : "", line) < 0)
        abort();
    free(before);
    w->n++;
}

static const char *attribute(const json_t *attributes, const char *name)
{
    const char *text = json_string_value(json_object_get(attributes, name));

    return text ? text : "";
}

static void warn_of_task(struct warnings *w, const struct job_task *def,
                         const struct config *config, const json_t *attributes)
{
    struct driver_config options;
    struct demand d = {def, &options, config};
    struct err e = ERR_INIT;
    char name[64];

    if (driver_config_read(def, NULL, &options, &e) < 0)
        return; /* it was refused for that */
    if (strcmp(def->driver, "exec") == 0 &&
        strcmp(attribute(attributes, "cleat.rootless.proc"), "host") == 0)
        warn(w,
             "Task \"%s\": it sees the host's /proc, read-only: none of its own can be mounted "
             "here without root",
             def->name);
    for (size_t i = 0; i < ARRAY_LEN(features); i++) {
        attribute_name(&features[i], name);
        if (features[i].asks && strcmp(attribute(attributes, name), "false") == 0 &&
            features[i].asks(&d))
            warn(w, "Task \"%s\": %s", def->name, features[i].lack);
    }
    driver_config_deinit(&options);
}

static void warn_of_volumes(struct warnings *w, const struct job_group *group,
                            const struct job_task *def, const struct config *config)
{
    for (size_t i = 0; i < def->n_volume_mounts; i++) {
        const struct job_volume_mount *mount = &def->volume_mounts[i];
        const struct job_volume *volume = job_group_find_volume(group, mount->volume);
        const struct config_volume *host = volumes_find(config, volume->source);

        if (host && !volumes_propagates(host, mount->propagation))
            warn(w,
                 "Task \"%s\": the propagation_mode of the volume \"%s\" has no effect: on this "
                 "host the mount of %s is not shared (see mount --make-shared)",
                 def->name, volume->name, host->path);
    }
}

/* Of the default nobody expects that it is kept to. */
static void warn_of_disk(struct warnings *w, const struct job_group *group,
                         const json_t *attributes)
{
    if (group->disk.size_mb != JOB_DEFAULT_DISK_MB &&
        strcmp(attribute(attributes, "cleat.disk.quota"), "false") == 0)
        warn(
            w,
            "Group \"%s\": the size of its ephemeral_disk bounds its logs only: the file system of "
            "the allocations has no project quotas (see cleat-manager(8))",
            group->name);
}

/* Whoever asks for so many segments expects to find them. */
static void warn_of_logs(struct warnings *w, const struct job_group *group)
{
    double share_mb = (double)group->disk.size_mb / (double)group->n_tasks;

    for (size_t t = 0; t < group->n_tasks; t++) {
        const struct job_task *def = &group->tasks[t];
        double stream_mb = (double)def->logs.max_files * (double)def->logs.max_file_size_mb;

        if (!def->logs.disabled && stream_mb > share_mb)
            warn(w,
                 "Task \"%s\": max_files × max_file_size of its logs is %.0f MiB for each stream, "
                 "but both together are kept below %.0f MiB, its share of the group's "
                 "ephemeral_disk: the oldest segments go before there are so many",
                 def->name, stream_mb, share_mb);
    }
}

static const char *reserved(double kept, char buf[40])
{
    (void)snprintf(buf, 40, kept > 0 ? ", %.0f of them reserved" : "", kept);
    return buf;
}

/* All that the job may use at one time, against what the node has. */
static void warn_of_size(struct warnings *w, const struct job *job, const struct config *config,
                         const json_t *attributes)
{
    double mhz = 0, memory_mb = 0; /* no count overflows them */
    double kept_mhz = (double)config->reserved.cpu_mhz;
    double kept_mb = (double)config->reserved.memory_mb;
    char note[40];
    double has_mhz = strtod(attribute(attributes, "cpu.totalcompute"), NULL);
    double has_mb = strtod(attribute(attributes, "memory.totalbytes"), NULL) / (1 << 20);
    double has_processes = strtod(attribute(attributes, "cleat.limit.processes"), NULL);

    for (size_t g = 0; g < job->n_groups; g++)
        for (size_t t = 0; t < job->groups[g].n_tasks; t++) {
            const struct job_resources *res = &job->groups[g].tasks[t].resources;

            mhz += (double)res->cpu_mhz * (double)job->groups[g].count;
            memory_mb += (double)res->memory_mb * (double)job->groups[g].count;
        }
    if (has_processes > 0 && budget_processes(job) > has_processes)
        warn(w,
             "The job is at least %.0f processes, executors included, and this node may have %.0f: "
             "not all of its tasks will start (see pid_max, threads-max, and TasksMax= of the "
             "manager's unit)",
             budget_processes(job), has_processes);
    if (has_mhz > 0 && mhz > has_mhz - kept_mhz)
        warn(w, "The job asks for %.0f MHz of CPU, and this node has %.0f%s: its tasks share them",
             mhz, has_mhz, reserved(kept_mhz, note));
    if (has_mb > 0 && memory_mb > has_mb - kept_mb)
        warn(w,
             "The job asks for %.0f MiB of memory, and this node has %.0f%s: its tasks may be "
             "killed when they use it",
             memory_mb, has_mb, reserved(kept_mb, note));
}

struct unknown {
    struct warnings *warnings;
    const char *task;
};

static void warn_of_unknown(void *arg, const char *name, const char *field)
{
    const struct unknown *u = arg;

    warn(u->warnings,
         "Task \"%s\": nothing here is called ${%.100s}: it stays as it is written in %s", u->task,
         name, field);
}

static void warn_of_inert(void *arg, const char *owner, const char *name, const char *why)
{
    warn(arg, "%s: \"%s\" has no effect: %s", owner, name, why);
}

static void warn_of_blocked(struct warnings *w, const json_t *blocked)
{
    const char *name;
    json_t *entry;

    json_object_foreach((json_t *)blocked, name, entry)
    {
        warn(w, "Group \"%s\" is %s placed: %s", name,
             json_integer_value(json_object_get(entry, "Placed")) ? "only in part" : "not",
             json_string_value(json_object_get(entry, "Why")));
    }
}

/* Of one that is alone nobody expects another way. */
static void warn_of_replaced(struct warnings *w, const json_t *replaced)
{
    const char *name;
    json_t *n;

    json_object_foreach((json_t *)replaced, name, n) if (json_integer_value(n) > 1) warn(
        w,
        "Group \"%s\": all %lld allocations that change are stopped and started at once, none is "
        "waited for",
        name, (long long)json_integer_value(n));
}

static const json_t *shown_task(const json_t *job, size_t g, size_t t)
{
    const json_t *group = json_array_get(json_object_get(job, "TaskGroups"), g);

    return json_array_get(json_object_get(group, "Tasks"), t);
}

char *features_warnings(const struct job *job, const struct config *config,
                        const json_t *attributes, const json_t *blocked, const json_t *replaced)
{
    autojson json_t *shown = job_to_json(job);
    struct warnings w = {0};
    char *all;

    for (size_t g = 0; g < job->n_groups; g++) {
        warn_of_disk(&w, &job->groups[g], attributes);
        warn_of_logs(&w, &job->groups[g]);
    }
    for (size_t g = 0; g < job->n_groups; g++)
        for (size_t t = 0; t < job->groups[g].n_tasks; t++) {
            warn_of_task(&w, &job->groups[g].tasks[t], config, attributes);
            struct unknown unknown = {&w, job->groups[g].tasks[t].name};

            warn_of_volumes(&w, &job->groups[g], &job->groups[g].tasks[t], config);
            references_unknown(job, &job->groups[g], &job->groups[g].tasks[t],
                               shown_task(shown, g, t), config, attributes, warn_of_unknown,
                               &unknown);
        }
    warn_of_blocked(&w, blocked);
    job_each_inert(job, warn_of_inert, &w);
    warn_of_replaced(&w, replaced);
    warn_of_size(&w, job, config, attributes);
    if (!w.n)
        all = strdup("");
    else if (asprintf(&all, "%u warning%s:\n%s", w.n, w.n > 1 ? "s" : "", w.text) < 0)
        all = NULL;
    if (!all)
        abort();
    free(w.text);
    return all;
}
