/* SPDX-License-Identifier: MIT
 *
 * The tables of an agent's configuration: Nomad's names where Nomad has the thing. Options that
 * Nomad has and this release does not are refused by name, never ignored: an administrator who
 * limits something must not believe it limited.
 */
#include "manager/config/config_file.h"

#include <errno.h>
#include <string.h>

#include "manager/config/capabilities.h"
#include "shared/cleanup.h"
#include "shared/job/value.h"
#include "shared/log.h"
#include "shared/proto/spec.h"

/* ---- checks ---- */

static const char *text_of(const struct schema_field *field, const void *obj)
{
    return *(char *const *)((const char *)obj + field->offset);
}

static int check_absolute(struct schema_context *ctx, const struct schema_field *field,
                          const void *obj, struct schema_source source)
{
    if (text_of(field, obj)[0] == '/')
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "\"%s\" must be an absolute path; start it with \"/\"", field->hcl);
}

static int check_log_level(struct schema_context *ctx, const struct schema_field *field,
                           const void *obj, struct schema_source source)
{
    if (log_level_parse(text_of(field, obj)) >= 0)
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "\"log_level\" is \"debug\", \"info\", \"warn\" or \"error\", not \"%.64s\"",
                       text_of(field, obj));
}

static int check_addresses(struct schema_context *ctx, const struct schema_field *field,
                           const void *obj, struct schema_source source)
{
    const struct config_file *file = obj;

    (void)field;
    for (char **address = file->addresses; *address; address++)
        if (strncmp(*address, "unix:///", 8) != 0 && strncmp(*address, "http://", 7) != 0)
            return schema_fail(ctx, source.pos, -EINVAL,
                               "\"%.64s\" is no address; write \"unix:///path/of/the.sock\" or "
                               "\"http://127.0.0.1:4646\"",
                               *address);
    return 0;
}

static int check_enabled(struct schema_context *ctx, const struct schema_field *field,
                         const void *obj, struct schema_source source)
{
    const struct config_client *client = obj;

    (void)field;
    if (client->enabled)
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "the manager is always a client; remove \"enabled = false\"");
}

static bool has_dotdot(const char *path)
{
    const char *at = path;

    while ((at = strstr(at, ".."))) {
        if ((at == path || at[-1] == '/') && (at[2] == '/' || at[2] == '\0'))
            return true;
        at += 2;
    }
    return false;
}

static int check_cgroup_parent(struct schema_context *ctx, const struct schema_field *field,
                               const void *obj, struct schema_source source)
{
    const char *path = text_of(field, obj);

    if (*path && *path != '/' && !has_dotdot(path))
        return 0;
    return schema_fail(
        ctx, source.pos, -EINVAL,
        "\"cgroup_parent\" is a path below the root of the cgroup tree, without \"/\" "
        "at its start and without \"..\", such as \"cleat\"");
}

static int check_chroot_env(struct schema_context *ctx, const struct schema_field *field,
                            const void *obj, struct schema_source source)
{
    const struct config_client *client = obj;
    autojson json_t *targets = json_object();
    const char *from;
    json_t *value;

    (void)field;
    json_object_foreach(client->chroot_env, from, value)
    {
        const char *to = json_string_value(value);

        if (*from != '/' || *to != '/' || has_dotdot(from) || has_dotdot(to))
            return schema_fail(ctx, source.pos, -EINVAL,
                               "chroot_env maps absolute paths without \"..\" to such paths, not "
                               "\"%.64s\" to \"%.64s\"",
                               from, to);
        if (json_object_get(targets, to))
            return schema_fail(ctx, source.pos, -EINVAL,
                               "chroot_env puts two sources at \"%.64s\"; keep one", to);
        if (json_object_set_new(targets, to, json_true()) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int check_options(struct schema_context *ctx, const struct schema_field *field,
                         const void *obj, struct schema_source source)
{
    static const char *const known[] = {"docker.", "driver.", "env.", "fingerprint.", "user."};
    const struct config_client *client = obj;
    const char *key;
    json_t *value;

    (void)field;
    json_object_foreach(client->options, key, value)
    {
        if (strcmp(key, CONFIG_OPTION_RAW_EXEC) == 0 || strcmp(key, CONFIG_OPTION_DENYLIST) == 0)
            continue;
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            if (strncmp(key, known[i], strlen(known[i])) == 0)
                return schema_fail(ctx, source.pos, -ENOTSUP,
                                   "the option \"%.64s\" is known to Nomad but not run by this "
                                   "release; remove it",
                                   key);
        return schema_fail(ctx, source.pos, -EINVAL,
                           "unknown option \"%.64s\"; did you mean \"%s\"? Correct or remove it",
                           key, CONFIG_OPTION_RAW_EXEC);
    }
    return 0;
}

/* ---- plugins ---- */

enum {
    PIDS_MAX = 4194304 /* PID_MAX_LIMIT of the kernel */
};

struct plugin_options {
    bool enabled;
    char **allow_caps;
    char **allow_devices;
    bool allow_unconfined_seccomp;
    int64_t pids_limit;
    bool no_pivot_root;
    int64_t userns_base;
    unsigned int pid_mode;
    unsigned int ipc_mode;
};

static const char *const modes[] = {"private", "host", NULL};

static int check_allow_caps(struct schema_context *ctx, const struct schema_field *field,
                            const void *obj, struct schema_source source)
{
    const struct plugin_options *options = obj;
    struct err e = ERR_INIT;
    uint64_t set;

    (void)field;
    if (capabilities_parse(options->allow_caps, &set, &e) == 0)
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL, "allow_caps: %s", e.text);
}

static const struct schema_field exec_fields[] = {
    SCHEMA_FIELD(STRINGS, plugin_options, allow_caps, "allow_caps", NULL,
                 .check = check_allow_caps),
    SCHEMA_FIELD(STRINGS, plugin_options, allow_devices, "allow_devices", NULL),
    SCHEMA_FIELD(BOOL, plugin_options, allow_unconfined_seccomp, "allow_unconfined_seccomp", NULL),
    SCHEMA_FIELD(ENUM, plugin_options, ipc_mode, "default_ipc_mode", NULL, .names = modes),
    SCHEMA_FIELD(ENUM, plugin_options, pid_mode, "default_pid_mode", NULL, .names = modes),
    SCHEMA_FIELD(BOOL, plugin_options, no_pivot_root, "no_pivot_root", NULL),
    SCHEMA_FIELD(INT, plugin_options, userns_base, "userns_base", NULL, .min = 1000,
                 .max = INT32_MAX - SPEC_USERNS_SIZE),
    SCHEMA_LATER("denied_host_gids", NULL),
    SCHEMA_LATER("denied_host_uids", NULL),
    SCHEMA_FIELD(INT, plugin_options, pids_limit, "pids_limit", NULL, .max = PIDS_MAX),
};

static const struct schema_field raw_exec_fields[] = {
    SCHEMA_FIELD(BOOL, plugin_options, enabled, "enabled", NULL),
    SCHEMA_LATER("denied_envvars", NULL),
    SCHEMA_LATER("denied_host_gids", NULL),
    SCHEMA_LATER("denied_host_uids", NULL),
    SCHEMA_LATER("no_cgroups", NULL),
    SCHEMA_FIELD(INT, plugin_options, pids_limit, "pids_limit", NULL, .max = PIDS_MAX),
};

static const struct schema plugin_schemas[] = {
    {.what = "config block of the plugin exec",
     .size = sizeof(struct plugin_options),
     .fields = exec_fields,
     .n_fields = ARRAY_LEN(exec_fields)},
    {.what = "config block of the plugin raw_exec",
     .size = sizeof(struct plugin_options),
     .fields = raw_exec_fields,
     .n_fields = ARRAY_LEN(raw_exec_fields)},
};

/* The first ones have their options in plugin_schemas; the others are for a later release. */
static const char *const plugin_names[] = {
    "exec", "raw_exec", "docker", "java", "nspawn", "qemu", "rkt", NULL,
};

static const struct schema *find_plugin_schema(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(plugin_schemas); i++)
        if (strcmp(plugin_names[i], name) == 0)
            return &plugin_schemas[i];
    return NULL;
}

static int check_plugin_name(struct schema_context *ctx, const struct schema_field *field,
                             const void *obj, struct schema_source source)
{
    const struct config_plugin *plugin = obj;
    char hint[SCHEMA_HINT_SIZE];
    const char *nearest;

    (void)field;
    if (find_plugin_schema(plugin->name))
        return 0;
    nearest = schema_nearest(plugin->name, plugin_names);
    if (nearest && strcmp(nearest, plugin->name) == 0)
        return schema_fail(
            ctx, source.pos, -ENOTSUP,
            "the plugin \"%s\" is known to Nomad but not run by this release; remove "
            "the block",
            plugin->name);
    return schema_fail(ctx, source.pos, -EINVAL,
                       "unknown plugin \"%.64s\"%s This release has \"exec\" and "
                       "\"raw_exec\"",
                       plugin->name, schema_hint(nearest, hint));
}

static int check_plugin_config(struct schema_context *ctx, const struct schema_field *field,
                               const void *obj, struct schema_source source)
{
    const struct config_plugin *plugin = obj;
    const struct schema *schema = find_plugin_schema(plugin->name);
    struct plugin_options options;
    int r = schema_init(schema, &options);

    (void)field;
    if (r == 0)
        r = schema_decode(ctx, schema, source, &options);
    schema_deinit(schema, &options);
    return r;
}

static const struct schema_field plugin_fields[] = {
    SCHEMA_FIELD(STRING, config_plugin, name, NULL, NULL, .required = true,
                 .check = check_plugin_name),
    SCHEMA_FIELD(FREE_MAP, config_plugin, config, "config", NULL, .check = check_plugin_config),
    SCHEMA_LATER("args", NULL),
};

static const struct schema plugin_schema = {
    .what = "plugin",
    .size = sizeof(struct config_plugin),
    .labelled = true,
    .fields = plugin_fields,
    .n_fields = ARRAY_LEN(plugin_fields),
};

/* ---- client ---- */

static const struct schema_field volume_fields[] = {
    SCHEMA_FIELD(STRING, config_volume, name, NULL, NULL, .required = true),
    SCHEMA_FIELD(STRING, config_volume, path, "path", NULL, .required = true,
                 .check = check_absolute),
    SCHEMA_FIELD(BOOL, config_volume, read_only, "read_only", NULL),
};

static const struct schema volume_schema = {
    .what = "host_volume",
    .size = sizeof(struct config_volume),
    .labelled = true,
    .fields = volume_fields,
    .n_fields = ARRAY_LEN(volume_fields),
};

static const struct schema_field client_fields[] = {
    SCHEMA_FIELD(BOOL, config_client, enabled, "enabled", NULL, .check = check_enabled),
    SCHEMA_FIELD(STRING_MAP, config_client, chroot_env, "chroot_env", NULL,
                 .check = check_chroot_env),
    SCHEMA_FIELD(STRING_MAP, config_client, meta, "meta", NULL),
    SCHEMA_FIELD(STRING_MAP, config_client, options, "options", NULL, .check = check_options),
    SCHEMA_FIELD(DURATION, config_client, max_kill_timeout_ns, "max_kill_timeout", NULL,
                 .def = "-1"),
    SCHEMA_FIELD(STRING, config_client, cgroup_parent, "cgroup_parent", NULL,
                 .check = check_cgroup_parent),
    SCHEMA_FIELD(BOOL, config_client, disable_remote_exec, "disable_remote_exec", NULL),
    SCHEMA_LATER("alloc_dir", NULL),
    SCHEMA_LATER("alloc_mounts_dir", NULL),
    SCHEMA_LATER("artifact", NULL),
    SCHEMA_LATER("bridge_network_hairpin_mode", NULL),
    SCHEMA_LATER("bridge_network_name", NULL),
    SCHEMA_LATER("bridge_network_subnet", NULL),
    SCHEMA_LATER("bridge_network_subnet_ipv6", NULL),
    SCHEMA_LATER("cni_config_dir", NULL),
    SCHEMA_LATER("cni_path", NULL),
    SCHEMA_LATER("common_plugin_dir", NULL),
    SCHEMA_LATER("cpu_disable_dmidecode", NULL),
    SCHEMA_LATER("cpu_total_compute", NULL),
    SCHEMA_LATER("disk_free_mb", NULL),
    SCHEMA_LATER("disk_total_mb", NULL),
    SCHEMA_LATER("drain_on_shutdown", NULL),
    SCHEMA_LATER("fingerprint", NULL),
    SCHEMA_LATER("gc_disk_usage_threshold", NULL),
    SCHEMA_LATER("gc_inode_usage_threshold", NULL),
    SCHEMA_LATER("gc_interval", NULL),
    SCHEMA_LATER("gc_max_allocs", NULL),
    SCHEMA_LATER("gc_parallel_destroys", NULL),
    SCHEMA_LATER("gc_volumes_on_node_gc", NULL),
    SCHEMA_LATER("host_network", NULL),
    SCHEMA_FIELD(BLOCKS, config_client, volumes, "host_volume", NULL,
                 .count = offsetof(struct config_client, n_volumes), .block = &volume_schema),
    SCHEMA_LATER("host_volume_plugin_dir", NULL),
    SCHEMA_LATER("host_volumes_dir", NULL),
    SCHEMA_LATER("max_dynamic_port", NULL),
    SCHEMA_LATER("memory_total_mb", NULL),
    SCHEMA_LATER("min_dynamic_port", NULL),
    SCHEMA_LATER("network_interface", NULL),
    SCHEMA_LATER("network_speed", NULL),
    SCHEMA_LATER("no_host_uuid", NULL),
    SCHEMA_LATER("node_class", NULL),
    SCHEMA_LATER("node_max_allocs", NULL),
    SCHEMA_LATER("node_pool", NULL),
    SCHEMA_LATER("nomad_service_discovery", NULL),
    SCHEMA_LATER("preferred_address_family", NULL),
    SCHEMA_LATER("reserved", NULL),
    SCHEMA_LATER("server_join", NULL),
    SCHEMA_LATER("servers", NULL),
    SCHEMA_LATER("state_dir", NULL),
    SCHEMA_LATER("template", NULL),
    SCHEMA_LATER("users", NULL),
};

static const struct schema client_schema = {
    .what = "client block",
    .size = sizeof(struct config_client),
    .fields = client_fields,
    .n_fields = ARRAY_LEN(client_fields),
};

/* ---- the file ---- */

static const struct schema_field file_fields[] = {
    SCHEMA_FIELD(STRING, config_file, data_dir, "data_dir", NULL, .check = check_absolute),
    SCHEMA_FIELD(STRING, config_file, name, "name", NULL),
    SCHEMA_FIELD(STRING, config_file, datacenter, "datacenter", NULL),
    SCHEMA_FIELD(STRING, config_file, region, "region", NULL),
    SCHEMA_FIELD(STRING, config_file, executor, "executor", NULL, .check = check_absolute),
    SCHEMA_FIELD(STRING, config_file, log_level, "log_level", NULL, .check = check_log_level),
    SCHEMA_FIELD(STRINGS, config_file, addresses, "addresses", NULL, .check = check_addresses),
    SCHEMA_FIELD(BLOCK, config_file, client, "client", NULL, .block = &client_schema),
    SCHEMA_FIELD(BLOCKS, config_file, plugins, "plugin", NULL,
                 .count = offsetof(struct config_file, n_plugins), .block = &plugin_schema),
    SCHEMA_LATER("acl", NULL),
    SCHEMA_LATER("advertise", NULL),
    SCHEMA_LATER("audit", NULL),
    SCHEMA_LATER("autopilot", NULL),
    SCHEMA_LATER("bind_addr", NULL),
    SCHEMA_LATER("consul", NULL),
    SCHEMA_LATER("disable_anonymous_signature", NULL),
    SCHEMA_LATER("disable_update_check", NULL),
    SCHEMA_LATER("enable_debug", NULL),
    SCHEMA_LATER("enable_syslog", NULL),
    SCHEMA_LATER("http_api_response_headers", NULL),
    SCHEMA_LATER("keyring", NULL),
    SCHEMA_LATER("leave_on_interrupt", NULL),
    SCHEMA_LATER("leave_on_terminate", NULL),
    SCHEMA_LATER("limits", NULL),
    SCHEMA_LATER("log_file", NULL),
    SCHEMA_LATER("log_include_location", NULL),
    SCHEMA_LATER("log_json", NULL),
    SCHEMA_LATER("log_rotate_bytes", NULL),
    SCHEMA_LATER("log_rotate_duration", NULL),
    SCHEMA_LATER("log_rotate_max_files", NULL),
    SCHEMA_LATER("plugin_dir", NULL),
    SCHEMA_LATER("ports", NULL),
    SCHEMA_LATER("reporting", NULL),
    SCHEMA_LATER("rpc", NULL),
    SCHEMA_LATER("sentinel", NULL),
    SCHEMA_LATER("server", NULL),
    SCHEMA_LATER("syslog_facility", NULL),
    SCHEMA_LATER("telemetry", NULL),
    SCHEMA_LATER("tls", NULL),
    SCHEMA_LATER("ui", NULL),
    SCHEMA_LATER("vault", NULL),
};

const struct schema config_file_schema = {
    .what = "configuration",
    .size = sizeof(struct config_file),
    .fields = file_fields,
    .n_fields = ARRAY_LEN(file_fields),
};
