/* SPDX-License-Identifier: MIT
 *
 * plugin "<driver>" { config { } }. Drivers that this release lacks may have their block: jobs that
 * ask for them are refused, so nothing in it can be missed.
 */
#include <errno.h>

#include "manager/config/capabilities.h"
#include "manager/config/config_tables.h"
#include "shared/cleanup.h"
#include "shared/proto/spec.h"

enum {
    PIDS_MAX = 4194304 /* PID_MAX_LIMIT of the kernel */
};

static const char *const modes[] = {
    [CONFIG_MODE_PRIVATE] = "private", [CONFIG_MODE_HOST] = "host", NULL};

static int check_allow_caps(struct schema_context *ctx, const struct schema_field *field,
                            const void *obj, struct schema_source source)
{
    const struct config *config = obj;
    struct err e = ERR_INIT;
    uint64_t set;

    (void)field;
    if (capabilities_parse(config->exec.allow_caps, &set, &e) == 0)
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL, "allow_caps: %s", e.text);
}

static int check_ids(struct schema_context *ctx, const struct schema_field *field, const void *obj,
                     struct schema_source source)
{
    const char *text = *(char *const *)((const char *)obj + field->offset);

    if (config_is_ranges(text, UINT32_MAX))
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "\"%s\" is a list of ids such as \"0,100-199\", the lower end of a range "
                       "first, not \"%.64s\"",
                       field->hcl, text);
}

static const struct schema_field exec_fields[] = {
    OPTION(STRINGS, config, exec.allow_caps, "allow_caps", .check = check_allow_caps),
    OPTION(STRINGS, config, exec.allow_devices, "allow_devices"),
    OPTION(BOOL, config, exec.allow_unconfined_seccomp, "allow_unconfined_seccomp"),
    OPTION(ENUM, config, exec.default_ipc_mode, "default_ipc_mode", .names = modes),
    OPTION(ENUM, config, exec.default_pid_mode, "default_pid_mode", .names = modes),
    OPTION(BOOL, config, exec.no_pivot_root, "no_pivot_root"),
    OPTION(INT, config, exec.userns_base, "userns_base", .def = "2000000000", .min = 1000,
           .max = INT32_MAX - SPEC_USERNS_SIZE),
    OPTION(INT, config, exec_pids_limit, "pids_limit", .max = PIDS_MAX),
    OPTION(STRING, config, exec_denied.host_gids, "denied_host_gids", .check = check_ids),
    OPTION(STRING, config, exec_denied.host_uids, "denied_host_uids", .check = check_ids),
};

static const struct schema_field raw_exec_fields[] = {
    OPTION(BOOL, config, raw_exec_enabled, "enabled"),
    OPTION(INT, config, raw_exec_pids_limit, "pids_limit", .max = PIDS_MAX),
    OPTION(STRINGS, config, raw_exec_denied.envvars, "denied_envvars"),
    OPTION(STRING, config, raw_exec_denied.host_gids, "denied_host_gids", .check = check_ids),
    OPTION(STRING, config, raw_exec_denied.host_uids, "denied_host_uids", .check = check_ids),
    OPTION_REFUSED("no_cgroups", .why = "its tasks are always in cgroups; remove it"),
};

/* plugin "exec" { config { … } }: two tables, the outer of which has little to say. */
#define PLUGIN(driver)                                                                             \
    static const struct schema driver##_config = {                                                 \
        .what = "config block of the plugin " #driver,                                             \
        .fields = driver##_fields,                                                                 \
        .n_fields = ARRAY_LEN(driver##_fields),                                                    \
    };                                                                                             \
    static const struct schema_field driver##_plugin_fields[] = {                                  \
        OPTION_BLOCK("config", driver##_config),                                                   \
        SCHEMA_UNUSED("args"),                                                                     \
    };                                                                                             \
    static const struct schema driver##_plugin = {                                                 \
        .what = "plugin",                                                                          \
        .fields = driver##_plugin_fields,                                                          \
        .n_fields = ARRAY_LEN(driver##_plugin_fields),                                             \
    }

PLUGIN(exec);
PLUGIN(raw_exec);

static const struct schema_field plugin_fields[] = {
    OPTION_BLOCK("exec", exec_plugin),
    OPTION_BLOCK("raw_exec", raw_exec_plugin),
    SCHEMA_UNUSED("docker"),
    SCHEMA_UNUSED("java"),
    SCHEMA_UNUSED("nspawn"),
    SCHEMA_UNUSED("qemu"),
    SCHEMA_UNUSED("rkt"),
};

const struct schema config_plugins = {
    .what = "list of plugins",
    .fields = plugin_fields,
    .n_fields = ARRAY_LEN(plugin_fields),
};
