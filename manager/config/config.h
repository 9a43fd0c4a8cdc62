/* SPDX-License-Identifier: MIT
 *
 * The agent's configuration: HCL and JSON files merged in order, then the command line. Every
 * option is a row of the tables in config_tables.c, its default and its bounds included;
 * cleat.hcl(5) explains them.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "shared/err.h"
#include "shared/log.h"

/* Variables of the manager's environment that tasks do not inherit: Nomad's list. */
#define CONFIG_ENV_DENYLIST                                                                        \
    "CONSUL_TOKEN,CONSUL_HTTP_TOKEN,CONSUL_HTTP_TOKEN_FILE,NOMAD_TOKEN,VAULT_TOKEN,*_LICENSE,"     \
    "*_LICENSE_PATH,AWS_ACCESS_KEY_ID,AWS_SECRET_ACCESS_KEY,AWS_SESSION_TOKEN,AWS_METADATA_URL,"   \
    "GOOGLE_APPLICATION_CREDENTIALS,GOOGLE_OAUTH_ACCESS_TOKEN"

struct config_bind { /* one entry of client { chroot_env { "source" = "target" } } */
    char *source;
    char *target;
};

struct config_volume { /* client { host_volume "name" { } } */
    char *name;
    char *path; /* absolute */
    bool read_only;
};

enum config_mode {
    CONFIG_MODE_PRIVATE,
    CONFIG_MODE_HOST,
};

struct config_denied { /* plugin { config { denied_… } } */
    char *host_uids;   /* "0,10-20" */
    char *host_gids;
    char **envvars; /* patterns; raw_exec's */
};

struct config_exec {      /* plugin "exec" { config { } } */
    char **allow_caps;    /* NULL-terminated; Docker's defaults */
    char **allow_devices; /* patterns (fnmatch(3)) of devices of the host; none */
    bool allow_unconfined_seccomp;
    unsigned int default_pid_mode; /* enum config_mode */
    unsigned int default_ipc_mode;
    bool no_pivot_root;
    int64_t userns_base; /* host id that root of a task with userns = true is: 2000000000 */
};

struct config_artifact { /* client { artifact { } }; times and sizes of 0: no limit */
    int64_t http_read_timeout_ns;
    int64_t http_max_bytes;
    int64_t git_timeout_ns;
    int64_t hg_timeout_ns;
    int64_t s3_timeout_ns;
    int64_t decompression_max_files;
    int64_t decompression_max_bytes;
    bool disable_artifact_inspection;
    bool disable_filesystem_isolation;
    char **filesystem_isolation_extra_paths; /* "[d|f]:[rwcx]:/path" */
    char *set_environment_variables;         /* names with commas between them */
    char **allow_file_paths;                 /* ours: file:// may read beneath these; none */
};

struct config_wait {
    int64_t min_ns, max_ns; /* 0: none */
};

struct config_retry {
    int64_t attempts; /* 0: for ever */
    int64_t backoff_ns, max_backoff_ns;
};

struct config_template { /* client { template { } } */
    char **function_denylist;
    bool disable_file_sandbox;
    char *variables_dir; /* ours: what nomadVar reads; "": nothing */
    int64_t max_stale_ns;
    int64_t block_query_wait_ns;
    struct config_wait wait, wait_bounds;
    struct config_retry consul_retry, vault_retry, nomad_retry;
};

/* Whom templates ask: vault { } and consul { } of the file. */
struct config_server {
    bool enabled;
    char *address; /* "http://…" or "https://…", without a "/" at its end; "": none */
    char *token;   /* "": none */
    char *name_space;
    char *ca_file, *ca_path, *cert_file, *key_file, *tls_server_name;
    bool tls_skip_verify;
    bool ssl, verify_ssl; /* Consul's words: config_finish() puts them into the others */
};

struct config_reserved { /* client { reserved { } }: what tasks are not given */
    int64_t cpu_mhz;
    int64_t memory_mb;
    int64_t disk_mb;
    char *cores; /* "0,2-3" */
    char *ports; /* "22,80,8500-8600" */
};

struct config_gc { /* client { gc_* } */
    int64_t interval_ns;
    int64_t disk_percent;
    int64_t inode_percent;
    int64_t max_allocs;
    int64_t parallel_destroys;
    int64_t max_age_ns; /* ours; 0: none */
};

struct config_telemetry {
    bool prometheus_metrics;
    bool publish_allocation_metrics;
    bool publish_node_metrics;
};

struct config {
    char *data_dir;   /* absolute */
    char *alloc_dir;  /* absolute; "": data_dir/allocs */
    char **addresses; /* "unix:///path" or "http://127.0.0.1:port"; NULL-terminated */
    char *name;       /* node name; the host's name by default */
    char *datacenter; /* "dc1" */
    char *region;     /* "global" */
    char *node_class; /* "" */
    char *node_pool;  /* "default" */
    char *executor;   /* path of cleat-executor; beside the manager's own binary by default */
    bool dev;         /* -dev: data_dir is a throw-away directory, raw_exec is enabled */
    bool enabled;     /* client { enabled }: it always is */
    bool raw_exec_enabled;
    int64_t exec_pids_limit; /* plugin { config { pids_limit } }: for tasks that name none; 0: none
                              */
    int64_t raw_exec_pids_limit;
    struct config_exec exec;
    struct config_denied exec_denied, raw_exec_denied;
    enum log_level log_level;
    struct config_bind *chroot_env; /* default map of Nomad, or the configured one */
    size_t n_chroot_env;
    struct config_volume *volumes;
    size_t n_volumes;
    json_t *meta;                 /* client { meta { } }: string to string */
    uint64_t max_kill_timeout_ns; /* 30 s */
    bool disable_remote_exec;     /* client { disable_remote_exec }: no alloc exec */
    char *cgroup_parent;          /* client { cgroup_parent }: "cleat" */
    struct config_reserved reserved;
    struct config_gc gc;
    int64_t cpu_total_mhz; /* client { cpu_total_compute … }; 0: as the host says */
    int64_t memory_total_mb;
    int64_t disk_total_mb;
    struct config_artifact artifact;
    struct config_template template;
    struct config_server vault;
    struct config_server consul;
    struct config_telemetry telemetry;

    /* client { options { } }, lists with commas between the items */
    char *env_denylist;         /* "env.denylist": patterns; NULL: CONFIG_ENV_DENYLIST */
    char *user_denylist;        /* "user.denylist" */
    char *user_checked_drivers; /* "user.checked_drivers" */
    char *driver_allowlist;     /* "driver.allowlist"; "": all */
    char *driver_denylist;      /* "driver.denylist" */

    json_t *unused; /* "name (file:line)" of what Nomad has and has no effect here */
    json_t *origin; /* "client.gc_interval" to "file:line" */
    struct config_written {
        json_t *addresses; /* a list, or Nomad's object; NULL: none */
        char *bind_addr;
        int64_t http_port;
        json_t *chroot_env;
        char *log_level;
        json_t *options;
    } written; /* what the members above are made of */
};

struct schema_problems;

/* All defaults. */
int config_new(struct config **ret_config, struct err *e);

/* Merges the file, or every *.hcl and *.json of the directory in name order, at `path`. Unknown
 * blocks and attributes are errors that name the nearest known one. -EINVAL, -ENOENT, -ENOTSUP:
 * then config_free() is all that `config` is good for, and reading what else is wrong. `problems`
 * gets all of the errors; NULL: reading ends at the first, which is what `e` says in any case. */
int config_load(struct config *config, const char *path, struct schema_problems *problems,
                struct err *e);

/* After the last file: makes what follows from all of them together. -EINVAL. */
int config_finish(struct config *config, struct err *e);

/* A line that names what has no effect; NULL: nothing. The caller frees. */
char *config_unused(const struct config *config);

/* Writes everything that is in effect as a configuration file, with where it comes from. */
int config_print(const struct config *config, FILE *out);

/* Puts the settings of `fresh` into `config`, whose address stays, and the old ones into `fresh`;
 * but for those that stand as long as the manager runs. Returns new references of arrays of names:
 * what is another now, and what would be but stands. */
void config_replace(struct config *config, struct config *fresh, json_t **ret_changed,
                    json_t **ret_fixed);

/* The directory of an allocation, or of all of them ("" or NULL). The caller frees. */
char *config_alloc_dir(const struct config *config, const char *id);

/* Whether `name` is one of the items of a list with commas between them; NULL is empty. */
bool config_lists(const char *list, const char *name);

/* Whether "0,10-20" has `number`; NULL is empty. */
bool config_has_number(const char *ranges, unsigned long number);

/* Whether one of the patterns (fnmatch(3)) matches; NULL is none. */
bool config_matches(char *const *patterns, const char *name);

/* Whether jobs may ask for that driver: driver.allowlist and driver.denylist. */
bool config_allows_driver(const struct config *config, const char *driver);

/* NULL is fine; returns NULL. */
struct config *config_free(struct config *config);
