/* SPDX-License-Identifier: MIT
 *
 * A child per artifact. One that failed ends the others, for the task does not start without it;
 * the next attempt goes on with those that are not on record. The record, "artifacts" in the task's
 * state directory, is unsynced like what it speaks of: it holds for the boot it names.
 * One event tells of all downloads; its text changes while they go on.
 */
#include "manager/task/artifacts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/alloc/alloc.h"
#include "manager/alloc/allocdir.h"
#include "manager/core.h"
#include "manager/task/artifact_order.h"
#include "manager/task/task.h"
#include "manager/worker.h"
#include "shared/cleanup.h"
#include "shared/log.h"
#include "shared/statefile.h"
#include "shared/sys.h"
#include "shared/units.h"

#define RECORD "artifacts"
#define TELL_NS 500000000ULL
#define GRACE_S 60. /* cleat-fetch keeps the time limit itself where it can */

enum {
    AT_ONCE = 3,
    RECORD_VERSION = 1,
    RECORD_MAX = 1 << 20,
};

struct item {
    struct downloads *downloads;
    struct artifact_order *order;
    struct worker *worker;
    bool done;
    struct artifacts_progress progress;
    char failed[sizeof(((struct worker_end *)0)->text)]; /* what cleat-fetch says itself */
    bool recoverable;
};

struct downloads {
    struct task *task;
    struct artifact_order *orders;
    struct item *items;
    size_t n, next;
    size_t left; /* not done */
    uint64_t told_ns;
    int state_dir;
    int alloc_dir;
    json_t *done; /* hashes, as text */
    char **env;
};

/* ---- the record ---- */

static json_t *read_record(int dir, const char *boot_id)
{
    autofree char *text = NULL;
    struct err e = ERR_INIT;
    json_t *json = NULL, *done;
    const char *boot;
    uint32_t version;
    size_t size;

    if (statefile_read(dir, RECORD, RECORD_MAX, &version, &text, &size, &e) == 0)
        json = json_loadb(text, size, 0, NULL);
    boot = json_string_value(json_object_get(json, "BootID"));
    done = json_object_get(json, "Done");
    done = boot && strcmp(boot, boot_id) == 0 && json_is_array(done) ? json_incref(done)
                                                                     : json_array();
    json_decref(json);
    return done;
}

/* Without it, all is got again: that is no reason to stop. */
static void write_record(const struct downloads *d)
{
    json_t *json =
        json_pack("{s:s, s:O}", "BootID", d->task->alloc->manager->boot_id, "Done", d->done);
    autofree char *text = json_dumps(json, JSON_COMPACT);
    struct err e = ERR_INIT;

    if (text &&
        statefile_write_unsynced(d->state_dir, RECORD, RECORD_VERSION, text, strlen(text), &e))
        log_warn("alloc %s task %s: record of artifacts: %s", d->task->alloc->id,
                 d->task->def->name, e.text);
    json_decref(json);
}

static bool is_recorded(const struct downloads *d, const char *hash)
{
    const json_t *value;
    size_t i;

    json_array_foreach(d->done, i,
                       value) if (strcmp(json_string_value(value), hash) == 0) return true;
    return false;
}

static void hash_text(const struct artifact_order *order, char buf[20])
{
    (void)snprintf(buf, 20, "%016llx", (unsigned long long)order->hash);
}

/* On record, and its destination is there. */
static bool is_done(const struct downloads *d, const struct artifact_order *order)
{
    autofd int fd = -1;
    char hash[20];

    hash_text(order, hash);
    if (!is_recorded(d, hash))
        return false;
    fd = sys_openat2(d->alloc_dir, order->destination, O_PATH | O_CLOEXEC, 0,
                     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    return fd >= 0;
}

/* ---- telling ---- */

bool artifacts_progress(const struct task *task, struct artifacts_progress *ret_progress)
{
    const struct prepare *p = &task->prepare;
    const struct downloads *d = p->data;
    bool known = true;

    if (!p->at || *p->at != &artifacts_step || !d)
        return false;
    *ret_progress = (struct artifacts_progress){0};
    for (size_t i = 0; i < d->n; i++) {
        const struct artifacts_progress *one = &d->items[i].progress;

        ret_progress->bytes += one->bytes;
        ret_progress->total += one->total;
        if (d->items[i].worker)
            ret_progress->rate += one->rate;
        known &= one->total > 0;
    }
    if (!known)
        ret_progress->total = 0;
    return true;
}

static struct task_event *find_event(const struct task *task)
{
    for (size_t i = task->n_events; i-- > 0;)
        if (task->events[i].type == TASK_EVENT_DOWNLOADING)
            return &task->events[i];
    return NULL;
}

static void tell(struct downloads *d)
{
    struct task_event *event = find_event(d->task);
    struct artifacts_progress p;
    uint64_t now = manager_now_ns();
    char left[32] = "";

    if (!event || now - d->told_ns < TELL_NS || !artifacts_progress(d->task, &p))
        return;
    d->told_ns = now;
    if (p.total && p.rate)
        (void)duration_format((p.total - p.bytes) / p.rate * 1000000000ULL, left, sizeof(left));
    if (p.total)
        (void)snprintf(event->message, sizeof(event->message),
                       "Client is downloading artifacts: %.1f of %.1f MiB (%d%%), %.1f MiB/s%s%s",
                       (double)p.bytes / 1048576, (double)p.total / 1048576,
                       (int)(p.bytes * 100 / p.total), (double)p.rate / 1048576, *left ? ", " : "",
                       left);
    else
        (void)snprintf(event->message, sizeof(event->message),
                       "Client is downloading artifacts: %.1f MiB, %.1f MiB/s",
                       (double)p.bytes / 1048576, (double)p.rate / 1048576);
    alloc_changed(d->task->alloc, false);
}

static void tell_again(const struct downloads *d, const char *text)
{
    struct task_event *event = find_event(d->task);

    if (!event)
        return;
    (void)snprintf(event->message, sizeof(event->message),
                   "Client is downloading artifacts: %.100s", text);
    alloc_changed(d->task->alloc, false);
}

/* ---- their end ---- */

static struct downloads *downloads_free(struct downloads *d)
{
    if (!d)
        return NULL;
    for (size_t i = 0; i < d->n; i++)
        (void)worker_free(d->items[i].worker);
    artifact_orders_free(d->orders, d->n);
    free(d->items);
    close_fd(&d->state_dir);
    close_fd(&d->alloc_dir);
    json_decref(d->done);
    for (char **s = d->env; s && *s; s++)
        free(*s);
    free(d->env);
    free(d);
    return NULL;
}

static void fail(struct downloads *d, const char *text, bool recoverable)
{
    struct task *task = d->task;
    struct prepare_failure failure = {TASK_EVENT_DOWNLOAD_FAILED, recoverable, text};

    task->prepare.data = NULL;
    prepare_done(task, &failure);
    (void)downloads_free(d);
}

static void cancel(struct task *task)
{
    task->prepare.data = downloads_free(task->prepare.data);
}

/* ---- one of them ---- */

static void on_message(void *arg, const json_t *message)
{
    struct item *item = arg;
    const char *failed = json_string_value(json_object_get(message, "failed"));
    const char *stage = json_string_value(json_object_get(message, "stage"));
    json_int_t bytes = json_integer_value(json_object_get(message, "bytes"));
    json_int_t total = json_integer_value(json_object_get(message, "total"));
    json_int_t rate = json_integer_value(json_object_get(message, "rate"));
    const char *again = json_string_value(json_object_get(message, "again"));

    if (again) {
        tell_again(item->downloads, again);
        return;
    }
    if (failed) {
        (void)snprintf(item->failed, sizeof(item->failed), "%s", failed);
        item->recoverable = json_is_true(json_object_get(message, "recoverable"));
        return;
    }
    if (!stage || strcmp(stage, "download") != 0 || bytes < 0 || total < 0 || rate < 0)
        return; /* earlier releases told of unpacking as well */
    if (total && bytes > total)
        bytes = total;
    item->progress = (struct artifacts_progress){(uint64_t)bytes, (uint64_t)total, (uint64_t)rate};
    tell(item->downloads);
}

static int start_next(struct downloads *d, struct err *e);

static void on_end(void *arg, const struct worker_end *end)
{
    struct item *item = arg;
    struct downloads *d = item->downloads;
    struct err e = ERR_INIT;
    char hash[20], text[sizeof(item->failed)];

    item->worker = NULL;
    if (end->code != 0) {
        (void)snprintf(text, sizeof(text), "%s", *item->failed ? item->failed : end->text);
        fail(d, text, !*item->failed || item->recoverable);
        return;
    }
    hash_text(item->order, hash);
    item->done = true;
    item->progress.bytes = item->progress.total;
    if (!is_recorded(d, hash))
        (void)json_array_append_new(d->done, json_string(hash));
    write_record(d);
    d->left--;
    if (start_next(d, &e)) {
        fail(d, e.text, true);
        return;
    }
    if (d->left)
        return;
    d->task->prepare.data = NULL;
    prepare_done(d->task, NULL);
    (void)downloads_free(d);
}

static int start_one(struct downloads *d, struct item *item, struct err *e)
{
    const struct task *task = d->task;
    char name[320], program[PATH_MAX], lock_name[64];
    autofd int lock = -1;
    struct worker_plan plan = {
        .name = name,
        .program = program,
        .env = d->env,
        .order = item->order->json,
        .fds = &d->alloc_dir,
        .n_fds = 1,
        .timeout_s = item->order->timeout_s > 0 ? item->order->timeout_s + GRACE_S : 0,
        .on_message = on_message,
        .on_end = on_end,
        .arg = item,
    };

    (void)snprintf(name, sizeof(name), "alloc %s task %s: artifact", task->alloc->id,
                   task->def->name);
    (void)snprintf(lock_name, sizeof(lock_name), "artifact-%zu.lock", (size_t)(item - d->items));
    worker_program("cleat-fetch", program, sizeof(program));
    lock = openat(d->state_dir, lock_name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (lock < 0)
        return err_sys(e, -errno, "make %s of task \"%s\"", lock_name, task->def->name);
    plan.lock = lock;
    return worker_new(task->alloc->manager->loop, &plan, &item->worker, e);
}

static size_t n_running(const struct downloads *d)
{
    size_t n = 0;

    for (size_t i = 0; i < d->n; i++)
        n += d->items[i].worker != NULL;
    return n;
}

static int start_next(struct downloads *d, struct err *e)
{
    while (d->next < d->n && n_running(d) < AT_ONCE) {
        struct item *item = &d->items[d->next++];
        int r = item->done ? 0 : start_one(d, item, e);

        if (r)
            return r;
    }
    return 0;
}

/* ---- all of them ---- */

/* PATH, and the manager's own variables that the operator names. */
static char **make_env(const struct config_artifact *config)
{
    const char *names = config->set_environment_variables ? config->set_environment_variables : "";
    autofree char *copy = strdup(names);
    char **env = calloc(strlen(names) + 2, sizeof(*env)), *save = NULL;
    size_t n = 0;

    if (!copy || !env)
        abort();
    env[n++] = strdup("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    for (char *name = strtok_r(copy, ", ", &save); name; name = strtok_r(NULL, ", ", &save)) {
        const char *value = getenv(name);

        if (value && asprintf(&env[n++], "%s=%s", name, value) < 0)
            abort();
    }
    return env;
}

static int open_dirs(struct downloads *d, struct err *e)
{
    struct manager *m = d->task->alloc->manager;
    char path[PATH_MAX];
    int r = store_make_task_dir(&m->store, d->task->alloc->id, d->task->def->name);

    task_state_dir(d->task, path, sizeof(path));
    if (r)
        return err_sys(e, r, "make directory %s", path);
    d->state_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->state_dir < 0)
        return err_sys(e, -errno, "open directory %s", path);
    d->alloc_dir = open(d->task->alloc->dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return d->alloc_dir < 0 ? err_sys(e, -errno, "open directory %s", d->task->alloc->dir) : 0;
}

static int set_up(struct downloads *d, struct err *e)
{
    int r = open_dirs(d, e);

    if (!r)
        r = artifact_orders_make(d->task, &d->orders, &d->n, e);
    if (r)
        return r;
    d->items = calloc(d->n, sizeof(*d->items));
    if (!d->items)
        abort();
    d->done = read_record(d->state_dir, d->task->alloc->manager->boot_id);
    d->env = make_env(&d->task->alloc->manager->config->artifact);
    for (size_t i = 0; i < d->n; i++) {
        d->items[i].downloads = d;
        d->items[i].order = &d->orders[i];
        d->items[i].done = is_done(d, &d->orders[i]);
        d->left += !d->items[i].done;
    }
    return 0;
}

static int start(struct task *task, struct err *e)
{
    struct downloads *d = calloc(1, sizeof(*d));
    int r;

    if (!d)
        abort();
    *d = (struct downloads){.task = task, .state_dir = -1, .alloc_dir = -1};
    r = set_up(d, e);
    if (!r && d->left) {
        (void)task_note(task, TASK_EVENT_DOWNLOADING, 0, "Client is downloading artifacts");
        d->told_ns = manager_now_ns();
        task->prepare.data = d;
        r = start_next(d, e);
        if (!r)
            return PREPARE_STARTED;
    }
    task->prepare.data = downloads_free(d);
    return r;
}

static bool wanted(const struct task *task)
{
    return artifact_orders_wanted(task);
}

const struct prepare_step artifacts_step = {
    .name = "artifacts",
    .wanted = wanted,
    .start = start,
    .cancel = cancel,
};
