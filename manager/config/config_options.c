/* SPDX-License-Identifier: MIT
 *
 * client { options { } }: keys with dots in them, which were Nomad's way to configure drivers
 * before there were plugin blocks, and are still its way to keep things from tasks. Each has the
 * effect of what took its place; so in the order of the files the last one wins, whichever way it
 * was written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager/config/config_tables.h"
#include "shared/cleanup.h"
#include "shared/job/value.h"

/* "1", "true" …, as Go reads them. */
static int read_bool(const char *text, bool *ret)
{
    static const char *const words[2][7] = {{"0", "f", "F", "false", "FALSE", "False", NULL},
                                            {"1", "t", "T", "true", "TRUE", "True", NULL}};

    for (int value = 0; value < 2; value++)
        for (const char *const *word = words[value]; *word; word++)
            if (strcmp(*word, text) == 0) {
                *ret = value;
                return 0;
            }
    return -EINVAL;
}

#define AT(member) offsetof(struct config, member)
#define OPTIONS "client.options."

static const struct option {
    const char *key;
    size_t member;
    bool is_bool;
    const char *origin; /* whose value it is */
} options[] = {
    {"driver.raw_exec.enable", AT(raw_exec_enabled), true, "plugin.raw_exec.config.enabled"},
    {"driver.allowlist", AT(driver_allowlist), false, OPTIONS "driver.allowlist"},
    {"driver.whitelist", AT(driver_allowlist), false, OPTIONS "driver.allowlist"},
    {"driver.denylist", AT(driver_denylist), false, OPTIONS "driver.denylist"},
    {"driver.blacklist", AT(driver_denylist), false, OPTIONS "driver.denylist"},
    {"env.denylist", AT(env_denylist), false, OPTIONS "env.denylist"},
    {"env.blacklist", AT(env_denylist), false, OPTIONS "env.denylist"},
    {"user.checked_drivers", AT(user_checked_drivers), false, OPTIONS "user.checked_drivers"},
    {"user.denylist", AT(user_denylist), false, OPTIONS "user.denylist"},
    {"user.blacklist", AT(user_denylist), false, OPTIONS "user.denylist"},
};

/* Beginnings of keys for which there is nothing to do here: of drivers this release lacks, and of
 * fingerprinting, which has no parts to leave out. */
static const char *const unused[] = {
    "docker.",     "driver.docker.", "driver.java.",
    "driver.lxc.", "driver.qemu.",   "driver.raw_exec.no_cgroups",
    "driver.rkt.", "fingerprint.",   "java.",
    "lxc.",        "nspawn.",        "qemu.",
    "rkt.",
};

static int set(const struct option *option, struct config *config, const char *text)
{
    void *at = (char *)config + option->member;
    char *copy;

    if (option->is_bool)
        return read_bool(text, at);
    copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    free(*(char **)at);
    *(char **)at = copy;
    return 0;
}

static bool is_written(struct schema_source source, const char *key, struct hcl_pos *ret_pos)
{
    if (!source.body)
        return json_object_get(source.json, key) != NULL;
    for (size_t i = 0; i < source.body->n_attrs; i++)
        if (strcmp(source.body->attrs[i].name, key) == 0) {
            *ret_pos = source.body->attrs[i].pos;
            return true;
        }
    return false;
}

static int fail_unknown(struct schema_context *ctx, const char *key, struct hcl_pos pos)
{
    const char *names[ARRAY_LEN(options) + 1] = {0};
    char hint[SCHEMA_HINT_SIZE];

    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        names[i] = options[i].key;
    return schema_fail(ctx, pos, -EINVAL, "unknown option \"%.64s\"%s Correct or remove it", key,
                       schema_hint(schema_nearest(key, names), hint));
}

static int apply(struct schema_context *ctx, const char *key, const char *text, struct hcl_pos pos)
{
    static const struct schema here = {.what = "options of the client"};

    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (strcmp(options[i].key, key) == 0) {
            const struct config_context *context = container_of(ctx, struct config_context, schema);
            int r = set(&options[i], context->config, text);

            config_note_origin(context, options[i].origin, pos.line);
            return r != -EINVAL
                       ? r
                       : schema_fail(ctx, pos, r, "\"%s\" is \"true\" or \"false\", not \"%.64s\"",
                                     key, text);
        }
    for (size_t i = 0; i < ARRAY_LEN(unused); i++)
        if (strncmp(key, unused[i], strlen(unused[i])) == 0) {
            ctx->on_unused(ctx, &here, key, pos);
            return 0;
        }
    return fail_unknown(ctx, key, pos);
}

json_t *config_options_in_effect(const struct config *config)
{
    json_t *all = json_object();

    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (!options[i].is_bool && strcmp(options[i].key, options[i].origin + strlen(OPTIONS)) == 0)
            (void)json_object_set_new(
                all, options[i].key,
                json_string(*(char *const *)((const char *)config + options[i].member)));
    return all;
}

/* Those of this source only: what an earlier file says has had its effect. */
int config_check_options(struct schema_context *ctx, const struct schema_field *field,
                         const void *obj, struct schema_source source)
{
    const struct config *config = obj;
    const char *key;
    json_t *value;
    int r = 0;

    (void)field;
    json_object_foreach(config->written.options, key, value)
    {
        struct hcl_pos pos = source.pos;

        if (!r && is_written(source, key, &pos))
            r = apply(ctx, key, json_string_value(value), pos);
    }
    return r;
}
