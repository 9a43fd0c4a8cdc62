/* SPDX-License-Identifier: MIT
 *
 * One timer of the wall clock, for the nearest launch of all. A child is named after the second it
 * was due at, and registered before its parent's record says that it was launched: after a crash in
 * between, the next manager finds it due again, sees that it is there, and goes on. Of several
 * launches that were missed one is made up for. When the clock was set back, what was launched
 * already is not launched again, because it is there.
 */
#include "manager/job/periodic.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "manager/core.h"
#include "manager/job/children.h"
#include "manager/job/jobs.h"
#include "shared/cleanup.h"
#include "shared/log.h"

#define NEVER 1e12

/* Not time(2), whose second begins some milliseconds after the timer's. */
static int64_t now_s(void)
{
    return (int64_t)(manager_now_ns() / 1000000000u);
}

static int64_t last_launch(const struct job_record *record)
{
    return record->last_launch ? record->last_launch : (int64_t)(record->submit_ns / 1000000000u);
}

/* When it is due, which may be in the past; -1: never. */
static int64_t next_launch(struct job_record *record, int64_t now)
{
    int64_t since = last_launch(record);

    if (record->stop)
        return -1;
    if (since > now) /* the clock was set back */
        since = now;
    if (record->due_since != since) {
        record->due_since = since;
        record->due = job_next_launch(record->job, since);
    }
    return record->due;
}

/* As libev asks for it, also when the clock was set. */
static ev_tstamp nearest(ev_periodic *w, ev_tstamp now)
{
    struct manager *m = container_of(w, struct manager, launcher);
    ev_tstamp at = NEVER;

    for (struct job_record *record = m->jobs; record; record = record->next) {
        int64_t due =
            job_is_periodic(record->job) ? next_launch(record, (int64_t)now) : (int64_t)-1;

        if (due >= 0 && (ev_tstamp)due < at)
            at = (ev_tstamp)due;
    }
    return at < now ? now : at;
}

static int launch(struct manager *m, const struct job_record *parent, int64_t at,
                  struct job_record **ret_child, struct err *e)
{
    char id[512];

    (void)snprintf(id, sizeof(id), "%s/periodic-%lld", parent->job->id, (long long)at);
    return child_register(m, parent, id, json_pack("{s:n}", "Periodic"), ret_child, e);
}

static void launch_due(struct manager *m, struct job_record *record, int64_t due, int64_t now)
{
    const char *id = record->job->id;
    struct job_record *child;
    struct err e;

    if (record->job->periodic.prohibit_overlap && children_run(m, id))
        log_info("job \"%s\" is not launched: the one before runs, and it prohibits overlap", id);
    else if (launch(m, record, due, &child, &e))
        log_error("job \"%s\" could not be launched: %s", id, e.text);
    record->last_launch = now;
    if (jobs_save_or_remove(m, id, &e))
        log_error("job \"%s\": that it was launched is on no record: %s", id, e.text);
}

static void on_launch(struct ev_loop *loop, ev_periodic *w, int revents)
{
    struct manager *m = container_of(w, struct manager, launcher);
    int64_t now = now_s();

    (void)loop;
    (void)revents;
    for (struct job_record *record = m->jobs; record; record = record->next) {
        int64_t due = job_is_periodic(record->job) ? next_launch(record, now) : -1;

        if (due >= 0 && due <= now)
            launch_due(m, record, due, now);
    }
    periodic_schedule(m);
}

void periodic_init(struct manager *m)
{
    ev_periodic_init(&m->launcher, on_launch, 0., 0., nearest);
}

void periodic_deinit(struct manager *m)
{
    ev_periodic_stop(m->loop, &m->launcher);
}

void periodic_schedule(struct manager *m)
{
    ev_tstamp now = (ev_tstamp)now_s();

    ev_periodic_stop(m->loop, &m->launcher);
    if (nearest(&m->launcher, now) < NEVER)
        ev_periodic_start(m->loop, &m->launcher);
}

int manager_periodic_force(struct manager *m, const char *job_id, struct job_record **ret_child,
                           struct err *e)
{
    struct job_record *record = manager_find_job(m, job_id);

    if (!record)
        return err_set(e, -ENOENT, "job \"%s\" not found", job_id);
    if (!job_is_periodic(record->job))
        return err_set(e, -EINVAL, "job \"%s\" is not periodic: there is nothing to launch",
                       job_id);
    if (record->stop)
        return err_set(e, -EINVAL, "job \"%s\" is stopped: run it again first", job_id);
    if (!record->job->periodic.enabled)
        return err_set(e, -EINVAL,
                       "job \"%s\" is disabled: run it with periodic { enabled = true } first",
                       job_id);
    return launch(m, record, now_s(), ret_child, e);
}
