/* SPDX-License-Identifier: MIT
 *
 * /v1/job/:id/dispatch and /v1/job/:id/periodic/force: launching a child of a job now.
 */
#include <string.h>

#include "manager/api/context.h"
#include "manager/api/encode.h"
#include "manager/api/handlers.h"
#include "manager/api/job_request.h"
#include "shared/cleanup.h"

/* `child_key`: Nomad's replies have it under another name, or not at all. */
static void reply_launched(struct request *r, const struct job_record *child, const char *child_key)
{
    json_int_t index = (json_int_t)child->modify_index;
    char eval_id[37];

    encode_eval_id(r->api->manager, child, eval_id);
    r->index = child->modify_index;
    request_reply_json(r, 200,
                       json_pack("{s:s, s:s, s:I, s:I, s:I}", child_key, child->job->id, "EvalID",
                                 eval_id, "EvalCreateIndex", index, "JobCreateIndex",
                                 (json_int_t)child->create_index, "Index", index));
}

/* The text at `key`; NULL after a 400. */
static const char *read_text(struct request *r, const json_t *body, const char *key)
{
    const json_t *value = json_object_get(body, key);

    if (json_is_string(value))
        return json_string_value(value);
    if (!value || json_is_null(value))
        return "";
    request_reply_text(r, 400, "\"%s\" must be a string", key);
    return NULL;
}

static bool read_dispatch(struct request *r, const json_t *body, struct dispatch *ret)
{
    const char *token = request_param(r, "idempotency_token");
    const json_t *meta = json_object_get(body, "Meta");
    const char *job_id = read_text(r, body, "JobID");

    *ret = (struct dispatch){
        .meta = meta,
        .payload = read_text(r, body, "Payload"),
        .token = token ? token : read_text(r, body, "IdempotencyToken"),
        .id_prefix = read_text(r, body, "IdPrefixTemplate"),
        .priority = json_integer_value(json_object_get(body, "Priority")),
    };
    if (!job_id || !ret->payload || !ret->token || !ret->id_prefix)
        return false;
    if (*job_id && strcmp(job_id, r->arg) != 0)
        request_reply_text(r, 400, "the job's ID \"%s\" is not the path's \"%s\"", job_id, r->arg);
    else if (meta && !json_is_null(meta) && !json_is_object(meta))
        request_reply_text(r, 400, "\"Meta\" must be an object of strings");
    else
        return true;
    return false;
}

void job_dispatch(struct request *r)
{
    json_t *body = !find_job(r) ? NULL : r->body_size ? request_json(r) : json_object();
    struct job_record *child;
    struct dispatch d;
    struct err e = ERR_INIT;

    if (!body || !read_dispatch(r, body, &d))
        ;
    else if (manager_job_dispatch(r->api->manager, r->arg, &d, &child, &e))
        request_reply_err(r, &e);
    else {
        reply_launched(r, child, "DispatchedJobID");
        api_changed(r->api);
    }
    json_decref(body);
}

void job_periodic_force(struct request *r)
{
    struct job_record *child;
    struct err e = ERR_INIT;

    if (!find_job(r))
        ;
    else if (manager_periodic_force(r->api->manager, r->arg, &child, &e))
        request_reply_err(r, &e);
    else {
        reply_launched(r, child, "JobID");
        api_changed(r->api);
    }
}
