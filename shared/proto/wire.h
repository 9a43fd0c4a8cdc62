/* SPDX-License-Identifier: MIT
 *
 * The contract between a manager and its executors: files, descriptors, messages, exit codes.
 *
 * <data_dir>/state/tasks/<alloc-id>/<task>/
 *   spec    written by the manager before the fork (proto/spec.h). An executor acts by the one it
 *           was forked for, and by no other: WIRE_ORDER_ENV in its environment is the spec's
 *           `order`, or neither is there. So where there is no spec, nobody starts the task.
 *   status  written by the executor (proto/status.h). The executor holds a POSIX write lock
 *           (fcntl F_SETLK) on it from before its first act until it exits: so there is never a
 *           second executor for a task, and F_GETLK gives the live executor's pid, which cannot be
 *           a recycled one while the lock is held.
 *   ctl     FIFO, manager to executor: commands
 *   evt     FIFO, executor to manager: hello and events
 *
 * Framing, both ways: a 4-byte little-endian length and one msgpack map, at most WIRE_FRAME_MAX
 * bytes together. That is PIPE_BUF, so a frame is written whole or not at all (pipe(7)), whoever
 * dies.
 *
 * Attaching: the manager opens evt for reading, reads it empty (what a dead predecessor left there
 * is in the record), sends HELLO; the executor opens evt, answers with its own HELLO and follows
 * with events. The manager reads the record when the HELLO arrives and ignores events up to the
 * record's seq. A gap in the numbers (the pipe was full) means: read the record again.
 *
 * A newer program talks to every older one: keys are only added, unknown ones are skipped.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"
#include "shared/proto/status.h"
#include "shared/proto/terms.h"

enum {
    WIRE_VERSION = 2, /* 2: CTL_TERMS */
    WIRE_FRAME_MAX = 4096,
};

#define WIRE_SPEC "spec"
#define WIRE_STATUS "status"
#define WIRE_CTL "ctl"
#define WIRE_EVT "evt"

#define WIRE_ORDER_ENV "CLEAT_ORDER"

/* Said by an executor in executor.out, or under `run` on stderr. A manager tries it out by that. */
#define WIRE_NOTE_PROC                                                                             \
    "a /proc of the task's own cannot be mounted here, where parts of the host's are covered: it " \
    "sees the host's, read-only"

/* A group of that name in the configured cgroup is where executors go (cleat-executor hold). */
#define WIRE_EXECUTORS_GROUP "executors"

/* Exit codes of `cleat-executor supervise`; the task's own code is in the record, not here. */
enum wire_exit {
    WIRE_EXIT_OK = 0,      /* what became of the task is recorded */
    WIRE_EXIT_USAGE = 64,  /* wrong arguments */
    WIRE_EXIT_STATE = 65,  /* spec or state directory unusable; text on stderr */
    WIRE_EXIT_LOCKED = 66, /* another executor holds the task, or has since the spec was written; or
                              that is another's */
};

enum ctl_type {
    CTL_HELLO,   /* attach: reopen evt, answer with hello */
    CTL_SIGNAL,  /* send `signal` to the main process */
    CTL_STOP,    /* run the stop sequence, then exit. `reason` is shown in the Killing event */
    CTL_RESTART, /* stop and start again without counting against the policy */
    CTL_PING,    /* answer with hello, nothing else */
    CTL_UPGRADE, /* check the executor binary at `path`, then become it, under the running task */
    CTL_PAUSE,   /* freeze every process of the task */
    CTL_RESUME,  /* … and let them go on; STOP and RESTART do so first */
    CTL_TERMS,   /* run the task on `terms` from now on: steps under way go on as they began */
    CTL_TYPE_N,
};

struct ctl_msg {
    enum ctl_type type;
    uint32_t version;        /* HELLO: WIRE_VERSION of the sender */
    int signal;              /* SIGNAL */
    bool fail;               /* STOP: the task counts as failed (a sibling failed) */
    struct spec_terms terms; /* TERMS */
    char path[1024];         /* UPGRADE: absolute */
    char reason[STATUS_TEXT_BYTES];
};

enum evt_type {
    EVT_HELLO,
    EVT_STATUS, /* a numbered change */
    EVT_TYPE_N,
};

struct evt_msg {
    enum evt_type type;
    uint32_t version; /* HELLO */
    char release[16]; /* HELLO: the executor's release, for people */
    uint64_t seq;     /* HELLO: newest seq; STATUS: this one */
    /* STATUS: the state after the change, as in struct task_status */
    enum task_state state;
    bool failed;
    pid_t pid;
    uint32_t restarts;
    bool has_event; /* `event` is set; a change without one is a bare change of state */
    struct task_event event;
};

/* Encode a whole frame, length included, into `buf` of WIRE_FRAME_MAX bytes. Always fits.
 * Return the frame's length. */
size_t ctl_encode(const struct ctl_msg *msg, char *buf);
size_t evt_encode(const struct evt_msg *msg, char *buf);

/* Looks at the front of `data`. Returns 0 and the payload's bounds when a whole frame is there;
 * -EAGAIN when more bytes are needed; -EBADMSG when the length is impossible. */
int wire_frame(const char *data, size_t size, const char **ret_payload, size_t *ret_size,
               size_t *ret_consumed);

/* Decode a payload as wire_frame() gives it. -EBADMSG with the key at fault in `e`; an unknown
 * message type is -EPROTONOSUPPORT (skip the frame, it is from a newer release). */
int ctl_decode(const char *payload, size_t size, struct ctl_msg *ret_msg, struct err *e);
int evt_decode(const char *payload, size_t size, struct evt_msg *ret_msg, struct err *e);
