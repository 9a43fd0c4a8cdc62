/* SPDX-License-Identifier: MIT
 *
 * /v1/jobs, /v1/job/:id, /v1/validate/job.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "manager/api/context.h"
#include "manager/api/encode.h"
#include "manager/api/handlers.h"
#include "manager/api/job_request.h"
#include "manager/api/list.h"
#include "manager/api/router.h"
#include "shared/cleanup.h"
#include "shared/hcl/hcl.h"
#include "shared/hcl/inputs.h"
#include "shared/job/schema.h"

uint64_t job_index(const struct manager *m, const struct job_record *record)
{
    uint64_t index = record->modify_index;

    for (const struct alloc *a = manager_allocs(m); a; a = a->next)
        if (!strcmp(a->job->job->id, record->job->id) && a->modify_index > index)
            index = a->modify_index;
    return index;
}

struct job_record *find_job(struct request *r)
{
    struct job_record *record = manager_find_job(r->api->manager, r->arg);

    if (record && !record->purge && request_in_namespace(r, record->job->namespace_))
        return record;
    request_reply_text(r, 404, "job not found: %s", r->arg);
    return NULL;
}

void job_list(struct request *r)
{
    const struct manager *m = r->api->manager;
    uint64_t index = alloc_newest_index(m);

    for (const struct job_record *job = manager_jobs(m); job; job = job->next)
        if (job->modify_index > index)
            index = job->modify_index;
    if (request_block(r, index))
        return;
    struct list list;
    if (!list_begin(&list, r))
        return;
    json_t *summaries = encode_summaries(m);
    for (const struct job_record *job = manager_jobs(m); job; job = job->next)
        if (!job->purge && list_wants(&list, job->job->id, job->job->namespace_))
            list_add(&list, encode_job_stub(m, job, summaries),
                     list.filter ? encode_job(m, job) : NULL);
    json_decref(summaries);
    list_end(&list);
}

void job_read(struct request *r)
{
    struct job_record *record = find_job(r);

    if (record && !request_block(r, job_index(r->api->manager, record)))
        request_reply_json(r, 200, encode_job(r->api->manager, record));
}

void job_allocations(struct request *r)
{
    struct job_record *record = find_job(r);

    if (!record || request_block(r, job_index(r->api->manager, record)))
        return;
    struct list list;
    if (!list_begin(&list, r))
        return;
    for (const struct alloc *a = manager_allocs(r->api->manager); a; a = a->next)
        if (!strcmp(a->job->job->id, record->job->id) && list_wants(&list, a->id, NULL))
            list_add(&list, encode_alloc_stub(a), list.filter ? encode_alloc(a) : NULL);
    list_end(&list);
}

/* All of them, or what is in `e` where reading ended before there was a list. */
static void reply_problems(struct request *r, const struct schema_problems *problems,
                           const struct err *e)
{
    autofree char *all = NULL;
    size_t size = 0;
    FILE *out = problems->n > 1 ? open_memstream(&all, &size) : NULL;

    if (!out) {
        request_reply_err(r, e);
        return;
    }
    for (size_t i = 0; i < problems->n; i++)
        (void)fprintf(out, "%s%s", i ? "\n" : "", problems->texts[i]);
    if (fclose(out) == 0)
        request_reply_text(r, 400, "%s", all);
    else
        request_reply_err(r, e);
}

/* What the definition leaves open is what the request says. */
static void take_param(const struct request *r, json_t *job, const char *key, const char *name)
{
    const char *value = request_param(r, name);

    if (value && *value && !json_string_length(json_object_get(job, key)))
        (void)json_object_set_new(job, key, json_string(value));
}

/* Jobs are known by their ID alone: one of another namespace would take the place of this one. */
static bool is_refused_here(struct request *r, const struct job *job)
{
    const struct job_record *now = manager_find_job(r->api->manager, job->id);

    if (!request_in_region(r, job->region))
        request_reply_text(r, 500, "No path to region: the job is for \"%s\", this host is \"%s\"",
                           job->region, r->api->config->region);
    else if (now && !now->purge && strcmp(now->job->namespace_, job->namespace_) != 0)
        request_reply_text(r, 409,
                           "there is a job \"%s\" in namespace \"%s\", and an ID is one job here, "
                           "whatever its namespace: give this one another ID, or purge that one",
                           job->id, now->job->namespace_);
    else
        return false;
    return true;
}

struct job *job_from_request(struct request *r, const json_t *body)
{
    json_t *json = json_object_get(body, "Job");
    struct schema_problems problems = {0};
    struct job *job = NULL;
    struct err e = ERR_INIT;

    if (!json_is_object(json))
        request_reply_text(r, 400, "the body must be {\"Job\": {…}}");
    else {
        take_param(r, json, "Namespace", "namespace");
        take_param(r, json, "Region", "region");
        if (job_from_json_all(json, &job, &problems, &e))
            reply_problems(r, &problems, &e);
        else if (is_refused_here(r, job)) {
            job_free(job);
            job = NULL;
        }
    }
    schema_problems_deinit(&problems);
    return job;
}

uint64_t job_current_index(struct request *r, const char *id)
{
    const struct job_record *now = manager_find_job(r->api->manager, id);

    return now && !now->stop ? now->modify_index : 0;
}

/* {"EnforceIndex": true, "JobModifyIndex": N}: N is the version the caller has seen, 0 for none. */
static bool index_is_enforced(struct request *r, const json_t *body, const struct job *job)
{
    uint64_t current = job_current_index(r, job->id);
    json_int_t seen = json_integer_value(json_object_get(body, "JobModifyIndex"));

    if (!json_is_true(json_object_get(body, "EnforceIndex")) || (uint64_t)seen == current)
        return true;
    request_reply_text(r, 409,
                       "Enforcing job modify index %lld: the job's is %llu; somebody changed it",
                       (long long)seen, (unsigned long long)current);
    return false;
}

void job_reply_changed(struct request *r, const struct job_record *record, const char *warnings)
{
    char eval_id[37] = ""; /* nothing is left to ask about a job that is purged */

    r->index = record->modify_index;
    if (!record->purge)
        encode_eval_id(r->api->manager, record, eval_id);
    request_reply_json(
        r, 200,
        json_pack("{s:s,s:I,s:I,s:I,s:I,s:s}", "EvalID", eval_id, "EvalCreateIndex",
                  (json_int_t)record->modify_index, "JobModifyIndex",
                  (json_int_t)record->modify_index, "JobVersion", (json_int_t)record->version,
                  "Index", (json_int_t)record->modify_index, "Warnings", warnings ? warnings : ""));
}

/* A job "a/plan" could be neither read nor stopped: its path means something else. */
static bool id_has_path(struct request *r, const struct job *job)
{
    struct request probe = {.method = HTTP_GET};
    const struct route *route = NULL;

    if (asprintf(&probe.path, "/v1/job/%s", job->id) < 0)
        probe.path = NULL;
    else
        route = router_find(api_routes, api_n_routes, &probe);
    bool ok = route && route->handle == job_read;
    if (!ok)
        request_reply_text(r, 400,
                           "the API has another use for what the job's ID \"%s\" ends in; "
                           "rename the job",
                           job->id);
    request_deinit(&probe);
    return ok;
}

void job_register(struct request *r)
{
    json_t *body = request_json(r);
    struct job *job = body ? job_from_request(r, body) : NULL;
    struct job_record *record;
    struct err e = ERR_INIT;

    if (!job)
        ;
    else if (r->arg && strcmp(r->arg, job->id) != 0)
        request_reply_text(r, 400, "the job's ID \"%s\" is not the path's \"%s\"", job->id, r->arg);
    else if (!id_has_path(r, job) || !index_is_enforced(r, body, job))
        ;
    else if (manager_job_register(r->api->manager, job, &record, &e))
        request_reply_err(r, &e);
    else {
        autofree char *warnings = manager_job_warnings(r->api->manager, record->job);

        job = NULL; /* taken over */
        job_reply_changed(r, record, warnings);
        api_changed(r->api);
    }
    job_free(job);
    json_decref(body);
}

void job_deregister(struct request *r)
{
    struct job_record *record = find_job(r);
    struct err e = ERR_INIT;
    bool purge;

    if (!record || !request_param_bool(r, "purge", false, &purge))
        return;
    if (manager_job_deregister(r->api->manager, r->arg, purge, &e))
        request_reply_err(r, &e);
    else if ((record = manager_find_job(r->api->manager, r->arg)))
        job_reply_changed(r, record, NULL);
    else /* it is purged, and there was nothing of it */
        request_reply_json(r, 200, json_pack("{s:s, s:i}", "EvalID", "", "JobModifyIndex", 0));
    api_changed(r->api);
}

/* The file, evaluated; `variables` is a file of values, or NULL. What it becomes lives no longer
 * than `inputs`. No file of this host is read. */
static void on_error(void *arg, const char *text)
{
    schema_problems_add(arg, text);
}

static int read_hcl(const char *hcl, const char *variables, struct hcl_inputs *inputs,
                    struct hcl_file **ret_file, struct schema_problems *problems, struct err *e)
{
    struct hcl_eval_options options = {.hasty = true, .on_error = on_error, .arg = problems};
    struct hcl_file *values = NULL;
    int r = variables ? hcl_parse_expr("Variables", variables, strlen(variables), &values, e) : 0;

    if (!r && values)
        r = hcl_inputs_add_file(inputs, values, false, "Variables", e);
    if (!r)
        r = hcl_parse_expr("JobHCL", hcl, strlen(hcl), ret_file, e);
    options.inputs = inputs->list;
    options.n_inputs = inputs->n;
    return r ? r : hcl_eval(*ret_file, &options, e);
}

void job_parse(struct request *r)
{
    json_t *body = request_json(r);
    const char *hcl = json_string_value(json_object_get(body, "JobHCL"));
    struct schema_problems problems = {0};
    struct hcl_inputs inputs = {0};
    struct hcl_file *file = NULL;
    struct job *job = NULL;
    struct err e = ERR_INIT;

    if (!body)
        return;
    if (!hcl || !*hcl)
        request_reply_text(r, 400, "the body must be {\"JobHCL\": \"job …\"}");
    else if (read_hcl(hcl, json_string_value(json_object_get(body, "Variables")), &inputs, &file,
                      &problems, &e) ||
             job_from_hcl_all(file, &job, &problems, &e))
        reply_problems(r, &problems, &e);
    else
        request_reply_json(r, 200, job_to_json(job));
    schema_problems_deinit(&problems);
    job_free(job);
    hcl_file_free(file);
    hcl_inputs_deinit(&inputs);
    json_decref(body);
}

/* A job that is wrong is a fine answer to this question, so it has status 200. */
void job_validate(struct request *r)
{
    json_t *body = request_json(r);
    const json_t *json = json_object_get(body, "Job");
    struct schema_problems problems = {0};
    struct job *job = NULL;
    struct err e = ERR_INIT;

    if (!body)
        return;
    if (!json_is_object(json))
        request_reply_text(r, 400, "the body must be {\"Job\": {…}}");
    else {
        json_t *errors = json_array();
        autofree char *warnings = NULL;

        if (!job_from_json_all(json, &job, &problems, &e))
            warnings = manager_job_warnings(r->api->manager, job);
        for (size_t i = 0; i < problems.n; i++)
            (void)json_array_append_new(errors, encode_text(problems.texts[i]));
        request_reply_json(r, 200,
                           json_pack("{s:b,s:o,s:o,s:s}", "DriverConfigValidated", job != NULL,
                                     "ValidationErrors", errors, "Error", encode_text(e.text),
                                     "Warnings", warnings ? warnings : ""));
    }
    schema_problems_deinit(&problems);
    job_free(job);
    json_decref(body);
}

void job_empty_list(struct request *r)
{
    if (find_job(r))
        empty_list(r);
}

void job_not_served(struct request *r)
{
    request_reply_text(r, 404, "%s is not served by this release", r->path);
}
