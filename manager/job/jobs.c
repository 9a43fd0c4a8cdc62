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
#include "manager/job/periodic.h"
#include "manager/task/driver.h"
#include "shared/cleanup.h"
#include "shared/job/value.h"
#include "shared/log.h"

enum {
    ALLOCS_MAX = 10000, /* of one version of a job */
};

static struct job_record *job_record_new(struct job *job)
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
    if (!record || --record->refs)
        return NULL;
    job_free(record->job);
    json_decref(record->blocked);
    free(record);
    return NULL;
}

struct job_record *manager_find_job(const struct manager *m, const char *id)
{
    struct job_record *record = m->jobs;

    while (record && strcmp(record->job->id, id) != 0)
        record = record->next;
    return record;
}

/* Makes `record` the newest version of its job; the one it replaces, if any, is given back. */
static struct job_record *link_newest(struct manager *m, struct job_record *record)
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

static json_t *version_to_json(const struct job_record *record)
{
    json_t *json =
        json_pack("{s:I, s:b, s:I, s:I, s:I, s:o, s:[]}", "Version", (json_int_t)record->version,
                  "Stop", record->stop, "SubmitTime", (json_int_t)record->submit_ns, "CreateIndex",
                  (json_int_t)record->create_index, "ModifyIndex", (json_int_t)record->modify_index,
                  "Job", job_to_json(record->job), "Allocs");

    if (record->blocked)
        (void)json_object_set(json, "Blocked", record->blocked);
    if (record->last_launch)
        (void)json_object_set_new(json, "LastLaunch", json_integer(record->last_launch));
    return json;
}

/* The JSON of `record` in `versions`, which is sorted by version. */
static json_t *version_entry(json_t *versions, const struct job_record *record)
{
    size_t i;
    json_t *entry;

    json_array_foreach(versions, i, entry)
    {
        uint64_t version = (uint64_t)json_integer_value(json_object_get(entry, "Version"));

        if (version == record->version)
            return entry;
        if (version > record->version)
            break;
    }
    entry = version_to_json(record);
    (void)json_array_insert_new(versions, i, entry);
    return entry;
}

static json_t *job_file(const struct manager *m, const struct job_record *newest)
{
    json_t *versions = json_array();

    (void)version_entry(versions, newest);
    for (const struct alloc *a = m->allocs; a; a = a->next) {
        json_t *entry;

        if (strcmp(a->job->job->id, newest->job->id) != 0)
            continue;
        entry = version_entry(versions, a->job);
        (void)json_array_append_new(json_object_get(entry, "Allocs"),
                                    json_pack("{s:s, s:s, s:i, s:I}", "ID", a->id, "Group",
                                              a->group->name, "Index", a->index, "CreateIndex",
                                              (json_int_t)a->create_index));
    }
    return json_pack("{s:s, s:s, s:o}", "ID", newest->job->id, "Release", CLEAT_VERSION, "Versions",
                     versions);
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

static void place(struct manager *m, struct job_record *record)
{
    const struct job *job = record->job;
    autofree int64_t *counts = calloc(job->n_groups, sizeof(*counts));

    if (!counts)
        abort();
    if (job_is_parent(job))
        return;
    record->blocked = feasible_judge(m, job, counts);
    for (size_t g = 0; g < job->n_groups; g++)
        for (int64_t i = 0; i < counts[g]; i++)
            alloc_link(alloc_new(m, record, &job->groups[g], (unsigned int)i, NULL));
}

/* Takes back a placement that could not be recorded. */
static void unplace(struct manager *m, const struct job_record *record)
{
    for (struct alloc *a = m->allocs, *next; a; a = next) {
        next = a->next;
        if (a->job != record)
            continue;
        alloc_unlink(a);
        alloc_free(a);
    }
}

static void start_and_stop(struct manager *m, const struct job_record *newest)
{
    for (struct alloc *a = m->allocs; a; a = a->next) {
        if (strcmp(a->job->job->id, newest->job->id) != 0)
            continue;
        if (a->job != newest || newest->stop) {
            alloc_stop(a);
        } else {
            alloc_queue(a);
            alloc_changed(a, false);
        }
    }
}

int manager_job_register(struct manager *m, struct job *job, struct job_record **ret_record,
                         struct err *e)
{
    struct job_record *old = manager_find_job(m, job->id), *record;
    int r = check(m, job, e);

    if (r)
        return r;
    if (old && is_placed(m, old, job)) {
        job_free(job);
        *ret_record = old;
        return 0;
    }
    r = budget_check(m, job, e);
    if (r)
        return r;
    record = job_record_new(job);
    record->version = old ? old->version + 1 : 0;
    record->submit_ns = manager_now_ns();
    record->modify_index = ++m->index;
    record->create_index = old ? old->create_index : record->modify_index;
    (void)link_newest(m, record);
    place(m, record);
    r = save(m, record, e);
    if (r) {
        unplace(m, record);
        unlink_newest(m, record, old);
        record->job = NULL; /* the caller keeps it */
        job_record_unref(record);
        return r;
    }
    log_info("job \"%s\" version %llu registered", job->id, (unsigned long long)record->version);
    start_and_stop(m, record);
    periodic_schedule(m);
    job_record_unref(old);
    *ret_record = record;
    return 0;
}

char *manager_job_warnings(const struct manager *m, const struct job *job)
{
    autofree int64_t *counts = calloc(job->n_groups + 1, sizeof(*counts));
    autojson json_t *blocked = counts ? feasible_judge(m, job, counts) : NULL;

    return features_warnings(job, m->config, m->attributes, blocked);
}

int manager_job_deregister(struct manager *m, const char *job_id, struct err *e)
{
    struct job_record *record = manager_find_job(m, job_id);
    int r;

    if (!record)
        return err_set(e, -ENOENT, "job \"%s\" not found", job_id);
    if (record->stop && !record->unsaved)
        return 0;
    record->stop = true;
    record->modify_index = ++m->index;
    r = save(m, record, e);
    if (r)
        err_wrap(e, "its tasks are stopped, but this is on no record; make room and stop it again");
    else
        log_info("job \"%s\" deregistered", job_id);
    start_and_stop(m, record);
    periodic_schedule(m);
    return r;
}

const char *job_record_status(const struct manager *m, const struct job_record *job)
{
    bool any = false;

    if (job_is_parent(job->job))
        return job->stop ? "dead" : "running";
    for (const struct alloc *a = m->allocs; a; a = a->next) {
        if (strcmp(a->job->job->id, job->job->id) != 0)
            continue;
        if (!alloc_is_terminal(a))
            return "running";
        any = true;
    }
    if (job->blocked && !job->stop)
        return "pending";
    /* All are placed at once, so where none are left they have been removed. */
    return any || job->stop || job_type_is_batch(job->job->type) || !asks_for_none(job->job)
               ? "dead"
               : "pending";
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

static void raise_index(struct manager *m, uint64_t index)
{
    if (index > m->index)
        m->index = index;
}

static int load_alloc(struct manager *m, struct job_record *record, const json_t *json, bool newest,
                      struct err *e)
{
    const char *id = json_string_value(json_object_get(json, "ID"));
    const char *group_name = json_string_value(json_object_get(json, "Group"));
    const struct job_group *group = group_name ? job_find_group(record->job, group_name) : NULL;
    json_int_t created = json_integer_value(json_object_get(json, "CreateIndex"));
    json_t *known = NULL;
    struct alloc *alloc;
    int r;

    if (!id || strlen(id) != sizeof(alloc->id) - 1 || strchr(id, '/') || !group) {
        log_error("job \"%s\": an allocation in its record has no valid id or group; skipped",
                  record->job->id);
        return 0;
    }
    if (manager_find_alloc(m, id)) {
        log_error("job \"%s\": its record names allocation %s, which there is already; skipped",
                  record->job->id, id);
        return 0;
    }
    alloc = alloc_new(m, record, group,
                      (unsigned int)json_integer_value(json_object_get(json, "Index")), id);
    if (created) /* older records have none */
        alloc->create_index = (uint64_t)created;
    if (!newest || record->stop)
        alloc->desired = DESIRED_STOP;
    r = store_read_alloc(&m->store, id, &known, e);
    if (!r)
        alloc_apply_json(alloc, known);
    json_decref(known);
    alloc->client = alloc_judge(alloc->tasks, group->n_tasks);
    raise_index(m, alloc->modify_index);
    m->n_tidy += alloc->tidy;
    alloc_link(alloc);
    return r == -ENOTSUP ? r : 0;
}

static int load_version(struct manager *m, const json_t *json, bool newest, struct err *e)
{
    const json_t *allocs = json_object_get(json, "Allocs");
    struct job_record *record;
    struct job *job;
    int r = job_from_json(json_object_get(json, "Job"), &job, e);

    if (r)
        return r == -ENOTSUP ? -EINVAL : r; /* whether that is for another release is seen below */
    record = job_record_new(job);
    record->version = (uint64_t)json_integer_value(json_object_get(json, "Version"));
    record->stop = json_is_true(json_object_get(json, "Stop"));
    record->submit_ns = (uint64_t)json_integer_value(json_object_get(json, "SubmitTime"));
    record->create_index = (uint64_t)json_integer_value(json_object_get(json, "CreateIndex"));
    record->modify_index = (uint64_t)json_integer_value(json_object_get(json, "ModifyIndex"));
    record->last_launch = json_integer_value(json_object_get(json, "LastLaunch"));
    record->blocked = json_incref(json_object_get(json, "Blocked"));
    raise_index(m, record->modify_index);
    for (size_t i = 0; !r && i < json_array_size(allocs); i++)
        r = load_alloc(m, record, json_array_get(allocs, i), newest, e);
    if (newest)
        (void)link_newest(m, record);
    else
        job_record_unref(record); /* its allocations hold it */
    return r;
}

/* A job that this release would refuse was accepted by another one: `e` is made to say so. */
static bool is_of_another(const json_t *json, struct err *e)
{
    const char *id = json_string_value(json_object_get(json, "ID"));
    const char *release = json_string_value(json_object_get(json, "Release"));

    if (!release || strcmp(release, CLEAT_VERSION) == 0)
        return false;
    e->code = -ENOTSUP;
    err_wrap(e,
             "job \"%.100s\" is of release %.20s, and " CLEAT_VERSION
             " cannot run it; start that one again, or stop the job with it",
             id ? id : "?", release);
    return true;
}

static int load_job(void *arg, const json_t *json, struct err *e)
{
    const json_t *versions = json_object_get(json, "Versions");
    size_t n = json_array_size(versions);
    int r = n ? 0 : err_set(e, -EBADMSG, "job record without versions");

    /* The newest first: if that one is no good, none of the job is taken. */
    for (size_t i = n; !r && i > 0; i--)
        r = load_version(arg, json_array_get(versions, i - 1), i == n, e);
    return r == -EINVAL && is_of_another(json, e) ? -ENOTSUP : r;
}

static int compare_allocs(const void *a, const void *b)
{
    const struct alloc *x = *(struct alloc *const *)a, *y = *(struct alloc *const *)b;

    if (x->create_index != y->create_index)
        return x->create_index < y->create_index ? -1 : 1;
    if (x->group != y->group) /* of one version, hence one array */
        return x->group < y->group ? -1 : 1;
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
