/* SPDX-License-Identifier: MIT
 *
 * What the manager knows: jobs, allocations, tasks. The HTTP API reads these; only the modules named
 * at each struct change them. All strings are owned by their struct.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/job/job.h"
#include "shared/proto/status.h"

struct manager;
struct task_handle; /* the live link to an executor: manager/task_handle.h */

enum desired_status { DESIRED_RUN, DESIRED_STOP, DESIRED_STATUS_N };
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
    uint64_t version;      /* Nomad: from 0, +1 at each change of the definition */
    bool stop;             /* deregistered */
    uint64_t submit_ns;    /* CLOCK_REALTIME of the registration */
    uint64_t create_index; /* this manager's counter of changes, as Nomad's raft index */
    uint64_t modify_index;
    struct job_record *next; /* newest version of each job, in the manager's list */
};

/* One task of one allocation; task.c changes it. `status` is the executor's account, or the manager's
 * own where no executor ever ran. `events` merges both, oldest first. */
struct task {
    struct alloc *alloc;
    const struct job_task *def;
    struct task_status status;
    struct task_event events[2 * STATUS_EVENTS];
    size_t n_events;
    struct task_handle *handle; /* NULL: no executor */
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
    char *dir; /* <data_dir>/allocs/<id> */
    struct task *tasks; /* group->n_tasks of them, in the group's order */
    struct alloc *next;
};

/* "pending", "running" or "dead", as Nomad's job status. */
const char *job_record_status(const struct manager *m, const struct job_record *job);
