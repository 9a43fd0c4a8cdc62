/* SPDX-License-Identifier: MIT
 *
 * What each driver takes in a task's config block, and reading it once the task is to run.
 */
#pragma once

#include <stdbool.h>

#include "shared/err.h"
#include "shared/job/device.h"
#include "shared/job/job.h"
#include "shared/job/schema.h"
#include "shared/job/ulimit.h"

enum seccomp_mode {
    SECCOMP_MODE_PROFILE, /* "default" */
    SECCOMP_MODE_UNCONFINED,
};

/* config { } of exec and raw_exec; what raw_exec does not take is zero there. Lists are
 * NULL-terminated. */
struct driver_config {
    char *command; /* this and args: `${…}` stands in it as written, the driver resolves it */
    char **args;   /* without the command */
    char *artifact_source; /* what Nomad had before artifacts; "": none */
    char *checksum;
    char *work_dir; /* absolute, or "": the driver's own */
    /* The job used a form of Nomad before 0.3: an artifact_source, or args = "one text" or a number
     * (already split here by shell rules). Only in this form $NAME, without braces, is replaced as
     * well, in command and args; unknown names stay as they are. */
    bool legacy_args;
    bool cpu_hard_limit;    /* no more CPU time than `cpu`, even when there is some to spare */
    int64_t cpu_cfs_period; /* µs over which that holds; 0: the default */
    int64_t io_weight;      /* 1 … 10000, beside 100 of others; 0: not set. Not in Nomad */
    bool oom_group;         /* out of memory ends the whole task. Not in Nomad */
    char *stdin_path;       /* absolute, as the task sees it, or "": nothing to read */
    int64_t oom_score_adj;
    int64_t nice;
    struct ulimit ulimits[ULIMIT_MAX];
    size_t n_ulimits;

    /* exec only. The modes are "private", "host", or "": the operator's default. */
    char *pid_mode;
    char *ipc_mode;
    char *uts_mode;    /* "": "host", or "private" with a hostname */
    char *cgroup_mode; /* "": "host" */
    char *hostname;
    bool no_network;
    bool userns;
    char **cap_add; /* names as written */
    char **cap_drop;
    enum seccomp_mode seccomp;
    struct device *devices;
    size_t n_devices;
};

/* Reads the config of a task of a job that job_from_hcl() or job_from_json() accepted. `resolved`:
 * task->config with its ${…} replaced; NULL: they are not known yet, and what has one, command and
 * args aside, is left at its default. -ENOMEM; -EINVAL: something was replaced by what cannot be.
 */
int driver_config_read(const struct job_task *task, const json_t *resolved,
                       struct driver_config *ret, struct err *e);

/* Zeroed structs are fine. */
void driver_config_deinit(struct driver_config *config);

/* Checks of the rows "driver" and "config" of a task's table: a driver this release runs, and the
 * fields that driver has. */
int driver_check_name(struct schema_context *ctx, const struct schema_field *field, const void *obj,
                      struct schema_source source);
int driver_check_config(struct schema_context *ctx, const struct schema_field *field,
                        const void *obj, struct schema_source source);
