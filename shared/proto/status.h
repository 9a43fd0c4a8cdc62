/* SPDX-License-Identifier: MIT
 *
 * The executor's durable account of its task: <task state dir>/status, and the events in it.
 *
 * The file has two slots of STATUS_SLOT_BYTES each, preallocated. A record goes to the slot that
 * does not hold the newest one, in one pwrite(2), with length and CRC: a torn write leaves the
 * older record valid, and since the blocks exist, an exit status can be recorded on a full disk.
 * This is the one state file that is not temp + rename, for those two reasons and because it costs
 * one system call instead of five. The highest valid `seq` wins.
 *
 * Every change has a number (`seq`, from 1) and, if a person should see it, an event carrying the
 * same number; the record keeps the newest STATUS_EVENTS events, so a manager that was away misses
 * none but the oldest of a long list, as in Nomad, and never sees one twice.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/err.h"

enum {
    STATUS_SLOT_BYTES = 4096,
    STATUS_EVENTS = 10,      /* as many as Nomad keeps per task */
    STATUS_TEXT_BYTES = 176, /* a message, with its terminator */
};

enum task_state {
    TASK_STATE_PENDING, /* being set up, or waiting for a restart */
    TASK_STATE_RUNNING,
    TASK_STATE_DEAD, /* for good: the executor is about to exit, or has */
    TASK_STATE_N,
};

/* Nomad's names for task events; the manager adds those of its own that come before the executor.
 */
enum task_event_type {
    TASK_EVENT_STARTED,
    TASK_EVENT_TERMINATED,
    TASK_EVENT_RESTARTING,
    TASK_EVENT_NOT_RESTARTING,
    TASK_EVENT_KILLING,
    TASK_EVENT_KILLED,
    TASK_EVENT_SIGNALING,
    TASK_EVENT_RESTART_SIGNALED,
    TASK_EVENT_DRIVER_FAILURE,  /* a setup stage failed; `message` names it */
    TASK_EVENT_SHUTDOWN_DELAY,  /* waiting for shutdown_delay */
    TASK_EVENT_LOG_LOST,        /* ours: log bytes were dropped, or writing resumed */
    TASK_EVENT_RECEIVED,        /* manager */
    TASK_EVENT_TASK_SETUP,      /* manager */
    TASK_EVENT_SETUP_FAILURE,   /* manager: directories, user look-up, executor did not start */
    TASK_EVENT_SIBLING_FAILED,  /* manager */
    TASK_EVENT_LOST,            /* manager: executor or machine died under the task */
    TASK_EVENT_UPGRADED,        /* the executor became another release */
    TASK_EVENT_UPGRADE_FAILED,  /* … or could not, and went on as it was */
    TASK_EVENT_OOM_KILL,        /* ours: a child was killed for want of memory, the task lives on */
    TASK_EVENT_PAUSING,         /* all of the task is frozen */
    TASK_EVENT_RUNNING,         /* … and goes on */
    TASK_EVENT_PAUSE_FAILED,    /* ours */
    TASK_EVENT_LOG_BLOCKED,     /* ours: log bytes wait until they can be written, or waited */
    TASK_EVENT_LEADER_DEAD,     /* manager */
    TASK_EVENT_MAIN_DEAD,       /* manager */
    TASK_EVENT_DOWNLOADING,     /* manager: artifacts */
    TASK_EVENT_DOWNLOAD_FAILED, /* manager */
    TASK_EVENT_TEMPLATE,        /* manager: what its templates wait for, or what went wrong */
    TASK_EVENT_NOT_UPDATED,     /* manager: its executor cannot take changed terms (terms.h) */
    TASK_EVENT_TYPE_N,          /* a newer executor may send larger numbers: "Unknown" */
};

struct task_event {
    uint64_t seq;     /* position in the executor's sequence; 0 for the manager's own events */
    uint64_t time_ns; /* CLOCK_REALTIME */
    enum task_event_type type;
    int exit_code;     /* TERMINATED */
    int signal;        /* TERMINATED: signal that ended it or 0; SIGNALING, KILLING: signal sent */
    bool oom_killed;   /* TERMINATED */
    uint64_t delay_ns; /* RESTARTING: until the next start */
    char message[STATUS_TEXT_BYTES];
};

struct task_status {
    uint64_t seq; /* of the newest change */
    enum task_state state;
    bool failed; /* meaningful once DEAD */
    pid_t executor_pid;
    uint64_t executor_start; /* starttime of /proc/PID/stat, clock ticks since boot */
    char boot_id[37];
    pid_t pid; /* the task's main process as the host sees it; 0 while there is none */
    uint64_t pid_start;
    uint32_t attempt;  /* 0, 1, 2 …: also the suffix of the leaf cgroup */
    uint32_t restarts; /* automatic and asked for */
    uint64_t started_ns;
    uint64_t finished_ns;
    uint64_t last_restart_ns;
    int exit_code;
    int exit_signal;
    bool oom_killed;
    bool paused;                    /* RUNNING, but frozen */
    uint64_t log_lost_bytes;        /* of both streams … */
    uint64_t log_lost_stderr_bytes; /* … and of standard error alone; older executors: 0 */
    uint64_t terms_id;              /* of the order's terms it acts by; older executors: 0 */
    uint32_t window_count;          /* restarts by policy since … */
    uint64_t window_ns;             /* … this, CLOCK_MONOTONIC; 0: none yet */
    uint64_t definition;            /* the spec's; older executors: 0 */
    size_t n_events;
    struct task_event events[STATUS_EVENTS]; /* oldest first */
};

/* Nomad's text for a state or type ("pending", "Terminated"); never NULL. */
const char *task_state_name(enum task_state state);
const char *task_event_type_name(enum task_event_type type);

/* Appends a copy of `event` to the ring, dropping the oldest at need. */
void task_status_add_event(struct task_status *status, const struct task_event *event);

/* Encodes into `buf` of STATUS_SLOT_BYTES; always fits. Returns the number of bytes used. */
size_t status_encode(const struct task_status *status, char *buf);

/* Decodes one slot. -EBADMSG: empty, torn or foreign. `ret_status` untouched on failure. */
int status_decode(const char *slot, size_t size, struct task_status *ret_status, struct err *e);

/* Picks the newest valid slot of a file already open at `fd`. -ENODATA when neither is valid. */
int status_read(int fd, struct task_status *ret_status, struct err *e);

/* Writes `status` to the slot its seq selects (seq % 2). `sync`: it is on the disk when this
 * returns; else it is on its way there, instead of in half a minute. */
int status_write(int fd, const struct task_status *status, bool sync);
