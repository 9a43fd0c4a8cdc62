/* SPDX-License-Identifier: MIT
 *
 * Every field of a job, with Nomad's names in HCL and in its JSON API, default and limits. What
 * holds between several fields is in job.c. The neutral values are what Nomad's own command line
 * fills in for blocks the job file does not have; they must not stop a job from being registered.
 */
#include "shared/job/job_schema.h"

#include <errno.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/job/artifact.h"
#include "shared/job/driver_config.h"
#include "shared/job/inert.h"
#include "shared/job/job.h"
#include "shared/job/template.h"
#include "shared/job/volume.h"
#include "shared/units.h"

enum {
    NAME_MAX_BYTES = 200,
    MEMORY_MAX_MB = 1 << 30,
    LOG_FILE_MAX_MB = 1 << 20,
    DISK_MAX_MB = 1 << 30
};

#define NEUTRAL_MIGRATE                                                                            \
    "[{\"MaxParallel\":1,\"HealthCheck\":\"checks\",\"MinHealthyTime\":10000000000,"               \
    "\"HealthyDeadline\":300000000000}]"
#define NEUTRAL_UPDATE                                                                             \
    "[{\"Stagger\":30000000000,\"MaxParallel\":1,\"HealthCheck\":\"checks\","                      \
    "\"MinHealthyTime\":10000000000,\"HealthyDeadline\":300000000000,"                             \
    "\"ProgressDeadline\":600000000000}]"
#define NEUTRAL_RESCHEDULE                                                                         \
    "[{\"Delay\":30000000000,\"DelayFunction\":\"exponential\",\"MaxDelay\":3600000000000,"        \
    "\"Unlimited\":true},"                                                                         \
    "{\"Attempts\":1,\"Interval\":86400000000000,\"Delay\":5000000000,"                            \
    "\"DelayFunction\":\"constant\"}]"

/* ---- checks of one field ---- */

/* Names become parts of file names, environment values and log lines. */
static int check_name(struct schema_context *ctx, const struct schema_field *field, const void *obj,
                      struct schema_source source)
{
    const char *name = *(char *const *)((const char *)obj + field->offset);

    if (strlen(name) > NAME_MAX_BYTES)
        return schema_fail(ctx, source.pos, -EINVAL,
                           "this name is longer than %d bytes; shorten it", NAME_MAX_BYTES);
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return schema_fail(ctx, source.pos, -EINVAL,
                               "this name has a control character; use letters, digits, \"-\", "
                               "\"_\" and \".\"");
    return 0;
}

static int check_job_id(struct schema_context *ctx, const struct schema_field *field,
                        const void *obj, struct schema_source source)
{
    const struct job *job = obj;

    if (strchr(job->id, ' '))
        return schema_fail(ctx, source.pos, -EINVAL,
                           "the job's name \"%.64s\" has a space in it; use \"-\"", job->id);
    return check_name(ctx, field, obj, source);
}

static int check_task_name(struct schema_context *ctx, const struct schema_field *field,
                           const void *obj, struct schema_source source)
{
    const struct job_task *task = obj;

    if (strpbrk(task->name, "/\\") || strcmp(task->name, ".") == 0 || strcmp(task->name, "..") == 0)
        return schema_fail(ctx, source.pos, -EINVAL,
                           "the task's name \"%.64s\" becomes a directory and cannot have \"/\" or "
                           "\"\\\" in it or be \".\" or \"..\"; rename it",
                           task->name);
    if (strcmp(task->name, "alloc") == 0)
        return schema_fail(ctx, source.pos, -EINVAL,
                           "a task cannot be named \"alloc\": that is the directory the tasks "
                           "share; rename it");
    return check_name(ctx, field, obj, source);
}

static int check_signal(struct schema_context *ctx, const struct schema_field *field,
                        const void *obj, struct schema_source source)
{
    const struct job_task *task = obj;

    (void)field;
    if (!*task->kill_signal || signal_parse(task->kill_signal) > 0)
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "there is no signal \"%.64s\"; use a name such as \"SIGTERM\" or \"SIGINT\"",
                       task->kill_signal);
}

static int check_env(struct schema_context *ctx, const struct schema_field *field, const void *obj,
                     struct schema_source source)
{
    const struct job_task *task = obj;
    const char *name;
    json_t *value;

    (void)field;
    json_object_foreach(task->env, name, value) if (!*name || strchr(name, '=')) return schema_fail(
        ctx, source.pos, -EINVAL,
        "\"%.64s\" cannot be the name of an environment variable; names are "
        "not empty and have no \"=\"",
        name);
    return 0;
}

/* ---- checks of resources and logs: the fields a check looks at stand above its own ---- */

static int check_cpu(struct schema_context *ctx, const struct schema_field *field, const void *obj,
                     struct schema_source source)
{
    const struct job_resources *res = obj;

    (void)field;
    if (res->cores && res->cpu_mhz > 0)
        return schema_fail(ctx, source.pos, -EINVAL,
                           "a task takes \"cores\", which are its own, or \"cpu\", a share of the "
                           "others; remove one");
    if (!res->cores && res->cpu_mhz == 0)
        return schema_fail(ctx, source.pos, -EINVAL,
                           "\"cpu\" is less than the least allowed, 1 (MHz)");
    return 0;
}

static int check_memory_max(struct schema_context *ctx, const struct schema_field *field,
                            const void *obj, struct schema_source source)
{
    const struct job_resources *res = obj;

    (void)field;
    if (res->memory_max_mb <= 0 || res->memory_max_mb >= res->memory_mb)
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "\"memory_max\", %lld, is less than \"memory\", %lld; raise it, or leave it "
                       "out",
                       (long long)res->memory_max_mb, (long long)res->memory_mb);
}

static int check_secrets(struct schema_context *ctx, const struct schema_field *field,
                         const void *obj, struct schema_source source)
{
    const struct job_resources *res = obj;

    (void)field;
    if (!res->secrets_mb || res->memory_mb - res->secrets_mb >= JOB_LEAST_MEMORY_MB)
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "\"secrets\", %lld, is taken from \"memory\", %lld, and leaves less than %d "
                       "MiB of it to the task; lower the one or raise the other",
                       (long long)res->secrets_mb, (long long)res->memory_mb, JOB_LEAST_MEMORY_MB);
}

static int check_max_age(struct schema_context *ctx, const struct schema_field *field,
                         const void *obj, struct schema_source source)
{
    const struct job_logs *logs = obj;

    (void)field;
    if (!logs->max_age_ns || logs->max_age_ns >= 1000000000)
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "\"max_age\" of log files is less than 1s; raise it");
}

static int check_compress_after(struct schema_context *ctx, const struct schema_field *field,
                                const void *obj, struct schema_source source)
{
    const struct job_logs *logs = obj;

    (void)field;
    if (logs->compress != JOB_COMPRESS_NONE || logs->compress_after_ns <= 0)
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "\"compress_after\" says when to compress finished log files, but nothing "
                       "says how; add compress = \"gzip\"");
}

static int check_restart_mode(struct schema_context *ctx, const struct schema_field *field,
                              const void *obj, struct schema_source source)
{
    const struct job_restart *restart = obj;

    (void)field;
    if (strcmp(restart->mode, "fail") == 0 || strcmp(restart->mode, "delay") == 0 ||
        !*restart->mode)
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL, "\"mode\" is \"fail\" or \"delay\", not \"%.64s\"",
                       restart->mode);
}

/* ---- restart, logs, resources ---- */

/* -1 and "" are "not given": job.c fills in the group's or the type's. */
static const struct schema_field restart_fields[] = {
    SCHEMA_FIELD(PRESENT, job_restart, set, NULL, NULL),
    SCHEMA_FIELD(POS, job_restart, pos, NULL, NULL),
    SCHEMA_FIELD(INT, job_restart, attempts, "attempts", "Attempts", .def = "-1"),
    SCHEMA_FIELD(DURATION, job_restart, interval_ns, "interval", "Interval", .def = "-1"),
    SCHEMA_FIELD(DURATION, job_restart, delay_ns, "delay", "Delay", .def = "-1"),
    SCHEMA_FIELD(STRING, job_restart, mode, "mode", "Mode", .check = check_restart_mode),
    SCHEMA_LATER("render_templates", "RenderTemplates"),
};

static const struct schema restart_schema = {
    .what = "restart block",
    .size = sizeof(struct job_restart),
    .fields = restart_fields,
    .n_fields = ARRAY_LEN(restart_fields),
};

static const char *const compress_names[JOB_COMPRESS_N + 1] = {"none", "gzip"};
static const char *const on_full_names[JOB_ON_FULL_N + 1] = {"drop", "block"};

/* compress_after: -1 is "not given", job.c fills it in. */
static const struct schema_field logs_fields[] = {
    SCHEMA_FIELD(POS, job_logs, pos, NULL, NULL),
    SCHEMA_FIELD(INT, job_logs, max_files, "max_files", "MaxFiles", .def = "10", .min = 1),
    SCHEMA_FIELD(INT, job_logs, max_file_size_mb, "max_file_size", "MaxFileSizeMB", .def = "10",
                 .min = 1, .max = LOG_FILE_MAX_MB),
    SCHEMA_FIELD(BOOL, job_logs, disabled, "disabled", "Disabled"),
    SCHEMA_FIELD(DURATION, job_logs, max_age_ns, "max_age", "MaxAge", .sparse = true,
                 .check = check_max_age),
    SCHEMA_FIELD(ENUM, job_logs, compress, "compress", "Compress", .def = "none",
                 .names = compress_names, .sparse = true),
    SCHEMA_FIELD(DURATION, job_logs, compress_after_ns, "compress_after", "CompressAfter",
                 .def = "-1", .sparse = true, .check = check_compress_after),
    SCHEMA_FIELD(ENUM, job_logs, on_full, "on_full", "OnFull", .def = "drop",
                 .names = on_full_names, .sparse = true),
    SCHEMA_LATER("enabled", "Enabled", .neutral = "[true]", .why = "use \"disabled = true\""),
};

static const struct schema logs_schema = {
    .what = "logs block",
    .size = sizeof(struct job_logs),
    .fields = logs_fields,
    .n_fields = ARRAY_LEN(logs_fields),
};

static const struct schema_field resources_fields[] = {
    SCHEMA_FIELD(INT, job_resources, cores, "cores", "Cores", .max = 1024),
    /* -1 is "not given": job.c fills in 100 unless there are cores. */
    SCHEMA_FIELD(INT, job_resources, cpu_mhz, "cpu", "CPU", .def = "-1", .max = 1000000000,
                 .check = check_cpu),
    /* JOB_DEFAULT_MEMORY_MB */
    SCHEMA_FIELD(INT, job_resources, memory_mb, "memory", "MemoryMB", .def = "300", .min = 10,
                 .max = MEMORY_MAX_MB),
    SCHEMA_FIELD(INT, job_resources, memory_max_mb, "memory_max", "MemoryMaxMB", .min = -1,
                 .max = MEMORY_MAX_MB, .check = check_memory_max),
    SCHEMA_FIELD(INT, job_resources, secrets_mb, "secrets", "SecretsMB", .max = MEMORY_MAX_MB,
                 .check = check_secrets, .sparse = true),
    SCHEMA_FIELD(INT, job_resources, pids, "pids", "Pids", .max = 4194304),
    SCHEMA_LATER("device", "Devices",
                 .why =
                     "there are no device plugins; name the host's nodes in devices = [ ] of the "
                     "driver exec's config"),
    SCHEMA_LATER("numa", "NUMA", .neutral = "[{\"Affinity\":\"none\"}]",
                 .why = "use \"cores\" for processors of its own"),
    SCHEMA_LATER("network", "Networks",
                 .why = "no ports are given out; remove it, and have the task listen where its "
                        "arguments say"),
    SCHEMA_INERT(job_resources, inert, "disk", "DiskMB", "\"ephemeral_disk\" of the group has it",
                 .neutral = "[300]"),
    SCHEMA_INERT(job_resources, inert, "iops", "IOPS", "\"io_weight\" in the driver's config has"),
    SCHEMA_LATER("custom", "Custom"),
};

static const struct schema resources_schema = {
    .what = "resources block",
    .size = sizeof(struct job_resources),
    .fields = resources_fields,
    .n_fields = ARRAY_LEN(resources_fields),
};

/* ---- task ---- */

bool job_restarts_on_success(enum job_type type, const struct job_task *task)
{
    switch (task->lifecycle.hook) {
    case JOB_HOOK_PRESTART:
    case JOB_HOOK_POSTSTART:
        return task->lifecycle.sidecar;
    case JOB_HOOK_POSTSTOP:
        return false;
    default:
        return !job_type_is_batch(type);
    }
}

static const char *const hook_names[JOB_HOOK_N + 1] = {"", "prestart", "poststart", "poststop"};

static const struct schema_field lifecycle_fields[] = {
    SCHEMA_FIELD(PRESENT, job_lifecycle, set, NULL, NULL),
    SCHEMA_FIELD(ENUM, job_lifecycle, hook, "hook", "Hook", .names = hook_names, .required = true),
    SCHEMA_FIELD(BOOL, job_lifecycle, sidecar, "sidecar", "Sidecar"),
};

static const struct schema lifecycle_schema = {
    .what = "lifecycle block",
    .size = sizeof(struct job_lifecycle),
    .fields = lifecycle_fields,
    .n_fields = ARRAY_LEN(lifecycle_fields),
};

static const struct schema_field task_fields[] = {
    SCHEMA_FIELD(STRING, job_task, name, NULL, "Name", .required = true, .check = check_task_name),
    SCHEMA_FIELD(POS, job_task, pos, NULL, NULL),
    SCHEMA_FIELD(STRING, job_task, driver, "driver", "Driver", .required = true,
                 .check = driver_check_name),
    SCHEMA_FIELD(FREE_MAP, job_task, config, "config", "Config", .required = true,
                 .check = driver_check_config),
    SCHEMA_FIELD(STRING_MAP, job_task, env, "env", "Env", .check = check_env),
    SCHEMA_FIELD(STRING_MAP, job_task, meta, "meta", "Meta"),
    SCHEMA_FIELD(STRING, job_task, user, "user", "User"),
    SCHEMA_FIELD(STRING, job_task, kill_signal, "kill_signal", "KillSignal", .check = check_signal),
    SCHEMA_FIELD(DURATION, job_task, kill_timeout_ns, "kill_timeout", "KillTimeout", .def = "5s"),
    SCHEMA_FIELD(DURATION, job_task, shutdown_delay_ns, "shutdown_delay", "ShutdownDelay"),
    SCHEMA_FIELD(BLOCK, job_task, logs, "logs", "LogConfig", .block = &logs_schema),
    SCHEMA_FIELD(BLOCK, job_task, resources, "resources", "Resources", .block = &resources_schema),
    SCHEMA_FIELD(BLOCK, job_task, restart, "restart", "RestartPolicy", .block = &restart_schema),
    SCHEMA_INERT(job_task, inert, "action", "Actions",
                 "start its command with \"cleat alloc exec\"", .block = &action_schema,
                 .repeats = true),
    SCHEMA_INERT(job_task, inert, "affinity", "Affinities", NO_SECOND_HOST,
                 .block = &affinity_schema, .repeats = true),
    SCHEMA_FIELD(BLOCKS, job_task, constraints, "constraint", "Constraints",
                 .count = offsetof(struct job_task, n_constraints), .block = &constraint_schema,
                 .sparse = true),
    SCHEMA_LATER("consul", "Consul", .why = NO_CONSUL),
    SCHEMA_LATER("csi_plugin", "CSIPluginConfig",
                 .why = "there are host volumes only: host_volume in the manager's configuration"),
    SCHEMA_LATER("identity", "Identity", .why = "there are no servers to sign one; remove it"),
    SCHEMA_LATER(NULL, "Identities"),
    SCHEMA_LATER("kind", "Kind", .why = NO_CONSUL),
    SCHEMA_FIELD(BOOL, job_task, leader, "leader", "Leader"),
    SCHEMA_FIELD(BLOCK, job_task, lifecycle, "lifecycle", "Lifecycle", .block = &lifecycle_schema,
                 .optional = true),
    SCHEMA_INERT(job_task, inert, "scaling", "ScalingPolicies", NO_AUTOSCALER,
                 .block = &task_scaling_schema, .repeats = true),
    SCHEMA_LATER("schedule", "Schedule", .why = "use \"periodic\" of the job"),
    SCHEMA_LATER("secret", "Secrets", .why = "write it with a template into secrets/"),
    SCHEMA_LATER("service", "Services", .why = NO_SERVICES),
    SCHEMA_FIELD(BLOCKS, job_task, templates, "template", "Templates",
                 .count = offsetof(struct job_task, n_templates), .block = &template_schema,
                 .sparse = true),
    SCHEMA_LATER("vault", "Vault", .why = NO_VAULT),
    SCHEMA_FIELD(BLOCKS, job_task, volume_mounts, "volume_mount", "VolumeMounts",
                 .count = offsetof(struct job_task, n_volume_mounts), .block = &volume_mount_schema,
                 .sparse = true),
    SCHEMA_FIELD(BLOCK, job_task, dispatch_payload, "dispatch_payload", "DispatchPayload",
                 .block = &dispatch_payload_schema, .optional = true),
    SCHEMA_FIELD(BLOCKS, job_task, artifacts, "artifact", "Artifacts",
                 .count = offsetof(struct job_task, n_artifacts), .block = &artifact_schema,
                 .sparse = true),
};

static const struct schema task_schema = {
    .what = "task",
    .size = sizeof(struct job_task),
    .labelled = true,
    .fields = task_fields,
    .n_fields = ARRAY_LEN(task_fields),
};

/* ---- group ---- */

static const struct schema_field disk_fields[] = {
    SCHEMA_FIELD(INT, job_disk, size_mb, "size", "SizeMB", .def = "300", .min = 10,
                 .max = DISK_MAX_MB, .zero_is_unset = true), /* JOB_DEFAULT_DISK_MB */
    SCHEMA_FIELD(BOOL, job_disk, sticky, "sticky", "Sticky"),
    SCHEMA_FIELD(BOOL, job_disk, migrate, "migrate", "Migrate"),
};

static const struct schema disk_schema = {
    .what = "ephemeral_disk block",
    .size = sizeof(struct job_disk),
    .fields = disk_fields,
    .n_fields = ARRAY_LEN(disk_fields),
};

static const struct schema_field group_fields[] = {
    SCHEMA_FIELD(STRING, job_group, name, NULL, "Name", .required = true, .check = check_name),
    SCHEMA_FIELD(POS, job_group, pos, NULL, NULL),
    SCHEMA_FIELD(INT, job_group, count, "count", "Count", .def = "1", .max = 10000),
    SCHEMA_FIELD(STRING_MAP, job_group, meta, "meta", "Meta"),
    SCHEMA_FIELD(BLOCK, job_group, restart, "restart", "RestartPolicy", .block = &restart_schema),
    SCHEMA_FIELD(BLOCKS, job_group, tasks, "task", "Tasks",
                 .count = offsetof(struct job_group, n_tasks), .block = &task_schema),
    SCHEMA_INERT(job_group, inert, "affinity", "Affinities", NO_SECOND_HOST,
                 .block = &affinity_schema, .repeats = true),
    SCHEMA_FIELD(BLOCKS, job_group, constraints, "constraint", "Constraints",
                 .count = offsetof(struct job_group, n_constraints), .block = &constraint_schema,
                 .sparse = true),
    SCHEMA_LATER("consul", "Consul", .why = NO_CONSUL),
    SCHEMA_INERT(job_group, inert, "disconnect", "Disconnect", NO_SERVER,
                 .block = &disconnect_schema),
    SCHEMA_FIELD(BLOCK, job_group, disk, "ephemeral_disk", "EphemeralDisk", .block = &disk_schema),
    SCHEMA_INERT(job_group, inert, "max_client_disconnect", "MaxClientDisconnect", NO_SERVER,
                 .as = FIELD_DURATION),
    SCHEMA_INERT(job_group, inert, "migrate", "Migrate", NO_SECOND_HOST, .block = &migrate_schema,
                 .neutral = NEUTRAL_MIGRATE),
    SCHEMA_LATER("network", "Networks",
                 .why = "no ports are given out; remove it, and have the task listen where its "
                        "arguments say"),
    SCHEMA_INERT(job_group, inert, "prevent_reschedule_on_lost", "PreventRescheduleOnLost",
                 NO_SERVER),
    SCHEMA_INERT(job_group, inert, "reschedule", "ReschedulePolicy", NO_RESCHEDULING,
                 .block = &reschedule_schema, .neutral = NEUTRAL_RESCHEDULE),
    SCHEMA_INERT(job_group, inert, "scaling", "Scaling", NO_AUTOSCALER, .block = &scaling_schema),
    SCHEMA_LATER("service", "Services", .why = NO_SERVICES),
    SCHEMA_FIELD(DURATION, job_group, shutdown_delay_ns, "shutdown_delay", "ShutdownDelay"),
    SCHEMA_INERT(job_group, inert, "spread", "Spreads", NO_SECOND_HOST, .block = &spread_schema,
                 .repeats = true),
    SCHEMA_INERT(job_group, inert, "stop_after_client_disconnect", "StopAfterClientDisconnect",
                 NO_SERVER, .as = FIELD_DURATION),
    SCHEMA_INERT(job_group, inert, "update", "Update", ALL_AT_ONCE, .block = &update_schema,
                 .neutral = NEUTRAL_UPDATE),
    SCHEMA_LATER("vault", NULL, .why = NO_VAULT),
    SCHEMA_FIELD(BLOCKS, job_group, volumes, "volume", "Volumes",
                 .count = offsetof(struct job_group, n_volumes), .block = &volume_schema,
                 .by_name = true, .sparse = true),
};

static const struct schema group_schema = {
    .what = "group",
    .size = sizeof(struct job_group),
    .labelled = true,
    .fields = group_fields,
    .n_fields = ARRAY_LEN(group_fields),
};

/* ---- job ---- */

static const char *const job_types[JOB_TYPE_N + 1] = {"service", "batch", "system", "sysbatch"};

const char *job_type_name(enum job_type type)
{
    return job_types[type];
}

bool job_type_is_batch(enum job_type type)
{
    return type == JOB_TYPE_BATCH || type == JOB_TYPE_SYSBATCH;
}

bool job_type_is_system(enum job_type type)
{
    return type == JOB_TYPE_SYSTEM || type == JOB_TYPE_SYSBATCH;
}

static const struct schema_field job_fields[] = {
    SCHEMA_FIELD(STRING, job, id, NULL, "ID", .required = true, .check = check_job_id),
    SCHEMA_FIELD(POS, job, pos, NULL, NULL),
    SCHEMA_FIELD(STRING, job, name, "name", "Name", .check = check_name),
    SCHEMA_FIELD(ENUM, job, type, "type", "Type", .def = "service", .names = job_types),
    SCHEMA_FIELD(STRING, job, region, "region", "Region", .def = "global", .check = check_name),
    SCHEMA_FIELD(STRING, job, namespace_, "namespace", "Namespace", .def = "default",
                 .check = check_name),
    SCHEMA_FIELD(INT, job, priority, "priority", "Priority", .def = "50", .min = 1, .max = 100),
    SCHEMA_FIELD(STRINGS, job, datacenters, "datacenters", "Datacenters", .def = "*"),
    SCHEMA_FIELD(STRING, job, node_pool, "node_pool", "NodePool", .def = "default",
                 .check = check_name),
    SCHEMA_FIELD(STRING_MAP, job, meta, "meta", "Meta"),
    SCHEMA_FIELD(BLOCK, job, periodic, "periodic", "Periodic", .block = &periodic_schema,
                 .optional = true),
    SCHEMA_FIELD(BLOCK, job, parameterized, "parameterized", "ParameterizedJob",
                 .block = &parameterized_schema, .optional = true),
    SCHEMA_FIELD(STRING, job, parent_id, NULL, "ParentID", .sparse = true),
    SCHEMA_FIELD(BOOL, job, dispatched, NULL, "Dispatched", .sparse = true),
    SCHEMA_FIELD(STRING, job, payload, NULL, "Payload", .sparse = true),
    SCHEMA_FIELD(STRING, job, idempotency_token, NULL, "DispatchIdempotencyToken", .sparse = true),
    SCHEMA_FIELD(BLOCKS, job, groups, "group", "TaskGroups",
                 .count = offsetof(struct job, n_groups), .block = &group_schema),
    SCHEMA_FIELD(BLOCKS, job, loose_tasks, "task", NULL,
                 .count = offsetof(struct job, n_loose_tasks), .block = &task_schema),
    SCHEMA_INERT(job, inert, "affinity", "Affinities", NO_SECOND_HOST, .block = &affinity_schema,
                 .repeats = true),
    SCHEMA_INERT(job, inert, "all_at_once", "AllAtOnce", "a job is placed whole or not at all"),
    SCHEMA_FIELD(BLOCKS, job, constraints, "constraint", "Constraints",
                 .count = offsetof(struct job, n_constraints), .block = &constraint_schema,
                 .sparse = true),
    SCHEMA_LATER("consul_namespace", "ConsulNamespace", .why = NO_CONSUL),
    SCHEMA_LATER("consul_token", "ConsulToken", .why = NO_CONSUL),
    SCHEMA_INERT(job, inert, "migrate", "Migrate", NO_SECOND_HOST, .block = &migrate_schema,
                 .neutral = NEUTRAL_MIGRATE),
    SCHEMA_LATER("multiregion", "Multiregion", .why = "one host is one region; remove it"),
    SCHEMA_INERT(job, inert, "reschedule", "Reschedule", NO_RESCHEDULING,
                 .block = &reschedule_schema, .neutral = NEUTRAL_RESCHEDULE),
    SCHEMA_INERT(job, inert, "spread", "Spreads", NO_SECOND_HOST, .block = &spread_schema,
                 .repeats = true),
    SCHEMA_INERT(job, inert, "ui", "UI", "it is for Nomad's own pages", .block = &ui_schema),
    SCHEMA_INERT(job, inert, "update", "Update", ALL_AT_ONCE, .block = &update_schema,
                 .neutral = NEUTRAL_UPDATE),
    SCHEMA_LATER("vault", NULL, .why = NO_VAULT),
    SCHEMA_LATER("vault_namespace", "VaultNamespace", .why = NO_VAULT),
    SCHEMA_LATER("vault_token", "VaultToken", .why = NO_VAULT),
    SCHEMA_IGNORED("CreateIndex"),
    SCHEMA_IGNORED("JobModifyIndex"),
    SCHEMA_IGNORED("ModifyIndex"),
    SCHEMA_IGNORED("NomadTokenID"),
    SCHEMA_IGNORED("Stable"),
    SCHEMA_IGNORED("Status"),
    SCHEMA_IGNORED("StatusDescription"),
    SCHEMA_IGNORED("Stop"),
    SCHEMA_IGNORED("SubmitTime"),
    SCHEMA_IGNORED("Version"),
    SCHEMA_IGNORED("VersionTag"),
};

const struct schema job_schema = {
    .what = "job",
    .size = sizeof(struct job),
    .labelled = true,
    .fields = job_fields,
    .n_fields = ARRAY_LEN(job_fields),
};

static const struct schema_field root_fields[] = {
    SCHEMA_FIELD(BLOCKS, job_root, jobs, "job", NULL, .count = offsetof(struct job_root, n_jobs),
                 .block = &job_schema),
    SCHEMA_LATER("locals", NULL),
    SCHEMA_LATER("variable", NULL),
    SCHEMA_LATER("variables", NULL),
    SCHEMA_LATER("vault", NULL),
};

void job_each_inert(const struct job *job,
                    void (*each)(void *arg, const char *owner, const char *name, const char *why),
                    void *arg)
{
    struct inert_walk walk = {.each = each, .arg = arg};

    inert_walk(&walk, &job_schema, job, "Job");
    for (size_t g = 0; g < job->n_groups; g++) {
        const struct job_group *group = &job->groups[g];

        inert_walk(&walk, &group_schema, group, "Group \"%s\"", group->name);
        for (size_t t = 0; t < group->n_tasks; t++) {
            const struct job_task *task = &group->tasks[t];

            inert_walk(&walk, &task_schema, task, "Task \"%s\"", task->name);
            inert_walk(&walk, &resources_schema, &task->resources, "Task \"%s\"", task->name);
        }
    }
}

const struct schema job_root_schema = {
    .what = "job file",
    .size = sizeof(struct job_root),
    .fields = root_fields,
    .n_fields = ARRAY_LEN(root_fields),
};
