/* SPDX-License-Identifier: MIT
 *
 * A job's file holds every version that still has allocations, and which those are; it is synced
 * before a registration is acknowledged, and is all that is synced for it, however many allocations
 * there are. Invariants: the newest version is last in the file and first in m->jobs; jobs and
 * allocations are listed in the order they were made in, by whichever manager; a registration that
 * cannot be recorded did not happen. Odd case: a stop that cannot be recorded happens all the same,
 * and is recorded by the next change that can be.
 */
#include "manager/job/jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager/alloc/alloc.h"
#include "manager/alloc/volumes.h"
#include "manager/host/budget.h"
#include "manager/host/cores.h"
#include "manager/host/features.h"
#include "manager/job/feasible.h"
#include "manager/job/job_file.h"
#include "manager/job/periodic.h"
#include "manager/job/replace.h"
#include "manager/job/update.h"
#include "manager/task/driver.h"
#include "shared/cleanup.h"
#include "shared/job/value.h"
#include "shared/log.h"

enum {
    ALLOCS_MAX = 10000, /* of one version of a job */
};

struct job_record *job_record_new(struct job *job)
{
    struct job_record *record = calloc(1, sizeof(*record));

    if (!record)
        abort();
    record->refs = 1;
    record->job = job;
    return record;
}

struct job_record *job_record_ref(struct job_record *record)
{
    record->refs++;
    return record;
}

struct job_record *job_record_unref(struct job_record *record)
{
    while (record && --record->refs == 0) {
        struct job_record *older = record->older;

        job_free(record->job);
        json_decref(record->blocked);
        json_decref(record->replaced);
        free(record);
        record = older;
    }
    return NULL;
}

struct job_record *manager_find_job(const struct manager *m, const char *id)
{
    struct job_record *record = m->jobs;

    while (record && strcmp(record->job->id, id) != 0)
        record = record->next;
    return record;
}

struct job_record *job_link_newest(struct manager *m, struct job_record *record)
{
    struct job_record **at = &m->jobs, *old;

    while (*at && strcmp((*at)->job->id, record->job->id) != 0)
        at = &(*at)->next;
    old = *at;
    if (!old) /* while loading they come in any order */
        for (at = &m->jobs; *at && (*at)->create_index < record->create_index;)
            at = &(*at)->next;
    record->next = old ? old->next : *at;
    *at = record;
    return old;
}

static void unlink_newest(struct manager *m, struct job_record *record, struct job_record *old)
{
    struct job_record **at = &m->jobs;

    while (*at != record)
        at = &(*at)->next;
    *at = old ? old : record->next;
}

static int save(struct manager *m, struct job_record *newest, struct err *e)
{
    json_t *json = job_file(m, newest);
    int r = store_write_job(&m->store, newest->job->id, json, e);

    json_decref(json);
    newest->unsaved = r != 0;
    return r;
}

static int check_count(const struct job *job, struct err *e)
{
    int64_t left = ALLOCS_MAX;

    for (size_t g = 0; g < job->n_groups; g++) {
        if (job->groups[g].count > left)
            return err_set(e, -EINVAL,
                           "the groups' counts add up to more than %d; this node runs no more for "
                           "one job",
                           ALLOCS_MAX);
        left -= job->groups[g].count;
    }
    return 0;
}

static int check(const struct manager *m, const struct job *job, struct err *e)
{
    int r = check_count(job, e);
    for (size_t g = 0; !r && g < job->n_groups; g++) {
        r = volumes_check(m->config, &job->groups[g], e);
        if (r)
            err_wrap(e, "group \"%s\"", job->groups[g].name);
        for (size_t t = 0; !r && t < job->groups[g].n_tasks; t++) {
            const struct job_task *def = &job->groups[g].tasks[t];

            r = driver_check(def, m->config, &m->cgroup, e);
            if (!r)
                r = cores_check(m, def, e);
            if (r)
                err_wrap(e, "task \"%s\"", def->name);
        }
    }
    return r;
}

static bool same_definition(const struct job *a, const struct job *b)
{
    json_t *x = job_to_json(a), *y = job_to_json(b);
    bool same = json_equal(x, y);

    json_decref(x);
    json_decref(y);
    return same;
}

static bool has_allocs(const struct manager *m, const char *id)
{
    for (const struct alloc *a = m->allocs; a; a = a->next)
        if (strcmp(a->job->job->id, id) == 0)
            return true;
    return false;
}

static bool asks_for_none(const struct job *job)
{
    for (size_t g = 0; !job_is_parent(job) && g < job->n_groups; g++)
        if (job->groups[g].count)
            return false;
    return true;
}

/* What was placed is there still, finished or not: nothing is to be done for `job`. */
static bool is_placed(const struct manager *m, const struct job_record *record,
                      const struct job *job)
{
    return !record->stop && same_definition(record->job, job) &&
           (has_allocs(m, job->id) || asks_for_none(job) || record->blocked);
}

/* Nomad: what a job is cannot change, as what it has done so far counts differently. */
static int check_change(const struct job_record *old, const struct job *job, struct err *e)
{
    if (!old || old->purge || old->job->type == job->type)
        return 0;
    return err_set(
        e, -EINVAL,
        "job \"%.100s\" is of type %s and cannot become one of type %s: give the new one "
        "another ID, or purge the old one first (job stop -purge)",
        job->id, job_type_name(old->job->type), job_type_name(job->type));
}

/* `old`, which may be NULL, is what it takes the place of. */
static struct job_record *make_newest(struct manager *m, struct job *job, struct job_record *old)
{
    struct job_record *record = job_record_new(job);

    record->version = old ? old->version + 1 : 0;
    record->submit_ns = manager_now_ns();
    record->modify_index = ++m->index;
    record->create_index = old && !old->purge ? old->create_index : record->modify_index;
    record->older = old && !old->purge ? job_record_ref(old) : NULL;
    (void)job_link_newest(m, record);
    return record;
}

/* All or nothing: what is on disk afterwards is what is so. */
static int change_to(struct manager *m, struct job *job, const struct update *update,
                     struct job_record *old, struct job_record **ret_record, struct err *e)
{
    struct job_record *record = make_newest(m, job, old);
    int r;

    record->blocked = json_incref(update->blocked);
    record->replaced = update_replaced(update);
    update_apply(update, m, record);
    r = save(m, record, e);
    if (r) {
        update_undo(update);
        unlink_newest(m, record, old);
        record->job = NULL; /* the caller keeps it */
        job_record_unref(record);
        return r;
    }
    log_info("job \"%s\" version %llu registered", job->id, (unsigned long long)record->version);
    update_start(update);
    periodic_schedule(m);
    job_history_trim(record);
    job_record_unref(old);
    *ret_record = record;
    return 0;
}

/* The same definition once more: what failed of it is tried anew, all else stays. */
static int register_again(struct manager *m, struct job_record *old, struct job *job,
                          struct job_record **ret_record, struct err *e)
{
    size_t n;
    int r = replace_failed(m, old, &n, e);

    if (r)
        return r;
    job_free(job);
    json_decref(old->replaced);
    old->replaced = NULL;
    *ret_record = old;
    return 0;
}

int manager_job_register(struct manager *m, struct job *job, struct job_record **ret_record,
                         struct err *e)
{
    struct job_record *old = manager_find_job(m, job->id);
    struct update update;
    int r = check(m, job, e);

    if (!r)
        r = check_change(old, job, e);
    if (r)
        return r;
    if (old && is_placed(m, old, job))
        return register_again(m, old, job, ret_record, e);
    update_plan(m, job, &update);
    r = budget_check(m, update_new_tasks(&update), e);
    if (!r)
        r = change_to(m, job, &update, old, ret_record, e);
    update_deinit(&update);
    return r;
}

int manager_job_plan(struct manager *m, const struct job *job, struct update *ret_update,
                     struct err *e)
{
    const struct job_record *old = manager_find_job(m, job->id);
    int r = check(m, job, e);

    if (!r)
        r = check_change(old, job, e);
    if (r)
        return r;
    update_plan(m, job, ret_update);
    if (old && is_placed(m, old, job))
        update_ignore(ret_update);
    r = budget_check(m, update_new_tasks(ret_update), e);
    if (r)
        update_deinit(ret_update);
    return r;
}

struct job_record *manager_find_version(const struct manager *m, const char *id, uint64_t version)
{
    struct job_record *record = manager_find_job(m, id);

    while (record && record->version != version)
        record = record->older;
    return record;
}

int manager_job_revert(struct manager *m, const char *id, uint64_t version,
                       struct job_record **ret_record, struct err *e)
{
    struct job_record *newest = manager_find_job(m, id);
    struct job_record *old = manager_find_version(m, id, version);
    autojson json_t *json = old ? job_to_json(old->job) : NULL;
    struct job *job;
    int r;

    if (!newest || !old)
        return err_set(e, -ENOENT, "job \"%.100s\" has no version %llu on record", id,
                       (unsigned long long)version);
    if (newest == old && !newest->stop)
        return err_set(e, -EINVAL, "version %llu is the one job \"%.100s\" has now",
                       (unsigned long long)version, id);
    r = job_from_json(json, &job, e);
    if (!r && (r = manager_job_register(m, job, ret_record, e)))
        job_free(job);
    return r;
}

char *manager_job_warnings(const struct manager *m, const struct job *job)
{
    autofree int64_t *counts = calloc(job->n_groups + 1, sizeof(*counts));
    autojson json_t *blocked = counts ? feasible_judge(m, job, counts) : NULL;
    autojson json_t *told = feasible_told(m, job, blocked);
    const struct job_record *record = manager_find_job(m, job->id);

    return features_warnings(job, m->config, m->attributes, told,
                             record && record->job == job ? record->replaced : NULL);
}

static void stop_allocs(struct manager *m, const char *id, bool purge)
{
    for (struct alloc *a = m->allocs; a; a = a->next) {
        if (strcmp(a->job->job->id, id) != 0)
            continue;
        alloc_stop(a);
        if (purge)
            alloc_purge(a);
    }
}

int manager_job_deregister(struct manager *m, const char *job_id, bool purge, struct err *e)
{
    struct job_record *record = manager_find_job(m, job_id);
    int r;

    if (!record)
        return err_set(e, -ENOENT, "job \"%s\" not found", job_id);
    purge |= record->purge;
    if (record->stop && record->purge == purge && !record->unsaved)
        return 0;
    record->stop = true;
    record->purge = purge;
    record->modify_index = ++m->index;
    r = purge && !has_allocs(m, job_id) ? jobs_save_or_remove(m, job_id, e) : save(m, record, e);
    if (r)
        err_wrap(e, "its tasks are stopped, but this is on no record; make room and stop it again");
    else
        log_info("job \"%s\" %s", job_id, purge ? "purged" : "deregistered");
    stop_allocs(m, job_id, purge);
    periodic_schedule(m);
    return r;
}

const char *job_record_status_of(const struct job_record *job, bool any, bool live)
{
    if (job_is_parent(job->job))
        return job->stop ? "dead" : "running";
    if (live)
        return "running";
    if (job->blocked && !job->stop)
        return "pending";
    /* All are placed at once, so where none are left they have been removed. */
    return any || job->stop || job_type_is_batch(job->job->type) || !asks_for_none(job->job)
               ? "dead"
               : "pending";
}

const char *job_record_status(const struct manager *m, const struct job_record *job)
{
    bool any = false, live = false;

    for (const struct alloc *a = m->allocs; a && !live; a = a->next) {
        if (strcmp(a->job->job->id, job->job->id) != 0)
            continue;
        any = true;
        live = !alloc_is_terminal(a);
    }
    return job_record_status_of(job, any, live);
}

bool jobs_active(const struct manager *m)
{
    for (const struct job_record *record = m->jobs; record; record = record->next)
        if (!record->stop)
            return true;
    for (const struct alloc *a = m->allocs; a; a = a->next)
        if (!a->tidy)
            return true;
    return false;
}

int jobs_save_or_remove(struct manager *m, const char *id, struct err *e)
{
    struct job_record *record = manager_find_job(m, id);
    int r;

    if (strcmp(job_record_status(m, record), "dead") != 0 || has_allocs(m, id))
        return save(m, record, e);
    r = store_remove_job(&m->store, id, e);
    if (r)
        return r;
    unlink_newest(m, record, NULL);
    job_record_unref(record);
    return 0;
}

void jobs_remove_empty(struct manager *m)
{
    for (struct job_record *record = m->jobs, *next; record; record = next) {
        struct err e;

        next = record->next;
        if (!has_allocs(m, record->job->id) && strcmp(job_record_status(m, record), "dead") == 0 &&
            jobs_save_or_remove(m, record->job->id, &e))
            log_error("remove a job without allocations: %s", e.text);
    }
}

/* Loading */

static int load_job(void *arg, const json_t *json, struct err *e)
{
    return job_file_load(arg, json, e);
}

/* Of an allocation that was taken over from an older version, as of those that were not. */
static ptrdiff_t group_number(const struct alloc *alloc)
{
    return alloc->group - alloc->job->job->groups;
}

static int compare_allocs(const void *a, const void *b)
{
    const struct alloc *x = *(struct alloc *const *)a, *y = *(struct alloc *const *)b;

    if (x->create_index != y->create_index)
        return x->create_index < y->create_index ? -1 : 1;
    if (group_number(x) != group_number(y))
        return group_number(x) < group_number(y) ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static void sort_allocs(struct manager *m)
{
    autofree struct alloc **all = NULL;
    size_t n = 0;

    for (const struct alloc *a = m->allocs; a; a = a->next)
        n++;
    all = calloc(n + 1, sizeof(*all));
    if (!all)
        abort();
    n = 0;
    for (struct alloc *a = m->allocs; a; a = a->next)
        all[n++] = a;
    qsort(all, n, sizeof(*all), compare_allocs);
    m->allocs = NULL;
    m->allocs_end = &m->allocs;
    for (size_t i = 0; i < n; i++) {
        all[i]->next = NULL;
        alloc_link(all[i]);
    }
}

int jobs_load(struct manager *m, struct err *e)
{
    int r = store_load_jobs(&m->store, load_job, m, e);

    sort_allocs(m);
    return r;
}
