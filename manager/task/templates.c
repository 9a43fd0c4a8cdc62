/* SPDX-License-Identifier: MIT
 *
 *   start(): round … -> done: on record, the task may start
 *                    -> missing: told, waited for
 *   a file changed -> round -> what follows from it, after the splay (templates_change.c)
 * A round is one run of cleat-template; where the templates depend on Vault or Consul it stays and
 * begins the next round by itself. Otherwise no process stays, and files are watched.
 *
 * What the running task has of its templates is on record before it starts, and again after what
 * followed from a change was done: so a change is never lost with a manager, whenever that dies.
 */
#include "manager/task/templates.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manager/core.h"
#include "manager/task/task.h"
#include "manager/task/templates_internal.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/tmpl/tmpl.h"

enum {
    MAX_AT_ONCE = 4,
    MAX_MESSAGE = 2 << 20,
};

#define SECOND 1000000000u
#define MISSING_EVERY (3ull * SECOND) /* Nomad's */
#define AGAIN_AFTER (5ull * SECOND)   /* where a renderer died */
#define AFTER_ERROR (60ull * SECOND)

static struct {
    unsigned int n;
    struct templates *first; /* who waits for a turn */
} turns;

static void next_round(struct templates *t);

struct ev_loop *templates_loop(const struct templates *t)
{
    return t->task->alloc->manager->loop;
}

static void arm(struct templates *t, ev_timer *timer, uint64_t delay_ns)
{
    ev_timer_stop(templates_loop(t), timer);
    ev_now_update(templates_loop(t));
    ev_timer_set(timer, (double)delay_ns / 1e9, 0.);
    ev_timer_start(templates_loop(t), timer);
}

int templates_check(const struct job_task *def, const struct config *config, struct err *e)
{
    for (size_t i = 0; i < def->n_templates; i++) {
        const struct job_template *t = &def->templates[i];
        const struct tmpl_options options = {
            .left = t->left,
            .right = t->right,
            .denied = (const char *const *)config->template.function_denylist};
        struct tmpl *tmpl = NULL;
        int r =
            *t->data ? tmpl_parse(t->destination, t->data, strlen(t->data), &options, &tmpl, e) : 0;

        tmpl_free(tmpl);
        if (r)
            return r;
    }
    return 0;
}

/* ---- turns ---- */

static void leave_turn(struct templates *t)
{
    struct templates **at = &turns.first;

    while (t->waiting && *at != t)
        at = &(*at)->next_waiting;
    if (t->waiting)
        *at = t->next_waiting;
    t->waiting = false;
    if (!t->has_turn)
        return;
    t->has_turn = false;
    turns.n--;
    while (turns.n < MAX_AT_ONCE && turns.first) {
        struct templates *next = turns.first;

        turns.first = next->next_waiting;
        next->waiting = false;
        next_round(next);
    }
}

static bool take_turn(struct templates *t)
{
    struct templates **at = &turns.first;

    if (t->has_turn || turns.n < MAX_AT_ONCE) {
        turns.n += !t->has_turn;
        t->has_turn = true;
        return true;
    }
    if (t->waiting)
        return false;
    while (*at)
        at = &(*at)->next_waiting;
    *at = t;
    t->next_waiting = NULL;
    t->waiting = true;
    return false;
}

/* ---- making, freeing ---- */

static void on_again(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    next_round(container_of(timer, struct templates, again));
}

/* The newest is what stands in the events. */
static void tell_missing(struct templates *t)
{
    t->missing_told_ns = clock_now_ns(CLOCK_MONOTONIC);
    task_note(t->task, TASK_EVENT_TEMPLATE, 0, "%s", t->missing_text);
}

static void on_missing(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    tell_missing(container_of(timer, struct templates, missing));
}

static struct templates *templates_new(struct task *task)
{
    struct templates *t = calloc(1, sizeof(*t));

    if (!t)
        abort();
    t->task = task;
    t->rendered = json_array();
    t->envs = json_array();
    t->applied = json_array();
    for (size_t i = 0; i < task->def->n_templates; i++) {
        (void)json_array_append_new(t->rendered, json_null());
        (void)json_array_append_new(t->envs, json_null());
        (void)json_array_append_new(t->applied, json_null());
    }
    ev_timer_init(&t->again, on_again, 0., 0.);
    ev_timer_init(&t->splay, templates_change_now, 0., 0.);
    ev_timer_init(&t->missing, on_missing, 0., 0.);
    task->templates = t;
    return t;
}

void templates_stop(struct task *task)
{
    struct templates *t = task->templates;

    if (!t)
        return;
    task->templates = NULL;
    ev_timer_stop(templates_loop(t), &t->again);
    ev_timer_stop(templates_loop(t), &t->splay);
    ev_timer_stop(templates_loop(t), &t->missing);
    templates_change_cancel(t);
    t->worker = worker_free(t->worker);
    leave_turn(t);
    templates_unwatch(t);
    json_decref(t->rendered);
    json_decref(t->envs);
    json_decref(t->applied);
    free(t);
}

/* ---- after a change ---- */

void templates_get_wait(const struct templates *t, uint64_t *ret_min, uint64_t *ret_max)
{
    const struct config_template *options = &t->task->alloc->manager->config->template;
    int64_t least = INT64_MAX, most = 0;

    for (size_t i = 0; i < t->task->def->n_templates; i++) {
        const struct job_template_wait *own = &templates_def(t, i)->wait;
        int64_t min = own->set ? own->min_ns : options->wait.min_ns;
        int64_t max = own->set ? own->max_ns : options->wait.max_ns;

        if (options->wait_bounds.min_ns && min < options->wait_bounds.min_ns)
            min = options->wait_bounds.min_ns;
        if (options->wait_bounds.max_ns && max > options->wait_bounds.max_ns)
            max = options->wait_bounds.max_ns;
        if (min < least) {
            least = min;
            most = max > min ? max : 4 * min;
        }
    }
    *ret_min = (uint64_t)least;
    *ret_max = (uint64_t)most;
}

static void plan_round(struct templates *t)
{
    uint64_t now = clock_now_ns(CLOCK_MONOTONIC), min, max, delay;

    templates_get_wait(t, &min, &max);
    if (!t->first_change_ns)
        t->first_change_ns = now;
    delay = t->preparing ? 0 : min; /* nobody is bothered before the task runs */
    if (delay && now + delay > t->first_change_ns + max)
        delay = t->first_change_ns + max > now ? t->first_change_ns + max - now : 0;
    arm(t, &t->again, delay);
}

/* ---- the end of a round ---- */

static void fail_prepare(struct templates *t, const char *text, bool may_pass)
{
    char copy[sizeof(((struct err *)0)->text)];
    const struct prepare_failure failure = {TASK_EVENT_SETUP_FAILURE, may_pass, copy};
    struct task *task = t->task;

    (void)snprintf(copy, sizeof(copy), "%s", text);
    templates_stop(task);
    prepare_done(task, &failure);
}

/* While the task runs it goes on with what it has. */
static void on_trouble(struct templates *t, const char *text)
{
    log_warn("alloc %s task %s: templates: %s", t->task->alloc->id, t->task->def->name, text);
    task_note(t->task, TASK_EVENT_TEMPLATE, 0, "%s", text);
}

static void on_error(struct templates *t, const char *text, bool may_pass)
{
    t->stays = false; /* it ends: on_end() is not to be told again */
    if (t->preparing) {
        fail_prepare(t, text, may_pass);
        return;
    }
    leave_turn(t);
    on_trouble(t, text);
    arm(t, &t->again, AFTER_ERROR);
}

static void note_render(struct templates *t, const json_t *message)
{
    size_t i = (size_t)json_integer_value(json_object_get(message, "render"));
    json_t *env = json_object_get(message, "env");

    if (i >= t->task->def->n_templates)
        return;
    (void)json_array_set(t->rendered, i, json_object_get(message, "sha"));
    if (env)
        (void)json_array_set(t->envs, i, env);
}

static void take_files(struct templates *t, const json_t *message)
{
    bool once = templates_def(t, 0)->once && !t->preparing;

    t->stays = json_is_true(json_object_get(message, "stays"));
    if (!once && templates_watch(t, json_object_get(message, "watch"), plan_round))
        plan_round(t);
}

static void on_done(struct templates *t, const json_t *message)
{
    struct task *task = t->task;
    bool first = t->preparing;

    ev_timer_stop(templates_loop(t), &t->missing);
    t->preparing = false;
    take_files(t, message);
    leave_turn(t);
    if (!first) {
        templates_change(t);
        return;
    }
    templates_apply(t);
    prepare_done(task, NULL);
}

/* "Missing: a, b, c, and N more" */
static void name_missing(struct templates *t, const json_t *names)
{
    size_t n = json_array_size(names), shown = n > 3 ? 3 : n, used;

    used = (size_t)snprintf(t->missing_text, sizeof(t->missing_text), "Missing: ");
    for (size_t i = 0; i < shown && used < sizeof(t->missing_text); i++)
        used += (size_t)snprintf(t->missing_text + used, sizeof(t->missing_text) - used, "%s%.60s",
                                 i ? ", " : "", json_string_value(json_array_get(names, i)));
    if (n > shown && used < sizeof(t->missing_text))
        (void)snprintf(t->missing_text + used, sizeof(t->missing_text) - used, ", and %zu more",
                       n - shown);
}

static void on_round_missing(struct templates *t, const json_t *message)
{
    uint64_t now = clock_now_ns(CLOCK_MONOTONIC), due = t->missing_told_ns + MISSING_EVERY;

    name_missing(t, json_object_get(message, "missing"));
    take_files(t, message);
    leave_turn(t);
    if (!t->missing_told_ns || now >= due)
        tell_missing(t);
    else
        arm(t, &t->missing, due - now);
}

static void on_message(void *arg, const json_t *message)
{
    const char *error = json_string_value(json_object_get(message, "error"));
    const char *trouble = json_string_value(json_object_get(message, "trouble"));

    if (error)
        on_error(arg, error, json_is_true(json_object_get(message, "may_pass")));
    else if (trouble)
        on_trouble(arg, trouble);
    else if (json_object_get(message, "render"))
        note_render(arg, message);
    else if (json_object_get(message, "done"))
        on_done(arg, message);
    else if (json_object_get(message, "missing"))
        on_round_missing(arg, message);
}

/* One that was to stay, or that said nothing, did not end by itself. */
static void on_end(void *arg, const struct worker_end *end)
{
    struct templates *t = arg;
    bool unfinished = t->has_turn || t->stays;

    t->worker = NULL;
    leave_turn(t);
    if (!unfinished || ev_is_active(&t->again))
        return;
    log_warn("alloc %s task %s: cleat-template: %s", t->task->alloc->id, t->task->def->name,
             end->text);
    if (end->code > 0 && t->preparing)
        fail_prepare(t, end->text, true);
    else
        arm(t, &t->again, AGAIN_AFTER);
}

/* ---- a round ---- */

static int start(struct templates *t, struct err *e)
{
    const struct alloc *alloc = t->task->alloc;
    autofree char *name = NULL;
    char program[PATH_MAX];
    autofd int dir = open(alloc->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    json_t *order = NULL;
    int r = dir < 0 ? err_sys(e, -errno, "open directory %s", alloc->dir) : 0;

    if (!r)
        r = templates_order(t, &order, e);
    if (r)
        return r;
    if (asprintf(&name, "alloc %s task %s: templates", alloc->id, t->task->def->name) < 0)
        abort();
    worker_program("cleat-template", program, sizeof(program));
    r = worker_new(templates_loop(t),
                   &(struct worker_plan){.name = name,
                                         .program = program,
                                         .order = order,
                                         .fds = &dir,
                                         .n_fds = 1,
                                         .lock = -1,
                                         .max_line = MAX_MESSAGE,
                                         .on_message = on_message,
                                         .on_end = on_end,
                                         .arg = t},
                   &t->worker, e);
    json_decref(order);
    return r;
}

static void next_round(struct templates *t)
{
    struct err e = ERR_INIT;
    int r;

    ev_timer_stop(templates_loop(t), &t->again);
    if (!take_turn(t))
        return;
    t->worker = worker_free(t->worker); /* one that stays knows nothing of files */
    t->first_change_ns = 0;
    t->stays = false;
    r = start(t, &e);
    if (!r)
        return;
    leave_turn(t);
    if (t->preparing)
        fail_prepare(t, e.text, prepare_may_pass(r));
    else
        arm(t, &t->again, AGAIN_AFTER);
}

/* ---- the step ---- */

static bool wanted(const struct task *task)
{
    return task->def->n_templates > 0;
}

/* From the loop, so that what fails does so there too. */
static int start_step(struct task *task, struct err *e)
{
    struct templates *t;

    (void)e;
    templates_stop(task);
    json_decref(task->template_env);
    task->template_env = NULL;
    t = templates_new(task);
    t->preparing = true;
    arm(t, &t->again, 0);
    return PREPARE_STARTED;
}

const struct prepare_step templates_step = {
    .name = "templates",
    .wanted = wanted,
    .start = start_step,
    .cancel = templates_stop,
};

void templates_adopt(struct task *task)
{
    struct templates *t;

    if (!wanted(task) || task->templates)
        return;
    t = templates_new(task);
    templates_load(t);
    arm(t, &t->again, 0);
}
