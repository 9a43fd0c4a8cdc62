/* SPDX-License-Identifier: MIT
 *
 * One configuration file as written; what it does not mention is empty. config.c merges several.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "manager/config/config.h"
#include "shared/job/schema.h"

struct config_plugin { /* plugin "name" { config { } } */
    char *name;
    json_t *config;
};

struct config_client {
    bool enabled;
    json_t *chroot_env;
    json_t *meta;
    json_t *options;             /* legacy */
    int64_t max_kill_timeout_ns; /* -1: not mentioned */
    bool disable_remote_exec;
    char *cgroup_parent;
    struct config_volume *volumes;
    size_t n_volumes;
};

struct config_file {
    char *data_dir;
    char *name;
    char *datacenter;
    char *region;
    char *executor;
    char *log_level;
    char **addresses;
    struct config_client client;
    struct config_plugin *plugins;
    size_t n_plugins;
};

extern const struct schema config_file_schema;

/* The key of client { options { } } with the variables that tasks do not inherit: patterns, with
 * commas between them. */
#define CONFIG_OPTION_DENYLIST "env.denylist"

/* The key of client { options { } } that turns raw_exec on with "1" or "true". */
#define CONFIG_OPTION_RAW_EXEC "driver.raw_exec.enable"
