/* SPDX-License-Identifier: MIT
 *
 * A job: what a job file or the HTTP API asks for, with Nomad's names, meanings and defaults.
 * HCL and JSON both go through one table of fields (job/schema.h), so a field is declared once.
 * Strings are owned by the job, never NULL unless said so; lists of strings are NULL-terminated and
 * never NULL. Free-form maps (meta, env, config) are jansson objects.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"
#include "shared/hcl/hcl.h"
#include "shared/job/constraint.h"
#include "shared/job/launch.h"

enum job_type {
    JOB_TYPE_SERVICE,
    JOB_TYPE_BATCH,
    JOB_TYPE_SYSTEM,   /* a service, of which there is one on each host */
    JOB_TYPE_SYSBATCH, /* the same of a batch job */
    JOB_TYPE_N
};

struct job_restart {
    struct hcl_pos pos;
    bool set; /* false: filled in, a task's with its group's, a group's with the type's default */
    int64_t attempts;
    int64_t interval_ns;
    int64_t delay_ns;
    char *mode; /* "fail" or "delay" */
};

enum job_compress {
    JOB_COMPRESS_NONE,
    JOB_COMPRESS_GZIP,
    JOB_COMPRESS_N
};

enum job_on_full {
    JOB_ON_FULL_DROP,
    JOB_ON_FULL_BLOCK,
    JOB_ON_FULL_N
};

struct job_logs {
    struct hcl_pos pos;
    int64_t max_files;
    int64_t max_file_size_mb;
    bool disabled;
    /* Not in Nomad: */
    int64_t max_age_ns; /* 0: none */
    enum job_compress compress;
    int64_t compress_after_ns;
    enum job_on_full on_full;
};

enum { /* of a task that asks for nothing */
    JOB_DEFAULT_CPU_MHZ = 100,
    JOB_DEFAULT_MEMORY_MB = 300,
    JOB_LEAST_MEMORY_MB = 10,
    JOB_DEFAULT_DISK_MB = 300,
    JOB_DEFAULT_SECRETS_MB = 1, /* not taken from its memory */
};

struct job_resources {
    int64_t cpu_mhz;       /* 0: `cores` are asked for instead */
    int64_t cores;         /* CPUs no other task runs on; 0: none */
    int64_t memory_mb;     /* hard limit; with memory_max_mb what is kept when memory runs short */
    int64_t memory_max_mb; /* hard limit then; -1: none, 0: memory_mb is it */
    int64_t secrets_mb;    /* of memory_mb, what secrets/ may hold; 0: the default, not of it */
    int64_t pids;          /* processes and threads; 0: the driver's default. Not in Nomad */
    json_t *inert;
};

enum job_propagation {
    JOB_PROPAGATION_PRIVATE,
    JOB_PROPAGATION_HOST_TO_TASK,
    JOB_PROPAGATION_BIDIRECTIONAL,
    JOB_PROPAGATION_N
};

struct job_volume_mount {
    struct hcl_pos pos;
    char *volume;      /* one of the group's */
    char *destination; /* absolute as the task sees it, or begins with a variable */
    bool read_only;
    enum job_propagation propagation;
};

struct job_volume {
    char *name;
    char *type;   /* "host" */
    char *source; /* the name of a host volume of the node */
    bool read_only;
};

enum job_hook {
    JOB_HOOK_NONE, /* a main task: no lifecycle block */
    JOB_HOOK_PRESTART,
    JOB_HOOK_POSTSTART,
    JOB_HOOK_POSTSTOP,
    JOB_HOOK_N
};

struct job_lifecycle {
    bool set; /* there is such a block, and so a hook */
    enum job_hook hook;
    bool sidecar; /* runs beside the main tasks; without meaning for poststop */
};

enum job_artifact_mode {
    JOB_ARTIFACT_ANY,
    JOB_ARTIFACT_FILE,
    JOB_ARTIFACT_DIR,
    JOB_ARTIFACT_N
};

struct job_artifact {
    struct hcl_pos pos;
    char *source;
    char *destination; /* from the task's directory, or as the task sees it */
    enum job_artifact_mode mode;
    json_t *options; /* string to string */
    json_t *headers; /* string to string */
    bool insecure;
    bool chown; /* it becomes the task's user's */
};

const char *job_artifact_mode_name(enum job_artifact_mode mode);

enum job_change {
    JOB_CHANGE_RESTART,
    JOB_CHANGE_NOOP,
    JOB_CHANGE_SIGNAL,
    JOB_CHANGE_SCRIPT,
    JOB_CHANGE_N
};

struct job_change_script {
    bool set;
    char *command;
    char **args;
    int64_t timeout_ns;
    bool fail_on_error;
};

struct job_template_wait {
    bool set; /* false: the node's configuration says */
    int64_t min_ns, max_ns;
};

struct job_template {
    struct hcl_pos pos;
    char *source;      /* a file, "" if the text is in `data` */
    char *destination; /* from the task's directory */
    char *data;
    enum job_change change_mode;
    char *change_signal; /* "": none */
    struct job_change_script change_script;
    int64_t splay_ns;
    char *perms;      /* octal */
    int64_t uid, gid; /* -1: whoever renders it */
    char *left, *right;
    bool env; /* what it renders are environment variables */
    bool error_on_missing_key;
    bool once;
    struct job_template_wait wait;
    int64_t vault_grace_ns; /* Nomad's, without effect there too */
};

struct job_task {
    struct hcl_pos pos;
    char *name;
    char *driver;
    json_t *config;    /* as written; each driver's schema has checked it (job/driver_config.h) */
    json_t *env;       /* string to string */
    json_t *meta;      /* string to string */
    char *user;        /* "" : the driver's default */
    char *kill_signal; /* "" : the driver's default */
    int64_t kill_timeout_ns;
    int64_t shutdown_delay_ns;
    struct job_logs logs;
    struct job_resources resources;
    struct job_restart restart; /* Nomad has it on the group and, newer, on the task */
    struct job_lifecycle lifecycle;
    bool leader; /* its end ends the group */
    struct job_template *templates;
    size_t n_templates;
    struct job_volume_mount *volume_mounts;
    size_t n_volume_mounts;
    struct job_dispatch_payload dispatch_payload;
    struct job_constraint *constraints;
    size_t n_constraints;
    struct job_artifact *artifacts;
    size_t n_artifacts;
    json_t *inert; /* what Nomad has and one host has no use for, by JSON name; NULL: nothing */
};

struct job_disk {
    int64_t size_mb; /* for the logs of all tasks */
    bool sticky;     /* the next allocation of the slot takes over alloc/data and each local */
    bool migrate;    /* implies it */
};

struct job_group {
    struct hcl_pos pos;
    char *name;
    int64_t count;
    json_t *meta;
    struct job_disk disk;
    struct job_restart restart;
    int64_t shutdown_delay_ns; /* before anything of a group that is to stop is told so */
    struct job_volume *volumes;
    size_t n_volumes;
    struct job_task *tasks;
    size_t n_tasks;
    struct job_constraint *constraints;
    size_t n_constraints;
    json_t *inert;
};

struct job {
    struct hcl_pos pos;
    char *id;
    char *name;
    enum job_type type;
    char *region;     /* "global" */
    char *namespace_; /* "default" */
    char *node_pool;  /* the same */
    char **datacenters;
    int64_t priority; /* 50 */
    json_t *meta;
    struct job_periodic periodic;
    struct job_parameterized parameterized;
    /* Of the child of a periodic or parameterized job: */
    char *parent_id; /* "": it is none */
    bool dispatched; /* of a parameterized one */
    char *payload;   /* base64; see launch_payload() */
    char *idempotency_token;
    struct job_group *groups;
    size_t n_groups;
    struct job_constraint *constraints;
    size_t n_constraints;
    struct job_task *loose_tasks; /* written directly in the job; none once each got its group */
    size_t n_loose_tasks;
    json_t *inert;
};

/* Everything that is wrong with a job: a text each. */
struct schema_problems;

/* Reads one job from a parsed file: decodes, fills defaults, validates. Messages carry positions.
 * -EINVAL; -ENOTSUP for what Nomad knows and this release does not run yet, named. */
int job_from_hcl(const struct hcl_file *file, struct job **ret_job, struct err *e);

/* The same, on failure with all that is wrong in `problems` (shared/job/schema.h; zeroed before,
 * schema_problems_deinit() behind it), the first of which is in `e`. */
int job_from_hcl_all(const struct hcl_file *file, struct job **ret_job,
                     struct schema_problems *problems, struct err *e);

/* The same from Nomad's JSON job object (the value of "Job" in PUT /v1/jobs). Messages carry the
 * path to the field ("TaskGroups[0].Tasks[1].Driver"). Null fields take their defaults. */
int job_from_json(const json_t *json, struct job **ret_job, struct err *e);
int job_from_json_all(const json_t *json, struct job **ret_job, struct schema_problems *problems,
                      struct err *e);

/* Calls `each` with every setting of the job that is kept and has no effect here: whose it is
 * ("Job", "Group \"web\"", "Task \"server\""), its name in HCL, and why. */
void job_each_inert(const struct job *job,
                    void (*each)(void *arg, const char *owner, const char *name, const char *why),
                    void *arg);

/* Nomad's JSON job object with every default filled in; the caller owns the reference. */
json_t *job_to_json(const struct job *job);

/* NULL is fine; returns NULL. */
struct job *job_free(struct job *job);

const struct job_group *job_find_group(const struct job *job, const char *name);
const struct job_task *job_group_find_task(const struct job_group *group, const char *name);
const struct job_volume *job_group_find_volume(const struct job_group *group, const char *name);

/* How large its secrets/ is. */
int64_t job_secrets_mb(const struct job_task *task);

const char *job_type_name(enum job_type type);

/* Its main tasks run to their end, and are not started again once they succeed. */
bool job_type_is_batch(enum job_type type);

/* Each group has one allocation on each host. */
bool job_type_is_system(enum job_type type);

/* Whether a task of `type` is started again when it has ended well. */
bool job_restarts_on_success(enum job_type type, const struct job_task *task);
