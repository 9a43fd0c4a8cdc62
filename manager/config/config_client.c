/* SPDX-License-Identifier: MIT
 *
 * The block client, but for what templates and artifacts are told: Nomad's names where Nomad has
 * the thing. What limits or protects something and is not run by this release is refused, never
 * ignored: an administrator must not believe it limited. What there is nothing to do for on a node
 * of its own is accepted and named.
 */
#include <errno.h>
#include <string.h>

#include "manager/config/config_tables.h"
#include "shared/cleanup.h"
#include "shared/job/value.h"

/* ---- checks ---- */

static const char *text_of(const struct schema_field *field, const void *obj)
{
    return *(char *const *)((const char *)obj + field->offset);
}

bool config_has_dotdot(const char *path)
{
    const char *at = path;

    while ((at = strstr(at, ".."))) {
        if ((at == path || at[-1] == '/') && (at[2] == '/' || at[2] == '\0'))
            return true;
        at += 2;
    }
    return false;
}

int config_check_absolute(struct schema_context *ctx, const struct schema_field *field,
                          const void *obj, struct schema_source source)
{
    if (text_of(field, obj)[0] == '/')
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "\"%s\" must be an absolute path; start it with \"/\"", field->hcl);
}

static int check_enabled(struct schema_context *ctx, const struct schema_field *field,
                         const void *obj, struct schema_source source)
{
    const struct config *config = obj;

    (void)field;
    if (config->enabled)
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "the manager is always a client; remove \"enabled = false\"");
}

static int check_cgroup_parent(struct schema_context *ctx, const struct schema_field *field,
                               const void *obj, struct schema_source source)
{
    const char *path = text_of(field, obj);

    if (*path && *path != '/' && !config_has_dotdot(path))
        return 0;
    return schema_fail(
        ctx, source.pos, -EINVAL,
        "\"cgroup_parent\" is a path below the root of the cgroup tree, without \"/\" "
        "at its start and without \"..\", such as \"cleat\"");
}

static int check_chroot_env(struct schema_context *ctx, const struct schema_field *field,
                            const void *obj, struct schema_source source)
{
    const struct config *config = obj;
    autojson json_t *targets = json_object();
    const char *from;
    json_t *value;

    (void)field;
    json_object_foreach(config->written.chroot_env, from, value)
    {
        const char *to = json_string_value(value);

        if (*from != '/' || *to != '/' || config_has_dotdot(from) || config_has_dotdot(to))
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

static int check_cores(struct schema_context *ctx, const struct schema_field *field,
                       const void *obj, struct schema_source source)
{
    if (config_is_ranges(text_of(field, obj), 1023))
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "\"cores\" is a list of CPUs such as \"0,2-3\", not \"%.64s\"",
                       text_of(field, obj));
}

static int check_ports(struct schema_context *ctx, const struct schema_field *field,
                       const void *obj, struct schema_source source)
{
    if (config_is_ranges(text_of(field, obj), 65535))
        return 0;
    return schema_fail(
        ctx, source.pos, -EINVAL,
        "\"reserved_ports\" is a list of ports such as \"22,80,8500-8600\", not \"%.64s\"",
        text_of(field, obj));
}

static int check_node_pool(struct schema_context *ctx, const struct schema_field *field,
                           const void *obj, struct schema_source source)
{
    const char *text = text_of(field, obj);

    if (*text && strcmp(text, "all") != 0)
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "\"node_pool\" is the name of one pool, not \"%s\"; leave it out for "
                       "\"default\"",
                       text);
}

/* ---- host_volume, reserved ---- */

static const struct schema_field volume_fields[] = {
    SCHEMA_FIELD(STRING, config_volume, name, NULL, "name", .required = true),
    OPTION(STRING, config_volume, path, "path", .required = true, .check = config_check_absolute),
    OPTION(BOOL, config_volume, read_only, "read_only"),
};

static const struct schema volume_schema = {
    .what = "host_volume",
    .size = sizeof(struct config_volume),
    .labelled = true,
    .fields = volume_fields,
    .n_fields = ARRAY_LEN(volume_fields),
};

enum {
    MHZ_MAX = 100000000,
    MB_MAX = 1 << 30,
};

static const struct schema_field reserved_fields[] = {
    OPTION(INT, config_reserved, cpu_mhz, "cpu", .max = MHZ_MAX),
    OPTION(INT, config_reserved, memory_mb, "memory", .max = MB_MAX),
    OPTION(INT, config_reserved, disk_mb, "disk", .max = MB_MAX),
    OPTION(STRING, config_reserved, cores, "cores", .check = check_cores),
    OPTION(STRING, config_reserved, ports, "reserved_ports", .check = check_ports),
};

static const struct schema reserved_schema = {
    .what = "reserved block",
    .size = sizeof(struct config_reserved),
    .fields = reserved_fields,
    .n_fields = ARRAY_LEN(reserved_fields),
};

/* ---- client ---- */

#define SECOND INT64_C(1000000000)

static const struct schema_field client_fields[] = {
    OPTION(BOOL, config, enabled, "enabled", .def = "true", .check = check_enabled),
    OPTION(STRING, config, alloc_dir, "alloc_dir", .check = config_check_absolute),
    OPTION(STRING_MAP, config, written.chroot_env, "chroot_env", .merge = true,
           .check = check_chroot_env),
    OPTION(STRING_MAP, config, meta, "meta", .merge = true),
    OPTION(STRING_MAP, config, written.options, "options", .merge = true,
           .check = config_check_options),
    OPTION(STRING, config, node_class, "node_class"),
    OPTION(STRING, config, node_pool, "node_pool", .def = "default", .check = check_node_pool),
    OPTION(DURATION, config, max_kill_timeout_ns, "max_kill_timeout", .def = "30s"),
    OPTION(STRING, config, cgroup_parent, "cgroup_parent", .def = "cleat",
           .check = check_cgroup_parent),
    OPTION(BOOL, config, disable_remote_exec, "disable_remote_exec"),
    OPTION(INT, config, cpu_total_mhz, "cpu_total_compute", .max = MHZ_MAX),
    OPTION(INT, config, memory_total_mb, "memory_total_mb", .max = MB_MAX),
    OPTION(INT, config, disk_total_mb, "disk_total_mb", .max = MB_MAX),
    OPTION(BLOCK, config, reserved, "reserved", .block = &reserved_schema),
    OPTION(DURATION, config, gc.interval_ns, "gc_interval", .def = "1m", .min = SECOND),
    OPTION(INT, config, gc.disk_percent, "gc_disk_usage_threshold", .def = "80", .max = 100),
    OPTION(INT, config, gc.inode_percent, "gc_inode_usage_threshold", .def = "70", .max = 100),
    OPTION(INT, config, gc.max_allocs, "gc_max_allocs", .def = "50", .max = 1000000),
    OPTION(INT, config, gc.parallel_destroys, "gc_parallel_destroys", .def = "2", .min = 1,
           .max = 64),
    OPTION(DURATION, config, gc.max_age_ns, "gc_max_age"),
    OPTION(BLOCK, config, artifact, "artifact", .block = &config_artifact),
    OPTION(BLOCK, config, template, "template", .block = &config_template),
    OPTION(BLOCKS, config, volumes, "host_volume", .count = offsetof(struct config, n_volumes),
           .block = &volume_schema, .by_name = true, .merge = true),
    OPTION_REFUSED("node_max_allocs"),
    SCHEMA_UNUSED("alloc_mounts_dir"),
    SCHEMA_UNUSED("bridge_network_hairpin_mode"),
    SCHEMA_UNUSED("bridge_network_name"),
    SCHEMA_UNUSED("bridge_network_subnet"),
    SCHEMA_UNUSED("bridge_network_subnet_ipv6"),
    SCHEMA_UNUSED("cni_config_dir"),
    SCHEMA_UNUSED("cni_path"),
    SCHEMA_UNUSED("common_plugin_dir"),
    SCHEMA_UNUSED("cpu_disable_dmidecode"),
    SCHEMA_UNUSED("disk_free_mb"),
    SCHEMA_UNUSED("drain_on_shutdown"),
    SCHEMA_UNUSED("fingerprint"),
    SCHEMA_UNUSED("gc_volumes_on_node_gc"),
    SCHEMA_UNUSED("host_network"),
    SCHEMA_UNUSED("host_volume_plugin_dir"),
    SCHEMA_UNUSED("host_volumes_dir"),
    SCHEMA_UNUSED("max_dynamic_port"),
    SCHEMA_UNUSED("min_dynamic_port"),
    SCHEMA_UNUSED("network_interface"),
    SCHEMA_UNUSED("network_speed"),
    SCHEMA_UNUSED("no_host_uuid"),
    SCHEMA_UNUSED("nomad_service_discovery"),
    SCHEMA_UNUSED("preferred_address_family"),
    SCHEMA_UNUSED("server_join"),
    SCHEMA_UNUSED("servers"),
    SCHEMA_UNUSED("state_dir"),
    SCHEMA_UNUSED("users"),
};

const struct schema config_client = {
    .what = "client block",
    .fields = client_fields,
    .n_fields = ARRAY_LEN(client_fields),
};
