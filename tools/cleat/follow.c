/* SPDX-License-Identifier: MIT
 *
 * Each round asks for the allocations' state after the index of the round before, and compares. A
 * task that ends at once is "running" for a moment first, so all running is believed only after it
 * has lasted for SETTLE_MS. An allocation is running as soon as any of its tasks is: here it counts
 * as such only when its main tasks are, after all that has to come before them.
 */
#include "tools/cleat/follow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/cleanup.h"
#include "tools/cleat/http.h"
#include "tools/cleat/output.h"
#include "tools/cleat/progress.h"

enum {
    SETTLE_MS = 1000,
    WAIT_MS = 60000, /* of one query; then the next one */
};

struct follow {
    const struct cli *cli;
    char *job; /* escaped */
    unsigned long long index;
    json_t *seen;       /* allocation id to the status last told */
    json_t *job_def;    /* tells which tasks are main ones; NULL: no matter */
    json_int_t told_ns; /* events up to here were told */
};

static long long now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static bool status_is(const json_t *alloc, const char *status)
{
    return !strcmp(get_text(alloc, "ClientStatus"), status);
}

static bool is_service(const json_t *alloc)
{
    return !strcmp(get_text(alloc, "JobType"), "service");
}

static bool is_end(const json_t *event)
{
    return !strcmp(get_text(event, "Type"), "Terminated");
}

/* What kept a task from starting. */
static bool is_start_failure(const json_t *event)
{
    const char *type = get_text(event, "Type");

    return !strcmp(type, "Driver Failure") || !strcmp(type, "Setup Failure") ||
           !strcmp(type, "Failed Artifact Download");
}

/* A service is not to end at all. */
static bool is_failure(const json_t *event, bool service)
{
    return is_start_failure(event) ||
           (is_end(event) && (service || get_int(event, "ExitCode") || get_int(event, "Signal")));
}

/* A task that was told to end: to stop, or to start anew. */
static bool is_order(const json_t *event)
{
    const char *type = get_text(event, "Type");

    return !strcmp(type, "Killing") || !strcmp(type, "Restart Signaled");
}

/* Which try of the task the event at `at` is of, from 1. */
static json_int_t attempt_of(const json_t *task, size_t at)
{
    const json_t *events = json_object_get(task, "Events");
    json_int_t attempt = get_int(task, "Restarts") + 1;

    for (size_t i = at + 1; i < json_array_size(events); i++)
        attempt -= !strcmp(get_text(json_array_get(events, i), "Type"), "Restarting");
    return attempt;
}

static void print_attempt(FILE *out, json_int_t attempt)
{
    if (attempt > 1)
        (void)fprintf(out, ", attempt %lld", (long long)attempt);
    (void)fputc('\n', out);
}

/* Why the task failed, other than that it is not started again: in what followed its last start. */
static const json_t *find_cause(const json_t *task)
{
    const json_t *events = json_object_get(task, "Events");
    const json_t *last = json_array_get(events, json_array_size(events) - 1);

    if (strcmp(get_text(last, "Type"), "Not Restarting") != 0)
        return last;
    for (size_t i = json_array_size(events); i-- > 0;) {
        const json_t *event = json_array_get(events, i);

        if (is_start_failure(event) || !strcmp(get_text(event, "Type"), "Template"))
            return event;
        if (is_end(event) || !strcmp(get_text(event, "Type"), "Started"))
            break;
    }
    return last;
}

static bool is_told_as_reason(const json_t *task, const json_t *event)
{
    return json_is_true(json_object_get(task, "Failed")) && find_cause(task) == event;
}

static const json_t *find_named(const json_t *array, const char *name)
{
    const json_t *item;
    size_t i;

    json_array_foreach(array, i, item) if (!strcmp(get_text(item, "Name"), name)) return item;
    return NULL;
}

static bool is_main(const struct follow *f, const json_t *alloc, const char *task)
{
    const json_t *group =
        find_named(json_object_get(f->job_def, "TaskGroups"), get_text(alloc, "TaskGroup"));
    const json_t *def = find_named(json_object_get(group, "Tasks"), task);

    return def && !json_is_object(json_object_get(def, "Lifecycle"));
}

/* Tells of failures that a restart may yet mend, each once. */
static void tell_failures(struct follow *f, const json_t *alloc)
{
    const json_t *task, *event;
    const char *name;
    size_t i;

    json_object_foreach((json_t *)json_object_get(alloc, "TaskStates"), name, task)
    {
        bool ordered = false;

        json_array_foreach(json_object_get(task, "Events"), i, event)
        {
            if (get_int(event, "Time") > f->told_ns && !ordered &&
                is_failure(event, is_service(alloc) && is_main(f, alloc, name)) &&
                !is_told_as_reason(task, event)) {
                (void)fprintf(stderr, "task \"%s\" of %.8s: %s: %s", name, get_text(alloc, "ID"),
                              get_text(event, "Type"), get_text(event, "DisplayMessage"));
                print_attempt(stderr, attempt_of(task, i));
            }
            ordered = is_order(event) || (ordered && !is_end(event));
        }
    }
}

static json_int_t newest_event(const json_t *alloc, json_int_t newest)
{
    const json_t *task, *event;
    const char *name;
    size_t i;

    json_object_foreach((json_t *)json_object_get(alloc, "TaskStates"), name, task)
        json_array_foreach(json_object_get(task, "Events"), i,
                           event) if (get_int(event, "Time") > newest) newest =
            get_int(event, "Time");
    return newest;
}

/* Running by name, but a main task of it does not run yet, or not again, or has just failed. */
static bool is_starting(const struct follow *f, const json_t *alloc, json_int_t *ret_attempt)
{
    bool starting = false;
    const json_t *task;
    const char *name;

    *ret_attempt = 1;
    json_object_foreach((json_t *)json_object_get(alloc, "TaskStates"), name, task)
    {
        if (!is_main(f, alloc, name))
            continue;
        starting |= !strcmp(get_text(task, "State"), "pending") ||
                    json_is_true(json_object_get(task, "Failed")); /* the allocation's is to come */
        if (get_int(task, "Restarts") + 1 > *ret_attempt)
            *ret_attempt = get_int(task, "Restarts") + 1;
    }
    return starting;
}

static void tell_status(struct follow *f, const json_t *alloc, json_int_t attempt)
{
    const char *id = get_text(alloc, "ID"), *status = get_text(alloc, "ClientStatus");
    char told[64];

    if (!status_is(alloc, "running"))
        attempt = 1;
    (void)snprintf(told, sizeof(told), "%s %lld", status, (long long)attempt);
    if (!strcmp(get_text(f->seen, id), told))
        return;
    (void)json_object_set_new(f->seen, id, json_string(told));
    if (!f->cli->json && strcmp(status, "pending") != 0) {
        (void)printf("Allocation %.8s is %s", id, status);
        print_attempt(stdout, attempt);
        (void)fflush(stdout);
    }
}

static bool ended_well(const json_t *events)
{
    const json_t *event, *end = NULL;
    size_t i;

    json_array_foreach(events, i, event) if (is_end(event)) end = event;
    return end && !get_int(end, "ExitCode") && !get_int(end, "Signal");
}

/* Why an allocation failed: what ended each task that did. */
static void tell_reason(const json_t *alloc)
{
    bool hint = false;
    const json_t *task;
    const char *name;

    json_object_foreach((json_t *)json_object_get(alloc, "TaskStates"), name, task)
    {
        const json_t *events = json_object_get(task, "Events");
        const json_t *last = json_array_get(events, json_array_size(events) - 1);
        const json_t *cause = find_cause(task);

        if (!json_is_true(json_object_get(task, "Failed")))
            continue;
        (void)cli_fail(0, "allocation %s failed: task \"%s\": %s: %s%s%s", get_text(alloc, "ID"),
                       name, get_text(cause, "Type"), get_text(cause, "DisplayMessage"),
                       cause != last ? "; not restarting: " : "",
                       cause != last ? get_text(last, "DisplayMessage") : "");
        hint |= is_service(alloc) && ended_well(events);
    }
    if (hint)
        (void)fputs("a service is to run for ever; type = \"batch\" is for jobs that end\n",
                    stderr);
}

/* The job's allocations after a change, or after `wait_ms`. */
static int next_round(struct follow *f, long long wait_ms, json_t **ret_allocs)
{
    return http_get_index(f->cli, ret_allocs, &f->index,
                          "/v1/job/%s/allocations?index=%llu&wait=%lldms", f->job, f->index,
                          wait_ms > 0 ? wait_ms : 1);
}

struct counts {
    size_t pending, running, failed;
};

static struct counts look_at(struct follow *f, const json_t *allocs, json_int_t version)
{
    struct counts counts = {0};
    json_int_t newest = f->told_ns;
    const json_t *alloc;
    size_t i;

    progress_clear();
    json_array_foreach(allocs, i, alloc)
    {
        json_int_t attempt = 1;
        bool starting;

        if (get_int(alloc, "JobVersion") != version ||
            strcmp(get_text(alloc, "DesiredStatus"), "run") != 0)
            continue;
        starting = status_is(alloc, "running") && is_starting(f, alloc, &attempt);
        tell_failures(f, alloc);
        if (!starting)
            tell_status(f, alloc, attempt);
        newest = newest_event(alloc, newest);
        counts.pending += starting || status_is(alloc, "pending");
        counts.running += !starting && status_is(alloc, "running");
        if (status_is(alloc, "failed") || status_is(alloc, "lost")) {
            counts.failed++;
            tell_reason(alloc);
        }
    }
    if (!f->cli->json)
        progress_show(allocs);
    f->told_ns = newest;
    return counts;
}

static int follow_init(struct follow *f, const struct cli *cli, const char *job_id)
{
    *f = (struct follow){.cli = cli, .job = http_escape(job_id), .seen = json_object()};
    return f->job && f->seen ? CLI_OK : cli_fail(CLI_FAILED, "out of memory");
}

static void follow_deinit(struct follow *f)
{
    progress_clear();
    free(f->job);
    json_decref(f->job_def);
    json_decref(f->seen);
}

static int wait_for_start(struct follow *f, json_int_t version)
{
    long long settled = 0; /* when, if it stays so */

    for (;;) {
        json_t *allocs = NULL;
        long long wait = settled ? settled - now_ms() : WAIT_MS;
        int r = next_round(f, wait, &allocs);

        if (r)
            return r;
        struct counts counts = look_at(f, allocs, version);
        json_decref(allocs);
        if (counts.failed)
            return CLI_FAILED;
        if (!counts.pending && !counts.running)
            return CLI_OK;
        if (counts.pending)
            settled = 0;
        else if (!settled)
            settled = now_ms() + SETTLE_MS;
        else if (now_ms() >= settled)
            return CLI_OK;
    }
}

/* What is not placed, which no allocation tells of. */
static int tell_blocked(const struct follow *f)
{
    json_t *job = NULL;
    int r = http_get(f->cli, &job, "/v1/job/%s", f->job);

    if (!r && *get_text(job, "StatusDescription"))
        r = cli_fail(CLI_FAILED, "%s; it is placed as soon as it can be",
                     get_text(job, "StatusDescription"));
    json_decref(job);
    return r;
}

int follow_start(const struct cli *cli, const char *job_id, json_int_t version, json_int_t since_ns)
{
    struct follow f;
    int r = follow_init(&f, cli, job_id);

    f.told_ns = since_ns;
    if (!r)
        r = http_get(cli, &f.job_def, "/v1/job/%s", f.job);
    if (!r)
        r = wait_for_start(&f, version);
    if (!r)
        r = tell_blocked(&f);
    follow_deinit(&f);
    return r;
}

static bool any_alive(const json_t *allocs)
{
    const json_t *alloc;
    size_t i;

    json_array_foreach(allocs, i, alloc) if (status_is(alloc, "pending") ||
                                             status_is(alloc, "running")) return true;
    return false;
}

int follow_stop(const struct cli *cli, const char *job_id)
{
    struct follow f;
    int r = follow_init(&f, cli, job_id);
    bool alive = true;

    while (!r && alive) {
        json_t *allocs = NULL;

        r = next_round(&f, WAIT_MS, &allocs);
        alive = any_alive(allocs);
        json_decref(allocs);
    }
    follow_deinit(&f);
    return r;
}
