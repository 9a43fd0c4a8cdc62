/* SPDX-License-Identifier: MIT
 *
 * What a changed definition of a job does to its allocations. As in Nomad, what a task has been
 * told and keeps to itself is replaced, and what only the manager or the executor acts by changes
 * under it; but a task beside others is started anew in its allocation, and the others run on.
 */
#pragma once

#include <jansson.h>

#include "manager/state.h"

enum update_action {
    UPDATE_PLACE,    /* a new allocation; no `alloc` yet */
    UPDATE_STOP,     /* too many, or of a group that is gone */
    UPDATE_FORGET,   /* finished: it is no longer counted */
    UPDATE_IN_PLACE, /* it runs on, of the new version */
    UPDATE_IGNORE,   /* it runs on as it is */
    UPDATE_RESTART,  /* … but the tasks in `change` are started anew in it */
    UPDATE_REPLACE,  /* stopped, and another one takes its index */
    UPDATE_ACTION_N
};

/* What became of one group between two versions. */
struct group_change {
    const struct job_record *from;
    const struct job_group *group; /* of the new version */
    enum update_action action;     /* IN_PLACE, RESTART or REPLACE */
    bool changed[];                /* for each task of `group` whether it is to be started anew */
};

struct update_item {
    enum update_action action;
    struct alloc *alloc;
    const struct job_group *group; /* of the new version; NULL: it has none of that name */
    const struct group_change *change;
    unsigned int index;
    struct alloc *placed; /* PLACE, REPLACE: the new one, once it is made */
    uint64_t *was;        /* RESTART: what its tasks were defined by before */
};

/* … and of those of a version, where its allocations have a say; else NULL. */
struct update_version {
    const struct job_record *from;
    struct group_change **changes;
    size_t n_groups;
    struct update_version *next;
};

struct update {
    json_t *blocked; /* what is not placed whole, and why (feasible.h); NULL: all is */
    struct update_version *versions;
    struct update_item *items; /* STOP and FORGET, then by group and index */
    size_t n_items;
};

/* Nothing is changed by it. */
void update_plan(const struct manager *m, const struct job *job, struct update *ret_update);
void update_deinit(struct update *update);

/* Everything stays as it is: the definition is the one there is. */
void update_ignore(struct update *update);

/* How many running allocations of each group are stopped for others, or have tasks started anew,
 * {group: n} (new reference); NULL: none are. */
json_t *update_replaced(const struct update *update);

/* What is to be, in memory; and back, where it cannot be recorded. */
void update_apply(const struct update *update, struct manager *m, struct job_record *record);
void update_undo(const struct update *update);

/* What follows once it is recorded: stops and starts. */
void update_start(const struct update *update);

/* The number of tasks it starts in addition to those there are. */
size_t update_new_tasks(const struct update *update);
