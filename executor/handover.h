/* SPDX-License-Identifier: MIT
 *
 * Live upgrade: what one release of the executor leaves to the next when it re-executes itself in
 * place. The process stays: same pid, same children, same locks, same descriptors (by number). The
 * rest is carried in a memfd: this struct, the spec and the status record, each a message with a
 * length in front.
 */
#pragma once

#include <stdint.h>

#include "executor/lifecycle.h"
#include "executor/logs/pump.h"
#include "shared/err.h"
#include "shared/proto/spec.h"
#include "shared/proto/status.h"

enum {
    HANDOVER_VERSION = 2, /* 2: there may be held output */
    HANDOVER_FDS = 11,
    HANDOVER_STREAMS = 2,
};

/* Output that was read and cannot be written yet. */
struct handover_held {
    char *data; /* handover_read() allocates it, handover_free_held() frees it */
    size_t size;
};

struct handover {
    uint32_t version; /* the lowest that can take this over without losing anything */
    char release[16]; /* of the one that hands over */
    /* Descriptors, -1 where there is none. */
    int state_dir, log_dir;
    int status_fd, evt_fd, out_fd; /* record */
    int ctl_fd;
    int stdout_fd, stderr_fd; /* read ends of the log pipes */
    int child_fd, task_fd, report_fd;
    int64_t child_pid;
    bool have_exit;
    int wait_status;
    int failed_error;      /* of the present attempt … */
    char failed_stage[32]; /* … "" if no stage failed */
    char stop_reason[STATUS_TEXT_BYTES];
    struct life life;
    uint64_t timer_ns; /* when the life timer is due, CLOCK_MONOTONIC; 0: not armed */
    bool clearing;     /* the attempt was being cleared away */
    uint64_t oom_told; /* kills of the OOM killer that were reported */
    bool leaving;      /* told to stop the task and leave it to a successor */
    bool placed;       /* in spec.cgroup.executor */
    struct pump_loss stdout_loss, stderr_loss;
    int64_t compressor; /* pid of a child that compresses segments; 0: none */
    struct handover_held held[HANDOVER_STREAMS];
};

/* Writes everything into a new memfd (CLOEXEC, positioned at its start). */
int handover_write(const struct handover *h, const struct exec_spec *spec,
                   const struct task_status *status, int *ret_fd, struct err *e);

/* Reads it back. -EBADMSG for anything this release cannot take over. On success the held output is
 * the caller's to free. */
int handover_read(int fd, struct handover *ret_handover, struct exec_spec **ret_spec,
                  struct task_status *ret_status, struct err *e);

/* The same from memory. */
int handover_decode(const char *data, size_t size, struct handover *ret_handover,
                    struct exec_spec **ret_spec, struct task_status *ret_status, struct err *e);

void handover_free_held(struct handover *h);

/* Starts `path` as a child that checks whether it can take over what is in `memfd`; it exits with 0
 * if so. Returns a pidfd (CLOEXEC) of the child, or a negative errno. */
int handover_check(const char *path, int memfd, pid_t *ret_pid, struct err *e);

/* Becomes the program at `path`, which is told to resume from `memfd`. Returns only on failure,
 * with everything as before. */
int handover_exec(const struct handover *h, const char *path, int memfd, struct err *e);

/* After the exec: makes the descriptors CLOEXEC again. */
void handover_adopt_fds(const struct handover *h);
