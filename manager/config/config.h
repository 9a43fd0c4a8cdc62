/* SPDX-License-Identifier: MIT
 *
 * The agent's configuration: HCL files merged in order, then the command line.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"
#include "shared/log.h"

struct config_bind { /* one entry of client { chroot_env { "source" = "target" } } */
    char *source;
    char *target;
};

struct config_volume { /* client { host_volume "name" { } } */
    char *name;
    char *path; /* absolute */
    bool read_only;
};

struct config_exec {      /* plugin "exec" { config { } } */
    char **allow_caps;    /* NULL-terminated; Docker's defaults */
    char **allow_devices; /* patterns (fnmatch(3)) of devices of the host; none */
    bool allow_unconfined_seccomp;
    bool default_pid_host; /* default_pid_mode = "host" */
    bool default_ipc_host;
    bool no_pivot_root;
    int64_t userns_base; /* host id that root of a task with userns = true is: 2000000000 */
};

struct config {
    char *data_dir;   /* absolute */
    char **addresses; /* "unix:///path" or "http://127.0.0.1:port"; NULL-terminated */
    char *name;       /* node name; the host's name by default */
    char *datacenter; /* "dc1" */
    char *region;     /* "global" */
    char *executor;   /* path of cleat-executor; beside the manager's own binary by default */
    bool dev;         /* -dev: data_dir is a throw-away directory, raw_exec is enabled */
    bool raw_exec_enabled;
    unsigned long long exec_pids_limit; /* plugin { config { pids_limit } }: for tasks that name
                                           none; 0: none */
    unsigned long long raw_exec_pids_limit;
    struct config_exec exec;
    enum log_level log_level;
    struct config_bind *chroot_env; /* default map of Nomad, or the configured one */
    size_t n_chroot_env;
    struct config_volume *volumes;
    size_t n_volumes;
    json_t *meta;                           /* client { meta { } }: string to string */
    unsigned long long max_kill_timeout_ns; /* 30 s */
    bool disable_remote_exec;               /* client { disable_remote_exec }: no alloc exec */
    char *cgroup_parent;                    /* client { cgroup_parent }: "cleat" */
    char *env_denylist; /* client { options { "env.denylist" } }; NULL: Nomad's default */
};

/* All defaults. */
int config_new(struct config **ret_config, struct err *e);

/* Merges the file, or every *.hcl of the directory in name order, at `path`. Unknown blocks and
 * attributes are errors that name the nearest known one. -EINVAL, -ENOENT. */
int config_load(struct config *config, const char *path, struct err *e);

enum {
    CONFIG_FIXED_MAX = 3
};

/* Puts the settings of `fresh` into `config`, whose address stays, and the old ones into `fresh`;
 * but for those that stand as long as the manager runs. Returns how many of these differ;
 * ret_fixed: their names. */
size_t config_replace(struct config *config, struct config *fresh,
                      const char *ret_fixed[CONFIG_FIXED_MAX]);

/* NULL is fine; returns NULL. */
struct config *config_free(struct config *config);
