/* SPDX-License-Identifier: MIT
 *
 * One attempt to run the task: its cgroup, its processes, their reports and their end. What happens
 * is told to the owner through callbacks, each at most once per attempt and in this order:
 *
 *   started → (oom …) → exited → cleared      the task ran
 *   failed → cleared                          a stage of the setup failed
 *
 * `cleared` comes only after attempt_clear() was asked for. Every callback may ask for the next
 * thing.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "executor/isolation/cgroup.h"
#include "executor/logs/pump.h"
#include "executor/oom.h"
#include "executor/orphans.h"
#include "shared/err.h"
#include "shared/proto/spec.h"

struct handover;

enum {
    STREAM_STDOUT,
    STREAM_STDERR,
    STREAM_N
};

struct attempt_ops {
    void (*started)(void *arg, pid_t pid); /* the task was executed; `pid` as the host sees it */
    /* A stage failed, with a negative errno and a text; told before the processes are gone. */
    void (*stage_failed)(void *arg, const char *stage, int error, const char *text);
    void (*failed)(void *arg); /* … and now they are */
    /* The main process is dead, what was in the log pipes is written. */
    void (*exited)(void *arg, int wait_status, bool oom_killed);
    void (*cleared)(
        void *arg); /* nothing of the attempt is left, the logs are written to their end */
    oom_cb *oom;    /* a child of the task was killed for want of memory */
    void (*say)(void *arg, const char *text); /* for people */
};

struct attempt {
    struct ev_loop *loop;
    const struct exec_spec *spec;
    const struct attempt_ops *ops;
    void *arg;
    struct pump *pumps; /* STREAM_N of them, the owner's */
    bool own_streams;   /* the task has this process's stdin; logs disabled: its output too */
    bool tmpfs_root;    /* the root is a fresh tmpfs */
    /* Children of this process that are not the attempt's; 0: none. */
    const pid_t *other_children[ORPHANS_SPARE - 1];

    struct cgroup cgroup;
    struct oom_watch oom;
    struct orphans orphans;
    struct ev_io reported;   /* report socket */
    struct ev_io child_dead; /* pidfd of the first child */
    struct ev_timer clear_timer;
    uint64_t clearing_since_ns; /* CLOCK_MONOTONIC */
    ev_tstamp clear_wait;
    bool clearing;

    pid_t child_pid;
    int child_fd; /* pidfd of the first child, -1 while there is none */
    int task_fd;  /* pidfd of the task itself where that is the stub's child, else -1 */
    int report_fd;
    bool have_exit; /* the stub has told the task's wait status */
    int wait_status;
    const char *failed_stage; /* NULL: none failed */
    int failed_error;
};

void attempt_init(struct attempt *a, struct ev_loop *loop, const struct exec_spec *spec,
                  struct pump *pumps, const struct attempt_ops *ops, void *arg);

/* Starts attempt number `number`. A failure is told through the callbacks, possibly at once. */
void attempt_start(struct attempt *a, uint32_t number);

/* Takes in what the children have reported by now, without waiting for the loop. */
void attempt_take_reports(struct attempt *a);

/* There is a process that a signal could reach. */
bool attempt_is_alive(const struct attempt *a);

/* Sends `signo` to the task's main process. */
void attempt_signal(struct attempt *a, int signo);

/* SIGKILLs everything of the attempt. */
void attempt_kill(struct attempt *a);

/* Kills and clears away what the main process left behind, then tells `cleared`. */
void attempt_clear(struct attempt *a);

/* Live upgrade: puts the attempt's part into `h`; and the same back, for attempt number `number`.
 */
void attempt_hand_over(const struct attempt *a, struct handover *h);
void attempt_resume(struct attempt *a, const struct handover *h, uint32_t number);

/* Lets go of everything; what still runs dies with this process. */
void attempt_deinit(struct attempt *a);
