/* SPDX-License-Identifier: MIT
 *
 * A release that knows nothing of History loses it when it writes the file, and all else is well:
 * versions without allocations are no longer among the "Versions" it reads. Keys are only added.
 */
#include "manager/job/job_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager/alloc/alloc.h"
#include "manager/job/feasible.h"
#include "manager/job/jobs.h"
#include "shared/job/value.h"
#include "shared/log.h"

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

/* "Tasks" are those that were started anew in it, and by which version; "Kept" that it is to run
 * although there is a newer version, "Stopped" that it is not although there is none. */
static json_t *alloc_entry(const struct alloc *alloc, const struct job_record *newest)
{
    json_t *entry =
        json_pack("{s:s, s:s, s:i, s:I, s:I}", "ID", alloc->id, "Group", alloc->group->name,
                  "Index", alloc->index, "CreateIndex", (json_int_t)alloc->create_index,
                  "CreateTime", (json_int_t)alloc->create_ns);

    if (alloc->job == newest && alloc->desired == DESIRED_STOP && !newest->stop)
        (void)json_object_set_new(entry, "Stopped", json_true());
    if (alloc->job != newest && alloc->desired == DESIRED_RUN &&
        feasible_keeps(newest->job, newest->blocked, alloc))
        (void)json_object_set_new(entry, "Kept", json_true());
    for (size_t i = 0; i < alloc->group->n_tasks; i++) {
        const struct task *task = &alloc->tasks[i];

        if (!task->definition)
            continue;
        if (!json_object_get(entry, "Tasks"))
            (void)json_object_set_new(entry, "Tasks", json_object());
        (void)json_object_set_new(json_object_get(entry, "Tasks"), task->def->name,
                                  json_integer((json_int_t)task->definition));
    }
    return entry;
}

static bool has_version(const json_t *versions, uint64_t version)
{
    size_t i;
    json_t *entry;

    json_array_foreach(versions, i, entry) if ((uint64_t)json_integer_value(json_object_get(
                                                   entry, "Version")) == version) return true;
    return false;
}

/* Newest first. */
static json_t *history(const struct job_record *newest, const json_t *versions)
{
    json_t *json = json_array();

    for (const struct job_record *record = newest->older; record; record = record->older)
        if (!has_version(versions, record->version))
            (void)json_array_append_new(json, version_to_json(record));
    return json;
}

json_t *job_file(const struct manager *m, const struct job_record *newest)
{
    json_t *versions = json_array(), *json;

    (void)version_entry(versions, newest);
    for (const struct alloc *a = m->allocs; a; a = a->next)
        if (strcmp(a->job->job->id, newest->job->id) == 0)
            (void)json_array_append_new(json_object_get(version_entry(versions, a->job), "Allocs"),
                                        alloc_entry(a, newest));
    json = json_pack("{s:s, s:s, s:o}", "ID", newest->job->id, "Release", CLEAT_VERSION, "Versions",
                     versions);
    if (newest->purge)
        (void)json_object_set_new(json, "Purge", json_true());
    if (newest->older)
        (void)json_object_set_new(json, "History", history(newest, versions));
    return json;
}

static size_t json_bytes(struct job_record *record)
{
    if (!record->bytes) {
        autojson json_t *json = version_to_json(record);

        record->bytes = json_dumpb(json, NULL, 0, JSON_COMPACT);
    }
    return record->bytes;
}

void job_history_trim(struct job_record *newest)
{
    struct job_record *last = newest;
    size_t n = 1, bytes = 0;

    while (last->older && ++n <= HISTORY_VERSIONS &&
           (bytes += json_bytes(last->older)) <= HISTORY_BYTES)
        last = last->older;
    last->older = job_record_unref(last->older);
}

/* Loading */

static void raise_index(struct manager *m, uint64_t index)
{
    if (index > m->index)
        m->index = index;
}

static int load_alloc(struct manager *m, struct job_record *record, const json_t *json,
                      const struct job_record *newest, struct err *e)
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
    if (json_object_get(json, "CreateTime"))
        alloc->create_ns = (uint64_t)json_integer_value(json_object_get(json, "CreateTime"));
    for (size_t i = 0; i < group->n_tasks; i++)
        alloc->tasks[i].definition = (uint64_t)json_integer_value(
            json_object_get(json_object_get(json, "Tasks"), group->tasks[i].name));
    if (newest->stop || json_is_true(json_object_get(json, "Stopped")) ||
        (record != newest && !json_is_true(json_object_get(json, "Kept"))))
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

static int read_version(struct manager *m, const json_t *json, struct job_record **ret_record,
                        struct err *e)
{
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
    record->blocked = json_incref(json_object_get(json, "Blocked"));
    record->last_launch = json_integer_value(json_object_get(json, "LastLaunch"));
    raise_index(m, record->modify_index);
    *ret_record = record;
    return 0;
}

/* Puts `record` among the older versions of `newest`. */
static void remember(struct job_record *newest, struct job_record *record)
{
    struct job_record *at = newest;

    while (at->older && at->older->version > record->version)
        at = at->older;
    record->older = at->older;
    at->older = record;
}

/* *newest is NULL for the newest, which comes first. */
static int load_version(struct manager *m, const json_t *json, struct job_record **newest,
                        struct err *e)
{
    const json_t *allocs = json_object_get(json, "Allocs");
    struct job_record *record;
    int r = read_version(m, json, &record, e);

    if (r)
        return r;
    if (!*newest) {
        (void)job_link_newest(m, record);
        *newest = record;
    } else {
        remember(*newest, record);
    }
    for (size_t i = 0; !r && i < json_array_size(allocs); i++)
        r = load_alloc(m, record, json_array_get(allocs, i), *newest, e);
    return r;
}

/* A version that this release would refuse is none to go back to. */
static void load_history(struct manager *m, const json_t *history, struct job_record *newest)
{
    struct job_record *record;
    struct err e = ERR_INIT;
    json_t *json;
    size_t i;

    json_array_foreach(history, i, json)
    {
        if (read_version(m, json, &record, &e) == 0)
            remember(newest, record);
        else
            log_warn("job \"%s\": an older version is forgotten: %s", newest->job->id, e.text);
    }
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

static void purge(struct manager *m, struct job_record *newest)
{
    newest->purge = true;
    for (struct alloc *a = m->allocs; a; a = a->next)
        if (strcmp(a->job->job->id, newest->job->id) == 0)
            alloc_purge(a);
}

int job_file_load(struct manager *m, const json_t *json, struct err *e)
{
    const json_t *versions = json_object_get(json, "Versions");
    struct job_record *newest = NULL;
    size_t n = json_array_size(versions);
    int r = n ? 0 : err_set(e, -EBADMSG, "job record without versions");

    /* The newest first: if that one is no good, none of the job is taken. */
    for (size_t i = n; !r && i > 0; i--)
        r = load_version(m, json_array_get(versions, i - 1), &newest, e);
    if (!r) {
        if (json_is_true(json_object_get(json, "Purge")))
            purge(m, newest);
        load_history(m, json_object_get(json, "History"), newest);
        job_history_trim(newest);
    }
    return r == -EINVAL && is_of_another(json, e) ? -ENOTSUP : r;
}
