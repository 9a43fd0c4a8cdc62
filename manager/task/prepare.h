/* SPDX-License-Identifier: MIT
 *
 * What must be there before a task's executor is started: an ordered list of steps, gone through
 * before each start of an executor (not when an executor restarts its task). Nothing of it is on
 * record: after a crash of the manager it begins anew, and a step that is not to do its work twice
 * tells by what is on disk that it is done.
 */
#pragma once

#include <stdbool.h>

#include "shared/err.h"
#include "shared/proto/status.h"

struct task;

enum {
    PREPARE_STARTED = 1
};

struct prepare_failure {
    enum task_event_type type; /* of the event that tells it */
    bool may_pass;             /* the restart policy decides; else the task fails for good */
    const char *text;          /* what was tried, on what, and the likely mend */
};

struct prepare_step {
    const char *name;
    /* Whether there is anything to do for this task. */
    bool (*wanted)(const struct task *task);
    /* 0: done at once. PREPARE_STARTED: prepare_done() will be called, later and from the loop.
     * Negative errno: failed, and `e` says why; prepare_may_pass() says whether for good. The step
     * may keep what it needs meanwhile in task->prepare.data. */
    int (*start)(struct task *task, struct err *e);
    /* Gives up what start() began; prepare_done() is not called then. NULL: start() never begins
     * anything. */
    void (*cancel)(struct task *task);
};

/* In every task. All zero: nothing is under way. */
struct prepare {
    const struct prepare_step *const *at; /* the step under way; NULL: none */
    void (*done)(struct task *task, const struct prepare_failure *failure);
    void *data; /* the step's own */
};

/* The steps of a task, in order; NULL-terminated (prepare_steps.c). */
extern const struct prepare_step *const prepare_steps[];

/* Goes through `steps`, then calls `done` once, perhaps at once; `failure` is NULL if all went
 * well. Nothing may be under way. */
void prepare_start(struct task *task, const struct prepare_step *const *steps,
                   void (*done)(struct task *task, const struct prepare_failure *failure));

/* For a step that was started: it is done, or failed. */
void prepare_done(struct task *task, const struct prepare_failure *failure);

/* Gives up; `done` is not called. Nothing need be under way. */
void prepare_cancel(struct task *task);

/* True for what other programs or people may mend meanwhile: a full disk or table, a program that
 * is just being replaced. */
bool prepare_may_pass(int code);
