/* SPDX-License-Identifier: MIT
 *
 * One table per driver; a driver is known here by its row in `drivers`. The config stays JSON in
 * the job, as written, and is read twice by the same table: to check it when the job comes in, and
 * to use it when the task starts.
 */
#include "shared/job/driver_config.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/job/artifact.h"
#include "shared/job/value.h"
#include "shared/job/words.h"

struct exec_config {
    struct driver_config config; /* without what is below */
    json_t *args;                /* a list, or the old forms; NULL: none */
    json_t *ulimit;              /* a map */
    json_t *devices;             /* a list; NULL: none */
    unsigned int network_mode;   /* index into network_modes */
};

/* The arguments in any of their forms, as a NULL-terminated array. -EINVAL. */
static int read_args(const json_t *args, char ***ret)
{
    autojson json_t *list = NULL;

    if (json_is_array(args))
        return value_strings(args, ret);
    if (json_is_string(args))
        return words_split(json_string_value(args), ret);
    if (args && !json_is_number(args))
        return -EINVAL;
    list = args ? json_pack("[O]", args) : json_array();
    return list ? value_strings(list, ret) : -ENOMEM;
}

static int check_args(struct schema_context *ctx, const struct schema_field *field, const void *obj,
                      struct schema_source source)
{
    const struct exec_config *config = obj;
    char **args = NULL;
    int r = read_args(config->args, &args);

    (void)field;
    value_free_strings(args);
    if (r == -EINVAL)
        return schema_fail(ctx, source.pos, r,
                           "\"args\" must be a list of strings such as [\"-c\", \"sleep 1\"], or "
                           "one text with all its quotes closed");
    return r;
}

static int check_absolute(struct schema_context *ctx, const struct schema_field *field,
                          const void *obj, struct schema_source source)
{
    const char *path = *(char *const *)((const char *)obj + field->offset);

    if (!*path || *path == '/' || strncmp(path, "${", 2) == 0)
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "\"%s\" must be an absolute path; write \"/%.64s\"", field->hcl, path);
}

static int check_mode(struct schema_context *ctx, const struct schema_field *field, const void *obj,
                      struct schema_source source)
{
    const char *mode = *(char *const *)((const char *)obj + field->offset);

    if (!*mode || strcmp(mode, "private") == 0 || strcmp(mode, "host") == 0)
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL, "\"%s\" is \"private\" or \"host\", not \"%.64s\"",
                       field->hcl, mode);
}

static int check_hostname(struct schema_context *ctx, const struct schema_field *field,
                          const void *obj, struct schema_source source)
{
    const struct driver_config *config = &((const struct exec_config *)obj)->config;

    (void)field;
    if (strlen(config->hostname) > HOST_NAME_MAX)
        return schema_fail(ctx, source.pos, -EINVAL, "\"hostname\" is longer than %d bytes",
                           HOST_NAME_MAX);
    if (*config->hostname && strcmp(config->uts_mode, "host") == 0)
        return schema_fail(ctx, source.pos, -EINVAL,
                           "a \"hostname\" of its own needs uts_mode = \"private\"; remove one");
    return 0;
}

static int check_ulimit(struct schema_context *ctx, const struct schema_field *field,
                        const void *obj, struct schema_source source)
{
    struct ulimit ulimits[ULIMIT_MAX];
    struct err e = ERR_INIT;
    int r = ulimit_read(((const struct exec_config *)obj)->ulimit, ulimits, &e);

    (void)field;
    return r < 0 ? schema_fail(ctx, source.pos, r, "%s", e.text) : 0;
}

/* Nobody knows yet what it is. */
static bool is_open(const struct schema_context *ctx, const json_t *json)
{
    return ctx->defers && value_has_reference(json);
}

static int check_devices(struct schema_context *ctx, const struct schema_field *field,
                         const void *obj, struct schema_source source)
{
    struct device *devices = NULL;
    struct err e = ERR_INIT;
    size_t n = 0;
    int r = is_open(ctx, ((const struct exec_config *)obj)->devices)
                ? 0
                : device_read_list(((const struct exec_config *)obj)->devices, &devices, &n, &e);

    (void)field;
    device_free_list(devices, n);
    return r < 0 ? schema_fail(ctx, source.pos, r, "%s", e.text) : 0;
}

#define COMMAND_FIELDS                                                                             \
    SCHEMA_FIELD(STRING, exec_config, config.command, "command", "command", .required = true),     \
        SCHEMA_FIELD(ANY, exec_config, args, "args", "args", .check = check_args),                 \
        SCHEMA_FIELD(STRING, exec_config, config.work_dir, "work_dir", "work_dir",                 \
                     .check = check_absolute),                                                     \
        SCHEMA_FIELD(STRING, exec_config, config.stdin_path, "stdin", "stdin",                     \
                     .check = check_absolute),                                                     \
        SCHEMA_FIELD(INT, exec_config, config.oom_score_adj, "oom_score_adj", "oom_score_adj",     \
                     .max = 1000),                                                                 \
        SCHEMA_FIELD(INT, exec_config, config.nice, "nice", "nice", .min = -20, .max = 19),        \
        SCHEMA_FIELD(FREE_MAP, exec_config, ulimit, "ulimit", "ulimit", .check = check_ulimit),    \
        SCHEMA_FIELD(BOOL, exec_config, config.cpu_hard_limit, "cpu_hard_limit",                   \
                     "cpu_hard_limit"),                                                            \
        SCHEMA_FIELD(INT, exec_config, config.cpu_cfs_period, "cpu_cfs_period", "cpu_cfs_period",  \
                     .min = 1000, .max = 1000000),                                                 \
        SCHEMA_FIELD(INT, exec_config, config.io_weight, "io_weight", "io_weight", .min = 1,       \
                     .max = 10000),                                                                \
        SCHEMA_FIELD(BOOL, exec_config, config.oom_group, "oom_group", "oom_group"),               \
        SCHEMA_FIELD(STRING, exec_config, config.artifact_source, "artifact_source",               \
                     "artifact_source"),                                                           \
        SCHEMA_FIELD(STRING, exec_config, config.checksum, "checksum", "checksum")

#define MODE_FIELD(name)                                                                           \
    SCHEMA_FIELD(STRING, exec_config, config.name, #name, #name, .check = check_mode)

static const char *const network_modes[] = {"host", "none", NULL};
static const char *const later_network_modes[] = {"bridge", NULL};
static const char *const seccomp_modes[] = {"default", "unconfined", NULL};

static const struct schema_field exec_fields[] = {
    COMMAND_FIELDS,
    SCHEMA_FIELD(STRINGS, exec_config, config.cap_add, "cap_add", "cap_add"),
    SCHEMA_FIELD(STRINGS, exec_config, config.cap_drop, "cap_drop", "cap_drop"),
    SCHEMA_FIELD(ENUM, exec_config, config.seccomp, "seccomp", "seccomp", .def = "default",
                 .names = seccomp_modes),
    SCHEMA_FIELD(ANY, exec_config, devices, "devices", "devices", .check = check_devices),
    SCHEMA_FIELD(BOOL, exec_config, config.userns, "userns", "userns"),
    MODE_FIELD(pid_mode),
    MODE_FIELD(ipc_mode),
    MODE_FIELD(uts_mode),
    MODE_FIELD(cgroup_mode),
    SCHEMA_FIELD(STRING, exec_config, config.hostname, "hostname", "hostname",
                 .check = check_hostname),
    SCHEMA_FIELD(ENUM, exec_config, network_mode, "network_mode", "network_mode", .def = "host",
                 .names = network_modes, .later = later_network_modes),
};

static const struct schema_field raw_exec_fields[] = {
    COMMAND_FIELDS,
    SCHEMA_LATER("cgroup_v1_override", "cgroup_v1_override"),
    SCHEMA_LATER("cgroup_v2_override", "cgroup_v2_override"),
    SCHEMA_LATER("denied_envvars", "denied_envvars"),
};

static const struct driver {
    const char *name;
    struct schema config;
} drivers[] = {
    {"exec",
     {
         .what = "config block of the driver exec",
         .size = sizeof(struct exec_config),
         .fields = exec_fields,
         .n_fields = ARRAY_LEN(exec_fields),
     }},
    {"raw_exec",
     {
         .what = "config block of the driver raw_exec",
         .size = sizeof(struct exec_config),
         .fields = raw_exec_fields,
         .n_fields = ARRAY_LEN(raw_exec_fields),
     }},
};

static const char *const driver_names[] = {
    "exec", "raw_exec", "docker", "java", "nspawn", "qemu", "rkt", NULL,
};

static const struct schema *find_schema(const char *driver)
{
    for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
        if (strcmp(drivers[i].name, driver) == 0)
            return &drivers[i].config;
    return NULL;
}

int driver_check_name(struct schema_context *ctx, const struct schema_field *field, const void *obj,
                      struct schema_source source)
{
    const struct job_task *task = obj;
    char hint[SCHEMA_HINT_SIZE];
    const char *nearest;

    (void)field;
    if (!*task->driver || find_schema(task->driver))
        return 0;
    nearest = schema_nearest(task->driver, driver_names);
    if (nearest && strcmp(nearest, task->driver) == 0)
        return schema_fail(ctx, source.pos, -ENOTSUP,
                           "the driver \"%s\" is known to Nomad but not run by this release; use "
                           "\"exec\" or \"raw_exec\"",
                           task->driver);
    return schema_fail(ctx, source.pos, -EINVAL,
                       "there is no driver \"%.64s\"%s This release runs "
                       "\"exec\" and \"raw_exec\"",
                       task->driver, schema_hint(nearest, hint));
}

/* As Nomad had it before it had artifacts. */
static int check_artifact(struct schema_context *ctx, const struct driver_config *config,
                          struct schema_source source)
{
    struct err e = ERR_INIT;
    int r = artifact_check_legacy(config->artifact_source, config->checksum, &e);

    return r && r != -ENOMEM ? schema_fail(ctx, source.pos, r, "%s", e.text) : r;
}

int driver_check_config(struct schema_context *ctx, const struct schema_field *field,
                        const void *obj, struct schema_source source)
{
    const struct job_task *task = obj;
    const struct schema *schema = find_schema(task->driver);
    struct exec_config config;
    bool deferred = ctx->defers;
    int r;

    (void)field;
    if (!schema)
        return 0; /* driver_check_name() has said so */
    r = schema_init(schema, &config);
    ctx->defers = true;
    if (r == 0)
        r = schema_decode(ctx, schema, source, &config);
    ctx->defers = deferred;
    if (r == 0)
        r = check_artifact(ctx, &config.config, source);
    schema_deinit(schema, &config);
    return r;
}

/* What the table leaves as JSON. */
static int read_rest(const struct schema_context *ctx, const struct exec_config *from,
                     struct driver_config *to)
{
    int r = read_args(from->args, &to->args);

    if (r == 0)
        r = device_read_list(is_open(ctx, from->devices) ? NULL : from->devices, &to->devices,
                             &to->n_devices, ctx->e);
    if (r == 0)
        r = ulimit_read(from->ulimit, to->ulimits, ctx->e);
    if (r < 0)
        return r;
    to->n_ulimits = (size_t)r;
    to->no_network = from->network_mode != 0;
    to->legacy_args = (from->args && !json_is_array(from->args)) || *from->config.artifact_source;
    return 0;
}

int driver_config_read(const struct job_task *task, const json_t *resolved,
                       struct driver_config *ret, struct err *e)
{
    struct schema_context ctx = {.e = e, .path = "Config", .defers = !resolved};
    const struct schema_source source = {.json = resolved ? resolved : task->config};
    const struct schema *schema = find_schema(task->driver);
    struct exec_config config;
    int r = schema_init(schema, &config);

    if (r == 0)
        r = schema_decode(&ctx, schema, source, &config);
    if (r == 0)
        r = read_rest(&ctx, &config, &config.config);
    if (r == -ENOMEM)
        (void)err_sys(e, r, "reading the config of task %s", task->name);
    if (r == 0) {
        *ret = config.config;
        config.config = (struct driver_config){0};
    }
    driver_config_deinit(&config.config);
    schema_deinit(schema, &config);
    return r;
}

void driver_config_deinit(struct driver_config *config)
{
    free(config->command);
    free(config->artifact_source);
    free(config->checksum);
    value_free_strings(config->args);
    free(config->work_dir);
    free(config->stdin_path);
    free(config->pid_mode);
    free(config->ipc_mode);
    free(config->uts_mode);
    free(config->cgroup_mode);
    free(config->hostname);
    value_free_strings(config->cap_add);
    value_free_strings(config->cap_drop);
    device_free_list(config->devices, config->n_devices);
    *config = (struct driver_config){0};
}
