/* SPDX-License-Identifier: MIT
 *
 * Where a task's account goes: first into the durable status record, then as a numbered event to
 * the manager if one reads, and as a line for people into executor.out. Never blocks: when no
 * manager reads or its pipe is full, the record alone tells, and a HELLO with the newest number
 * follows as soon as the pipe takes one.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>

#include "shared/err.h"
#include "shared/proto/spec.h"
#include "shared/proto/status.h"
#include "shared/proto/wire.h"

struct record {
    struct ev_loop *loop;
    struct ev_io evt_writable; /* runs only while a frame did not fit */
    int state_dir;             /* borrowed, -1: standalone, nothing is kept */
    int status_fd;
    int evt_fd;           /* -1 while no manager reads */
    int out_fd;           /* executor.out, -1 if it cannot be had; standalone: stderr */
    const char *task_dir; /* where that lies, borrowed; NULL: standalone */
    struct task_status status;
    bool went_on;        /* an earlier executor's record was continued */
    bool tells_restarts; /* standalone: there may be some, so each end is told too */
};

/* Makes at need, opens and locks the status file in `state_dir`; returns its descriptor. To be
 * called before the spec is read: a manager that takes the lock may withdraw the spec. -EBUSY:
 * another executor holds the task. */
int record_lock(int state_dir, struct err *e);

/* -EBUSY: `spec` was written for another executor than this one, whose WIRE_ORDER_ENV is `order`
 * (NULL: it has none): one that was forked after it, by a manager that did not know of it. */
int record_check_order(const struct exec_spec *spec, const char *order, struct err *e);

/* Goes on from what an earlier executor left in the locked status file, which is taken over, and
 * writes the first record. -EBUSY: that one came after this one was asked for, and
 * has to be looked at by a manager first. */
int record_open(struct record *rec, struct ev_loop *loop, int state_dir, int status_fd,
                const struct exec_spec *spec, struct err *e);

/* Goes on with the descriptors and the account another release of this process left. */
void record_resume(struct record *rec, struct ev_loop *loop, int state_dir, int status_fd,
                   int evt_fd, int out_fd, const struct exec_spec *spec,
                   const struct task_status *status);

/* For runs without a manager: keeps the account in memory and tells people on stderr. */
void record_open_standalone(struct record *rec, struct ev_loop *loop, const struct exec_spec *spec);

/* Commits rec->status as a new change, with `event` if there is one (its seq and time are filled
 * in). `sync`: survive a crash of the machine too. */
void record_commit(struct record *rec, const struct task_event *event, bool sync);

/* A manager said hello: (re)opens evt and answers. */
void record_hello(struct record *rec);

/* One line for people: `<time> attempt <n>: <text>`. */
void record_say(struct record *rec, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void record_close(struct record *rec);
