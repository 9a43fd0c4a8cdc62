/* SPDX-License-Identifier: MIT
 *
 * The tasks are collected at the start, by their ids, since any of them may be gone when its turn
 * comes. How an upgrade went is read from the task's events, which come from the executor's durable
 * record: an answer cannot be missed. An executor too old for the command says nothing; that is
 * what the time limit is for.
 */
#include "manager/task/upgrade.h"

#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>

#include "manager/core.h"
#include "manager/task/task_handle.h"
#include "shared/cleanup.h"
#include "shared/log.h"

static const ev_tstamp answer_limit_s = 15.0;

struct upgrade {
    struct manager *manager;
    json_t *results; /* {"AllocID", "Task", "Before", "After", "Error"} of each, in order */
    size_t turn;     /* index of the one whose turn it is */
    bool asked;
    uint64_t seq; /* of its newest change when it was asked */
    ev_timer late;
    void (*done)(void *arg, json_t *results);
    void *arg;
};

static const char *text_of(const json_t *result, const char *key)
{
    return json_string_value(json_object_get(result, key));
}

static struct task *find_task(const struct manager *m, const json_t *result)
{
    struct alloc *alloc = manager_find_alloc(m, text_of(result, "AllocID"));

    for (size_t i = 0; alloc && i < alloc->group->n_tasks; i++)
        if (strcmp(alloc->tasks[i].def->name, text_of(result, "Task")) == 0)
            return &alloc->tasks[i];
    return NULL;
}

static json_t *collect(const struct manager *m)
{
    json_t *results = json_array();

    for (const struct alloc *alloc = m->allocs; alloc; alloc = alloc->next)
        for (size_t i = 0; i < alloc->group->n_tasks; i++)
            if (alloc->tasks[i].handle)
                (void)json_array_append_new(results, json_pack("{s:s, s:s}", "AllocID", alloc->id,
                                                               "Task", alloc->tasks[i].def->name));
    return results;
}

/* Ends the turn of one executor, whose task may be gone. */
static void next(struct upgrade *u, const struct task *task, const char *error)
{
    json_t *result = json_array_get(u->results, u->turn);
    const char *after = task && task->handle ? task_handle_release(task->handle) : "";

    (void)json_object_set_new(result, "After", json_string(after));
    (void)json_object_set_new(result, "Error", json_string(error));
    if (error[0])
        log_warn("alloc %s task %s: executor not upgraded: %s", text_of(result, "AllocID"),
                 text_of(result, "Task"), error);
    ev_timer_stop(u->manager->loop, &u->late);
    u->asked = false;
    u->turn++;
}

static void ask(struct upgrade *u, struct task *task)
{
    json_t *result = json_array_get(u->results, u->turn);
    bool there = task && task->handle;
    int r;

    (void)json_object_set_new(result, "Before",
                              json_string(there ? task_handle_release(task->handle) : ""));
    if (!there) {
        next(u, task, "the task has ended");
        return;
    }
    u->seq = task->status.seq;
    r = task_handle_upgrade(task->handle, u->manager->config->executor);
    if (r && r != -EAGAIN) {
        next(u, task, r == -ENXIO ? "its executor has just ended" : strerror(-r));
        return;
    }
    u->asked = !r; /* else it is just starting: again when it has said hello */
    if (ev_is_active(&u->late))
        return;
    ev_timer_set(&u->late, answer_limit_s, 0);
    ev_timer_start(u->manager->loop, &u->late);
}

static const struct task_event *answer_of(const struct upgrade *u, const struct task *task)
{
    for (size_t i = task->n_events; i-- > 0;) {
        const struct task_event *event = &task->events[i];

        if (event->seq > u->seq &&
            (event->type == TASK_EVENT_UPGRADED || event->type == TASK_EVENT_UPGRADE_FAILED))
            return event;
    }
    return NULL;
}

static void look(struct upgrade *u, struct task *task)
{
    const struct task_event *answer = task ? answer_of(u, task) : NULL;

    if (answer)
        next(u, task, answer->type == TASK_EVENT_UPGRADED ? "" : answer->message);
    else if (!task || !task->handle)
        next(u, task, "the task ended meanwhile");
}

static void on_late(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct upgrade *u = container_of(w, struct upgrade, late);

    (void)loop;
    (void)revents;
    next(u, find_task(u->manager, json_array_get(u->results, u->turn)),
         "no answer; is this executor older than live upgrade?");
}

void upgrade_on_turn(struct manager *m)
{
    struct upgrade *u = m->upgrade;

    while (u && u->turn < json_array_size(u->results)) {
        size_t turn = u->turn;
        struct task *task = find_task(m, json_array_get(u->results, turn));

        if (u->asked)
            look(u, task);
        else
            ask(u, task);
        if (u->turn == turn)
            return; /* waiting for its answer */
    }
    if (!u)
        return;
    m->upgrade = NULL;
    u->done(u->arg, u->results);
    json_decref(u->results);
    free(u);
}

void upgrade_cancel(struct manager *m)
{
    if (!m->upgrade)
        return;
    ev_timer_stop(m->loop, &m->upgrade->late);
    json_decref(m->upgrade->results);
    free(m->upgrade);
    m->upgrade = NULL;
}

int manager_upgrade_executors(struct manager *m, void (*done)(void *arg, json_t *results),
                              void *arg)
{
    struct upgrade *u;

    if (m->upgrade)
        return -EBUSY;
    u = calloc(1, sizeof(*u));
    if (!u)
        return -ENOMEM;
    u->manager = m;
    u->results = collect(m);
    u->done = done;
    u->arg = arg;
    ev_timer_init(&u->late, on_late, answer_limit_s, 0);
    m->upgrade = u;
    return 0;
}
