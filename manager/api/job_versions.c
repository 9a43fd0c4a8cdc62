/* SPDX-License-Identifier: MIT
 *
 * /v1/job/:id/versions, /revert, /scale, /summary; deployments.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "manager/api/context.h"
#include "manager/api/encode.h"
#include "manager/api/handlers.h"
#include "manager/api/job_request.h"
#include "shared/cleanup.h"
#include "shared/job/diff.h"
#include "shared/job/value.h"

/* ---- versions ---- */

static json_t *diff_to_older(const struct job_record *record)
{
    autojson json_t *from = job_to_json(record->older->job), *to = job_to_json(record->job);

    return job_diff(from, to);
}

void job_versions(struct request *r)
{
    struct job_record *newest = find_job(r);
    json_t *versions, *diffs;
    bool wants_diffs;

    if (!newest || !request_param_bool(r, "diffs", false, &wants_diffs) ||
        request_block(r, newest->modify_index))
        return;
    versions = json_array();
    diffs = wants_diffs ? json_array() : json_null();
    for (const struct job_record *record = newest; record; record = record->older) {
        (void)json_array_append_new(versions, encode_job(r->api->manager, record));
        if (wants_diffs && record->older)
            (void)json_array_append_new(diffs, diff_to_older(record));
    }
    request_reply_json(r, 200,
                       json_pack("{s:o, s:o, s:I}", "Versions", versions, "Diffs", diffs, "Index",
                                 (json_int_t)newest->modify_index));
}

/* {"JobVersion": N, "EnforcePriorVersion": the one it must have now, or null} */
void job_revert(struct request *r)
{
    const struct job_record *newest = find_job(r);
    autojson json_t *body = newest ? request_json(r) : NULL;
    const json_t *version = json_object_get(body, "JobVersion");
    const json_t *prior = json_object_get(body, "EnforcePriorVersion");
    struct job_record *record;
    struct err e = ERR_INIT;

    if (!body)
        return;
    if (!json_is_integer(version) || json_integer_value(version) < 0)
        request_reply_text(r, 400, "the body must be {\"JobVersion\": number}");
    else if (json_is_integer(prior) && (uint64_t)json_integer_value(prior) != newest->version)
        request_reply_text(r, 409,
                           "the job's version is %" PRIu64 ", not %lld; somebody changed it",
                           newest->version, (long long)json_integer_value(prior));
    else if (manager_job_revert(r->api->manager, r->arg, (uint64_t)json_integer_value(version),
                                &record, &e))
        request_reply_err(r, &e);
    else {
        job_reply_changed(r, record, NULL);
        api_changed(r->api);
    }
}

/* ---- scale ---- */

static void set_count(struct request *r, const struct job_record *now, const char *group,
                      json_int_t count)
{
    autojson json_t *json = job_to_json(now->job);
    json_t *groups = json_object_get(json, "TaskGroups"), *item;
    struct job_record *record;
    struct err e = ERR_INIT;
    struct job *job = NULL;
    size_t i;

    json_array_foreach(groups, i, item) if (strcmp(json_string_value(json_object_get(item, "Name")),
                                                   group) == 0)(void)
        json_object_set_new(item, "Count", json_integer(count));
    if (job_from_json(json, &job, &e) || manager_job_register(r->api->manager, job, &record, &e)) {
        job_free(job);
        request_reply_err(r, &e);
        return;
    }
    job_reply_changed(r, record, NULL);
    api_changed(r->api);
}

/* {"Count": N, "Target": {"Group": name}} */
void job_scale(struct request *r)
{
    struct job_record *record = find_job(r);
    autojson json_t *body = record ? request_json(r) : NULL;
    const json_t *count = json_object_get(body, "Count");
    const char *group =
        json_string_value(json_object_get(json_object_get(body, "Target"), "Group"));

    if (!body)
        return;
    if (!group || !json_is_integer(count))
        request_reply_text(r, 400,
                           "the body must be {\"Count\": number, \"Target\": {\"Group\": name}}");
    else if (!job_find_group(record->job, group))
        request_reply_text(r, 400, "job \"%s\" has no group \"%s\"", r->arg, group);
    else if (record->stop)
        request_reply_text(r, 400, "job \"%s\" is stopped: run it again first", r->arg);
    else
        set_count(r, record, group, json_integer_value(count));
}

void job_scale_status(struct request *r)
{
    const struct job_record *record = find_job(r);
    json_t *groups;

    if (!record)
        return;
    groups = json_object();
    for (size_t g = 0; g < record->job->n_groups; g++) {
        const struct job_group *group = &record->job->groups[g];
        size_t placed = 0, running = 0;

        for (const struct alloc *a = manager_allocs(r->api->manager); a; a = a->next) {
            bool counts = a->job == record && a->group == group && a->desired == DESIRED_RUN;

            placed += counts;
            running += counts && a->client == CLIENT_RUNNING;
        }
        (void)json_object_set_new(groups, group->name,
                                  json_pack("{s:I, s:I, s:I, s:I, s:i, s:[]}", "Desired",
                                            (json_int_t)group->count, "Placed", (json_int_t)placed,
                                            "Running", (json_int_t)running, "Healthy",
                                            (json_int_t)running, "Unhealthy", 0, "Events"));
    }
    request_reply_json(r, 200,
                       json_pack("{s:s, s:s, s:b, s:I, s:I, s:o}", "JobID", record->job->id,
                                 "Namespace", record->job->namespace_, "JobStopped", record->stop,
                                 "JobCreateIndex", (json_int_t)record->create_index,
                                 "JobModifyIndex", (json_int_t)record->modify_index, "TaskGroups",
                                 groups));
}

void job_summary(struct request *r)
{
    const struct job_record *record = find_job(r);

    if (record)
        request_reply_json(r, 200, encode_job_summary(r->api->manager, record));
}

/* ---- deployments ---- */

/* A change takes effect at once, so there is no deployment to follow. */
void job_deployments(struct request *r)
{
    if (!r->arg || find_job(r))
        request_reply_json(r, 200, json_array());
}

void job_deployment(struct request *r)
{
    if (find_job(r))
        request_reply_json(r, 200, json_null());
}
