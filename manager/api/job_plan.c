/* SPDX-License-Identifier: MIT
 *
 * /v1/job/:id/plan: what registering a job would change. Nothing is changed by it. As Nomad's but
 * for one note, "forces restart", of a task that is started anew in its allocation.
 */
#include <string.h>

#include "manager/alloc/alloc.h"
#include "manager/api/context.h"
#include "manager/api/encode.h"
#include "manager/api/handlers.h"
#include "manager/api/job_request.h"
#include "manager/job/update.h"
#include "shared/cleanup.h"
#include "shared/job/diff.h"
#include "shared/job/value.h"

/* How Nomad counts it: in a group's DesiredTGUpdates, and in words in its diff. */
static const struct {
    const char *key, *words;
} counted[UPDATE_ACTION_N] = {
    [UPDATE_PLACE] = {"Place", "create"},
    [UPDATE_STOP] = {"Stop", "destroy"},
    [UPDATE_IN_PLACE] = {"InPlaceUpdate", "in-place update"},
    [UPDATE_IGNORE] = {"Ignore", "ignore"},
    [UPDATE_RESTART] = {"InPlaceUpdate", "in-place update"},
    [UPDATE_REPLACE] = {"DestructiveUpdate", "create/destroy update"},
};

static void count(json_t *object, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(object, key));

    (void)json_object_set_new(object, key, json_integer(n + 1));
}

static json_t *no_updates(void)
{
    return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "Ignore", 0, "Place", 0, "Migrate",
                     0, "Stop", 0, "InPlaceUpdate", 0, "DestructiveUpdate", 0, "Canary", 0,
                     "Preemptions", 0);
}

static json_t *member(json_t *object, const char *key, json_t *(*make)(void))
{
    if (!json_is_object(json_object_get(object, key)))
        (void)json_object_set_new(object, key, make());
    return json_object_get(object, key);
}

static json_t *find(const json_t *list, const char *name)
{
    json_t *item;
    size_t i;

    json_array_foreach(list, i, item) if (strcmp(json_string_value(json_object_get(item, "Name")),
                                                 name) == 0) return item;
    return NULL;
}

static bool is_edited(const json_t *diff)
{
    return strcmp(json_string_value(json_object_get(diff, "Type")), "Edited") == 0;
}

/* What a change of each task comes to. */
static void annotate_tasks(json_t *group_diff, const struct update_item *item)
{
    const json_t *tasks = json_object_get(group_diff, "Tasks");

    for (size_t t = 0; t < item->group->n_tasks; t++) {
        json_t *diff = find(tasks, item->group->tasks[t].name);
        const char *note = item->action == UPDATE_REPLACE && item->change->changed[t]
                               ? "forces create/destroy update"
                           : item->action == UPDATE_RESTART && item->change->changed[t]
                               ? "forces restart"
                               : "forces in-place update";

        if (is_edited(diff) && !json_is_array(json_object_get(diff, "Annotations")))
            job_diff_annotate(diff, note);
    }
}

static void annotate_count(json_t *group_diff)
{
    json_t *field = find(json_object_get(group_diff, "Fields"), "Count");

    if (!field)
        return;
    if (json_object_get(json_object_get(group_diff, "Updates"), "create"))
        job_diff_annotate(field, "forces create");
    if (json_object_get(json_object_get(group_diff, "Updates"), "destroy"))
        job_diff_annotate(field, "forces destroy");
}

static json_t *annotate(json_t *diff, const struct update *update)
{
    json_t *desired = json_object(), *groups = json_object_get(diff, "TaskGroups"), *group;
    size_t i;

    for (i = 0; i < update->n_items; i++) {
        const struct update_item *item = &update->items[i];
        const char *name = item->group ? item->group->name : item->alloc->group->name;

        if (!counted[item->action].key)
            continue;
        count(member(desired, name, no_updates), counted[item->action].key);
        group = find(groups, name);
        if (!group)
            continue;
        count(member(group, "Updates", json_object), counted[item->action].words);
        if (item->change)
            annotate_tasks(group, item);
    }
    json_array_foreach(groups, i, group) annotate_count(group);
    return desired;
}

static void reply_plan(struct request *r, const struct job *job, const struct update *update,
                       bool wants_diff)
{
    const struct manager *m = r->api->manager;
    const struct job_record *old = manager_find_job(m, job->id);
    autofree char *warnings = manager_job_warnings(m, job);
    autojson json_t *from = old && !old->purge ? job_to_json(old->job) : NULL;
    autojson json_t *to = job_to_json(job);
    json_t *diff = job_diff(from, to), *desired = annotate(diff, update);

    if (!wants_diff) {
        json_decref(diff);
        diff = json_null();
    }
    request_reply_json(r, 200,
                       json_pack("{s:{s:o, s:n}, s:n, s:o, s:o, s:I, s:s, s:s}", "Annotations",
                                 "DesiredTGUpdates", desired, "PreemptedAllocs", "CreatedEvals",
                                 "Diff", diff, "FailedTGAllocs",
                                 encode_failed_groups(update->blocked, job), "JobModifyIndex",
                                 (json_int_t)job_current_index(r, job->id), "NextPeriodicLaunch",
                                 "0001-01-01T00:00:00Z", "Warnings", warnings ? warnings : ""));
}

void job_plan(struct request *r)
{
    autojson json_t *body = request_json(r);
    struct job *job = body ? job_from_request(r, body) : NULL;
    struct update update;
    struct err e = ERR_INIT;

    if (!job)
        return;
    if (strcmp(r->arg, job->id) != 0) {
        request_reply_text(r, 400, "the job's ID \"%s\" is not the path's \"%s\"", job->id, r->arg);
    } else if (manager_job_plan(r->api->manager, job, &update, &e)) {
        request_reply_err(r, &e);
    } else {
        reply_plan(r, job, &update, json_is_true(json_object_get(body, "Diff")));
        update_deinit(&update);
    }
    job_free(job);
}
