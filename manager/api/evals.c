/* SPDX-License-Identifier: MIT
 *
 * /v1/evaluations, /v1/evaluation/:id, /v1/job/:id/evaluations: what a client asks after it has
 * changed a job. There is nothing to evaluate: what follows from a change is decided when it is
 * acknowledged. So an evaluation is told of each change a job was registered or stopped by,
 * complete from the start, and its id is made of the change's index.
 */
#include <string.h>

#include "manager/api/context.h"
#include "manager/api/encode.h"
#include "manager/api/handlers.h"
#include "manager/api/job_request.h"
#include "manager/api/list.h"
#include "manager/job/feasible.h"
#include "shared/cleanup.h"
#include "shared/job/value.h"

static const char eval_status[] = "complete";

/* How many of each group wait to be placed. */
static json_t *queued(const struct job_record *record, const json_t *blocked)
{
    json_t *groups = json_object();

    for (size_t g = 0; g < record->job->n_groups; g++) {
        const struct job_group *group = &record->job->groups[g];
        const json_t *entry = json_object_get(blocked, group->name);
        json_int_t placed = json_integer_value(json_object_get(entry, "Placed"));

        (void)json_object_set_new(groups, group->name,
                                  json_integer(entry ? group->count - placed : 0));
    }
    return groups;
}

static json_t *encode_eval(const struct manager *m, const struct job_record *record)
{
    autojson json_t *blocked = feasible_told(m, record->job, record->blocked);
    json_int_t index = (json_int_t)record->modify_index, time = (json_int_t)record->submit_ns;
    char id[37];

    encode_eval_id(m, record, id);
    return json_pack(
        "{s:s, s:o, s:I, s:s, s:s, s:o, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:I, "
        "s:I, s:I, s:I, s:o}",
        "ID", id, "Namespace", encode_text(record->job->namespace_), "Priority",
        (json_int_t)record->job->priority, "Type", job_type_name(record->job->type), "TriggeredBy",
        record->stop ? "job-deregister" : "job-register", "JobID", encode_text(record->job->id),
        "JobModifyIndex", index, "Status", eval_status, "StatusDescription", "", "DeploymentID", "",
        "NodeID", "", "NextEval", "", "PreviousEval", "", "BlockedEval", "", "FailedTGAllocs",
        encode_failed_groups(blocked, record->job), "QueuedAllocations", queued(record, blocked),
        "CreateIndex", index, "ModifyIndex", index, "CreateTime", time, "ModifyTime", time,
        "WaitUntil", encode_time(0));
}
/* {"EvalOptions": {"ForceReschedule": true}}, or no body: then nothing that failed is replaced. */
void job_evaluate(struct request *r)
{
    struct job_record *record = find_job(r);
    autojson json_t *body = !record ? NULL : r->body_size ? request_json(r) : json_object();
    const json_t *force = json_object_get(json_object_get(body, "EvalOptions"), "ForceReschedule");
    struct err e = ERR_INIT;

    if (!body)
        return;
    if (manager_job_evaluate(r->api->manager, r->arg, json_is_true(force), &record, &e)) {
        request_reply_err(r, &e);
        return;
    }
    job_reply_changed(r, record, NULL);
    api_changed(r->api);
}

static const struct job_record *find_eval(struct request *r)
{
    const struct manager *m = r->api->manager;

    for (const struct job_record *job = manager_jobs(m); job; job = job->next)
        for (const struct job_record *record = job; record; record = record->older) {
            char id[37];

            encode_eval_id(m, record, id);
            if (strcmp(id, r->arg) == 0)
                return record;
        }
    request_reply_text(r, 404, "eval not found");
    return NULL;
}

static void add_eval(struct list *l, const struct manager *m, const struct job_record *record)
{
    char id[37];

    encode_eval_id(m, record, id);
    if (list_wants(l, id, record->job->namespace_))
        list_add(l, encode_eval(m, record), NULL);
}

void eval_list(struct request *r)
{
    const struct manager *m = r->api->manager;
    const char *job_id = request_param(r, "job"), *status = request_param(r, "status");
    uint64_t index = 0;
    struct list list;

    for (const struct job_record *job = manager_jobs(m); job; job = job->next)
        if (job->modify_index > index)
            index = job->modify_index;
    if (request_block(r, index) || !list_begin(&list, r))
        return;
    for (const struct job_record *job = manager_jobs(m); job; job = job->next)
        for (const struct job_record *record = job; record; record = record->older)
            if ((!job_id || !*job_id || strcmp(job_id, record->job->id) == 0) &&
                (!status || !*status || strcmp(status, eval_status) == 0))
                add_eval(&list, m, record);
    list_end(&list);
}

void eval_read(struct request *r)
{
    const struct job_record *record = find_eval(r);

    if (record && !request_block(r, record->modify_index))
        request_reply_json(r, 200, encode_eval(r->api->manager, record));
}

/* Those the version has: it placed them, or took them over. */
void eval_allocations(struct request *r)
{
    const struct job_record *record = find_eval(r);
    struct list list;

    if (!record || !list_begin(&list, r))
        return;
    for (const struct alloc *a = manager_allocs(r->api->manager); a; a = a->next)
        if (a->job == record)
            list_add(&list, encode_alloc_stub(a), list.filter ? encode_alloc(a) : NULL);
    list_end(&list);
}

void job_evaluations(struct request *r)
{
    const struct job_record *newest = find_job(r);
    struct list list;

    if (!newest || request_block(r, newest->modify_index) || !list_begin(&list, r))
        return;
    for (const struct job_record *record = newest; record; record = record->older)
        add_eval(&list, r->api->manager, record);
    list_end(&list);
}
