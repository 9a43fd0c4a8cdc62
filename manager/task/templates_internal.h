/* SPDX-License-Identifier: MIT
 *
 * Between templates.c, templates_order.c, templates_change.c and templates_watch.c.
 */
#pragma once

#include <ev.h>
#include <jansson.h>

#include "manager/host/watch.h"
#include "manager/task/templates.h"
#include "manager/worker.h"

struct template_script; /* one that runs: templates_change.c */
struct template_file;   /* one that is watched: templates_watch.c */

struct templates {
    struct task *task;
    bool preparing; /* the start of the task waits for the end of a round */
    bool waiting;   /* for its turn: so many are rendered at once and no more */
    bool has_turn;
    bool stays; /* the renderer goes on by itself */
    struct templates *next_waiting;
    struct worker *worker;
    json_t *rendered; /* digests of the newest round, by template; null: not rendered yet */
    json_t *envs;     /* what those with env = true rendered */
    json_t *applied;  /* digests of what the running task has: also in its record */
    struct template_file *files;
    size_t n_files;
    ev_timer again;           /* the next round: after a change, or after a renderer died */
    uint64_t first_change_ns; /* CLOCK_MONOTONIC; 0: none since the last round */
    ev_timer splay;           /* before what follows from a change is done */
    ev_timer missing;         /* before it is told again what is missing */
    char missing_text[256];   /* what is to be told */
    uint64_t missing_told_ns;
    struct template_script *scripts;
};

static inline const struct job_template *templates_def(const struct templates *t, size_t i)
{
    return &t->task->def->templates[i];
}

/* How long to wait for more changes after one, at least and at most; ns. */
void templates_get_wait(const struct templates *t, uint64_t *ret_min, uint64_t *ret_max);

struct ev_loop *templates_loop(const struct templates *t);

/* templates_order.c: the order for cleat-template (render.h there). -EINVAL: a path leads out. */
int templates_order(const struct templates *t, json_t **ret_order, struct err *e);

/* templates_watch.c: watches the files of a round ([{"path", "ino", "size", "mtime"}]) in place of
 * those before. True: one of them is another than it was when it was read. */
bool templates_watch(struct templates *t, const json_t *files,
                     void (*changed)(struct templates *t));
void templates_unwatch(struct templates *t);

/* templates_change.c: what follows from a round, after the splay; giving all of that up. */
void templates_change(struct templates *t);
void templates_change_now(struct ev_loop *loop, ev_timer *timer, int revents);
void templates_change_cancel(struct templates *t);

/* The record of what the task has; and what its environment gets of it. */
void templates_load(struct templates *t);
void templates_apply(struct templates *t);
