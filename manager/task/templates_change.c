/* SPDX-License-Identifier: MIT
 *
 * What follows when a template renders something else while its task runs: a restart, which makes
 * signals and scripts needless; or all the signals, once each, and then the scripts.
 *
 * It is on record as done only afterwards. So a manager that dies in between leaves it to the next
 * one, who may do it twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager/core.h"
#include "manager/task/task.h"
#include "manager/task/task_handle.h"
#include "manager/task/task_order.h"
#include "manager/task/templates_internal.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/statefile.h"
#include "shared/units.h"

enum {
    RECORD_VERSION = 1,
    RECORD_MAX_BYTES = 1 << 20,
    OUTPUT_KEPT = 200, /* of a script, for the event that tells of its failure */
};

static const char record_name[] = "templates";

struct template_script {
    struct templates *owner;
    size_t template; /* whose it is */
    int control;
    ev_io gone;
    ev_io output[2];
    ev_timer limit;
    bool late;
    char text[OUTPUT_KEPT + 1]; /* the end of its output */
    struct template_script *next;
};

/* ---- the record ---- */

static int open_state(const struct task *task)
{
    char dir[PATH_MAX];
    int fd;

    task_state_dir(task, dir, sizeof(dir));
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

void templates_load(struct templates *t)
{
    autofd int dir = open_state(t->task);
    autofree char *data = NULL;
    uint32_t version;
    size_t size;
    json_t *list;

    if (dir < 0 || statefile_read(dir, record_name, RECORD_MAX_BYTES, &version, &data, &size, NULL))
        return;
    list = json_loadb(data, size, 0, NULL);
    if (json_array_size(list) == t->task->def->n_templates) {
        json_decref(t->applied);
        t->applied = json_incref(list);
    }
    json_decref(list);
}

static void save(const struct templates *t)
{
    const struct task *task = t->task;
    const struct alloc *alloc = task->alloc;
    autofree char *text = json_dumps(t->applied, JSON_COMPACT);
    int r = store_make_task_dir(&alloc->manager->store, alloc->id, task->def->name);
    autofd int dir = r ? r : open_state(task);
    struct err e = ERR_INIT;

    /* Not synced: after a crash of the machine everything is rendered and started anew. */
    r = dir < 0 ? err_sys(&e, dir, "open its directory")
        : text  ? statefile_write_unsynced(dir, record_name, RECORD_VERSION, text, strlen(text), &e)
                : err_sys(&e, -ENOMEM, "write");
    if (r)
        log_error("alloc %s task %s: the record of its templates: %s", alloc->id, task->def->name,
                  e.text);
}

static void take_env(const struct templates *t)
{
    struct task *task = t->task;
    json_t *all = json_object(), *env;
    size_t i;

    json_array_foreach(t->envs, i, env)
    {
        if (json_is_object(env))
            (void)json_object_update(all, env);
    }
    json_decref(task->template_env);
    task->template_env = all;
    if (json_object_size(all))
        return;
    json_decref(all);
    task->template_env = NULL;
}

void templates_apply(struct templates *t)
{
    json_decref(t->applied);
    t->applied = json_copy(t->rendered);
    take_env(t);
    save(t);
}

/* ---- what has changed ---- */

static bool has_changed(const struct templates *t, size_t i)
{
    const json_t *now = json_array_get(t->rendered, i);

    return json_is_string(now) && !json_equal(now, json_array_get(t->applied, i));
}

void templates_change(struct templates *t)
{
    uint64_t splay = 0;
    bool any = false;

    for (size_t i = 0; i < t->task->def->n_templates; i++) {
        const struct job_template *def = templates_def(t, i);

        if (!has_changed(t, i))
            continue;
        any = true;
        if (def->change_mode != JOB_CHANGE_NOOP && (uint64_t)def->splay_ns > splay)
            splay = (uint64_t)def->splay_ns;
    }
    if (!any || ev_is_active(&t->splay))
        return;
    splay = (uint64_t)((double)splay * clock_spread(clock_now_ns(CLOCK_MONOTONIC)) / UINT32_MAX);
    ev_now_update(templates_loop(t));
    ev_timer_set(&t->splay, (double)splay / 1e9, 0.);
    ev_timer_start(templates_loop(t), &t->splay);
}

/* ---- scripts ---- */

static void script_free(struct template_script *s)
{
    struct ev_loop *loop = templates_loop(s->owner);
    struct template_script **at = &s->owner->scripts;

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    for (int i = 0; i < 2; i++) {
        ev_io_stop(loop, &s->output[i]);
        close_fd(&s->output[i].fd);
    }
    ev_io_stop(loop, &s->gone);
    ev_timer_stop(loop, &s->limit);
    close_fd(&s->gone.fd);
    close_fd(&s->control);
    free(s);
}

static void keep_output(struct template_script *s, const char *data, size_t n)
{
    size_t used = strlen(s->text);

    if (n > OUTPUT_KEPT) {
        data += n - OUTPUT_KEPT;
        n = OUTPUT_KEPT;
    }
    if (used + n > OUTPUT_KEPT) {
        size_t drop = used + n - OUTPUT_KEPT;

        memmove(s->text, s->text + drop, used - drop);
        used -= drop;
    }
    for (size_t i = 0; i < n; i++)
        s->text[used + i] = (char)((unsigned char)data[i] < ' ' ? ' ' : data[i]);
    s->text[used + n] = '\0';
}

/* False: nothing more comes. */
static bool read_output(struct template_script *s, ev_io *io)
{
    char buf[4096];
    ssize_t n = read(io->fd, buf, sizeof(buf));

    if (n > 0)
        keep_output(s, buf, (size_t)n);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void on_output(struct ev_loop *loop, ev_io *io, int revents)
{
    struct template_script *s = io->data;

    (void)revents;
    if (!read_output(s, io))
        ev_io_stop(loop, io);
}

static void fail_task(struct task *task, const char *reason)
{
    log_error("alloc %s task %s: %s", task->alloc->id, task->def->name, reason);
    if (task->handle)
        task_handle_stop(task->handle, true, reason);
}

static void script_failed(struct task *task, const struct job_change_script *def, const char *why)
{
    char text[OUTPUT_KEPT + 200];

    (void)snprintf(text, sizeof(text), "Template change script \"%.60s\" %.280s", def->command,
                   why);
    task_note(task, TASK_EVENT_TEMPLATE, 0, "%s", text);
    if (def->fail_on_error)
        fail_task(task, text);
}

static void on_script_gone(struct ev_loop *loop, ev_io *io, int revents)
{
    struct template_script *s = container_of(io, struct template_script, gone);
    struct task *task = s->owner->task;
    const struct job_change_script *def = &templates_def(s->owner, s->template)->change_script;
    char why[OUTPUT_KEPT + 80];
    siginfo_t info = {0};
    int code, n;

    (void)loop;
    (void)revents;
    (void)waitid(P_PIDFD, (id_t)io->fd, &info, WEXITED | WNOHANG);
    code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    for (int i = 0; i < 2; i++)
        (void)read_output(s, &s->output[i]);
    n = s->late ? snprintf(why, sizeof(why), "took too long and was killed")
                : snprintf(why, sizeof(why), "exited with code %d", code);
    if (*s->text)
        (void)snprintf(why + n, sizeof(why) - (size_t)n, ": %s", s->text);
    script_free(s);
    if (code)
        script_failed(task, def, why);
    else
        task_note(task, TASK_EVENT_TEMPLATE, 0, "Template change script \"%.60s\" ran",
                  def->command);
}

static void on_limit(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct template_script *s = container_of(timer, struct template_script, limit);

    (void)loop;
    (void)revents;
    s->late = true;
    close_fd(&s->control); /* kills it */
}

static void run_script(struct templates *t, size_t template)
{
    const struct job_change_script *def = &templates_def(t, template)->change_script;
    struct task_exec exec = TASK_EXEC_INIT;
    struct template_script *s;
    struct err e = ERR_INIT;
    size_t n = 0;
    autofree char **argv = NULL;

    while (def->args[n])
        n++;
    argv = calloc(n + 2, sizeof(*argv));
    s = calloc(1, sizeof(*s));
    if (!argv || !s)
        abort();
    argv[0] = def->command;
    memcpy(argv + 1, def->args, n * sizeof(*argv));
    if (manager_exec(t->task->alloc->manager, t->task, argv, false, &exec, &e)) {
        free(s);
        script_failed(t->task, def, e.text);
        return;
    }
    close_fd(&exec.in);
    *s = (struct template_script){
        .owner = t, .template = template, .control = exec.control, .next = t->scripts};
    t->scripts = s;
    ev_io_init(&s->gone, on_script_gone, exec.pidfd, EV_READ);
    ev_io_init(&s->output[0], on_output, exec.out, EV_READ);
    ev_io_init(&s->output[1], on_output, exec.error, EV_READ);
    s->output[0].data = s->output[1].data = s;
    ev_timer_init(&s->limit, on_limit, (double)def->timeout_ns / 1e9, 0.);
    ev_now_update(templates_loop(t));
    ev_io_start(templates_loop(t), &s->gone);
    ev_io_start(templates_loop(t), &s->output[0]);
    ev_io_start(templates_loop(t), &s->output[1]);
    ev_timer_start(templates_loop(t), &s->limit);
}

void templates_change_cancel(struct templates *t)
{
    while (t->scripts)
        script_free(t->scripts);
}

/* ---- acting ---- */

/* False: by what is known here it does not run, but it may have started meanwhile. */
static bool restart(struct templates *t)
{
    struct err e = ERR_INIT;

    if (task_restart(t->task, "Template with change_mode restart re-rendered", &e) == 0)
        return true;
    return !t->task->handle || task_handle_is_stopping(t->task->handle);
}

/* A task that does not run has what it needs when it does. */
static void send_signal(struct templates *t, int signo)
{
    char reason[STATUS_TEXT_BYTES];
    struct err e = ERR_INIT;
    int r = task_signal(t->task, signo, &e);

    if (!r || r == -ESRCH)
        return;
    (void)snprintf(reason, sizeof(reason), "Template failed to send %s: %.100s", signal_name(signo),
                   e.text);
    fail_task(t->task, reason);
}

static bool act(struct templates *t, const bool *changed)
{
    uint64_t signals = 0;

    for (size_t i = 0; i < t->task->def->n_templates; i++) {
        const struct job_template *def = templates_def(t, i);

        if (changed[i] && def->change_mode == JOB_CHANGE_RESTART) {
            return restart(t);
        }
        if (changed[i] && def->change_mode == JOB_CHANGE_SIGNAL)
            signals |= 1ull << (signal_parse(def->change_signal) & 63);
    }
    for (int signo = 1; signo < 64; signo++)
        if (signals & 1ull << signo)
            send_signal(t, signo);
    for (size_t i = 0; i < t->task->def->n_templates; i++)
        if (changed[i] && templates_def(t, i)->change_mode == JOB_CHANGE_SCRIPT &&
            t->task->status.state == TASK_STATE_RUNNING)
            run_script(t, i);
    return true;
}

/* The executor reads the environment anew before each attempt. */
static void renew_env(struct templates *t)
{
    struct err e = ERR_INIT;

    take_env(t);
    if (task_renew_spec(t->task, &e))
        log_error("alloc %s task %s: its new environment: %s", t->task->alloc->id,
                  t->task->def->name, e.text);
}

void templates_change_now(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct templates *t = container_of(timer, struct templates, splay);
    size_t n = t->task->def->n_templates;
    autofree bool *changed = calloc(n, sizeof(*changed));
    bool env = false;

    (void)revents;
    if (!changed)
        abort();
    for (size_t i = 0; i < n; i++) {
        changed[i] = has_changed(t, i);
        env |= changed[i] && templates_def(t, i)->env;
    }
    if (env)
        renew_env(t);
    if (!act(t, changed)) {
        ev_timer_set(&t->splay, 1., 0.);
        ev_timer_start(loop, &t->splay);
        return;
    }
    json_decref(t->applied);
    t->applied = json_copy(t->rendered);
    save(t);
}
