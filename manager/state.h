/* SPDX-License-Identifier: MIT
 *
 * What the manager knows: jobs, allocations, tasks. The HTTP API reads these; only the modules
 * named at each struct change them. All strings are owned by their struct.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "manager/task/machine.h"
#include "manager/task/prepare.h"
#include "shared/job/job.h"
#include "shared/proto/status.h"

struct manager;
struct templates;   /* what is rendered for a task: manager/task/templates.h */
struct task_handle; /* the live link to an executor: manager/task/task_handle.h */
struct disk_usage;  /* what an allocation takes up, counted: manager/alloc/disk_usage.h */
struct task_wait;   /* until nothing of the task runs: manager/task/task_wait.c */

enum desired_status {
    DESIRED_RUN,
    DESIRED_STOP,
    DESIRED_STATUS_N
};
enum client_status {
    CLIENT_PENDING,
    CLIENT_RUNNING,
    CLIENT_COMPLETE,
    CLIENT_FAILED,
    CLIENT_LOST,
    CLIENT_STATUS_N
};

/* "run", "stop"; "pending", "running", "complete", "failed", "lost". */
const char *desired_status_name(enum desired_status status);
const char *client_status_name(enum client_status status);

/* One registered job at one version. Shared by its allocations (ref/unref); jobs.c changes it. */
struct job_record {
    unsigned int refs;
    struct job *job;
    uint64_t version;    /* Nomad: from 0, +1 at each change of the definition */
    bool stop;           /* deregistered */
    bool unsaved;        /* the file does not say so yet: it could not be written */
    uint64_t submit_ns;  /* CLOCK_REALTIME of the registration */
    json_t *blocked;     /* what its constraints keep from being placed (manager/job/feasible.h) */
    json_t *replaced;    /* by its registration, {group: allocations}; not on record. NULL: none */
    int64_t last_launch; /* of a periodic job, seconds since 1970; 0: none yet */
    int64_t due_since;   /* so that its times are computed once: … */
    int64_t due;         /* … the first one after that */
    uint64_t create_index; /* this manager's counter of changes, as Nomad's raft index */
    uint64_t modify_index;
    bool purge;               /* stopped, and forgotten as soon as nothing of it is left */
    size_t bytes;             /* of its JSON, once it is an older version */
    struct job_record *older; /* the version before it, while that is remembered */
    struct job_record *next;  /* newest version of each job, in the manager's list */
};

/* What the executor's record (struct task_status) says, without its events, which `events` holds;
 * or the manager's own account where no executor ever ran. */
struct task_summary {
    uint64_t seq; /* of the newest change taken over from the record */
    enum task_state state;
    bool failed; /* meaningful once DEAD */
    pid_t pid;   /* the task's main process; 0 while there is none */
    uint64_t pid_start;
    uint32_t attempt;
    uint32_t restarts; /* all of them, those the manager caused included */
    uint64_t started_ns;
    uint64_t finished_ns;
    uint64_t last_restart_ns;
    int exit_code;
    int exit_signal;
    bool oom_killed;
    bool paused;
    uint64_t log_lost_bytes, log_lost_stderr_bytes; /* all of them; those of one stream */
};

/* The CPU time of a task when somebody last asked (manager/host/stats.c). */
struct task_sample {
    uint64_t time_ns; /* CLOCK_REALTIME; 0: nobody has */
    uint64_t total_ns, user_ns, system_ns;
};

/* One task of one allocation; task.c changes it. `events` is exactly as long as it needs to be, at
 * most STATUS_EVENTS, oldest first, those of executor and manager merged. */
struct task {
    struct alloc *alloc;
    const struct job_task *def;
    struct task_summary status;
    struct task_event *events;
    size_t n_events;
    struct machine machine;
    uint32_t own_restarts; /* those of status.restarts that the executor's record does not count */
    uint64_t definition;   /* the version of the job that last changed it in place; 0: none has */
    uint64_t planned;      /* … that the executor's order on disk is of */
    uint64_t order_seq;    /* the order's foreign_seq */
    char order[37];        /* its name, proto/spec.h; "": another manager gave it */
    uint64_t terms_id;     /* of the terms its executor acts by, by its record */
    json_t *template_env;  /* what its templates rendered with env = true; NULL: nothing */
    char *cpus;            /* those it has to itself, "2-3"; NULL: none (manager/host/cores.h) */
    uint64_t kept; /* bytes of memory it claims when memory runs short (manager/alloc/limits.c) … */
    bool kept_own; /* … outside the group that tasks without CPUs of their own share */
    struct task_sample sample;
    struct prepare prepare;
    struct templates *templates; /* NULL: it has none, or does not run */
    struct task_handle *handle;
    struct task_wait *wait;
};

/* One placement of a group; alloc.c changes it. */
struct alloc {
    struct manager *manager;
    char id[37]; /* lower-case UUID */
    char *name;  /* job.group[index] */
    unsigned int index;
    struct job_record *job; /* the version it runs */
    const struct job_group *group;
    enum desired_status desired;
    enum client_status client;
    uint64_t create_ns;
    uint64_t modify_ns;
    uint64_t create_index;
    uint64_t modify_index;
    char *dir;                     /* <data_dir>/allocs/<id> */
    uint32_t project;              /* the directory's, for its disk quota; 0: none (quota.h) */
    struct disk_usage *disk_usage; /* NULL: it was never counted */
    struct task *tasks;            /* group->n_tasks of them, in the group's order */
    bool dirty;                    /* in the manager's list of changed allocations: `next_dirty` */
    bool tidy;                     /* terminal, its executors are gone and its mounts are undone */
    uint64_t delay_from_ns; /* when its group's shutdown_delay began, CLOCK_REALTIME; 0: has not */
    bool delay_over;
    ev_timer delay;
    bool purge;           /* its job is purged: it goes as soon as it is tidy */
    bool collected;       /* and its directory is removed */
    bool stuck;           /* … or could not be */
    unsigned char doomed; /* it is being removed, by that child of gc.c; 0: it is not */
    struct alloc *next_dirty;
    bool unsaved; /* something changed that no executor's record holds */
    bool queued;  /* in line to be started or stopped: `next_queued` */
    struct alloc *next_queued;
    struct alloc *next;
};

/* "pending", "running" or "dead", as Nomad's job status. */
const char *job_record_status(const struct manager *m, const struct job_record *job);

/* The same, where it is known whether it has allocations, and whether one of them is not at its
 * end: looking is slow for many jobs. */
const char *job_record_status_of(const struct job_record *job, bool any, bool live);
