/* SPDX-License-Identifier: MIT
 *
 * What is dispatched is recorded before it is acknowledged, as any registration is; who is not sure
 * whether that was done asks again with the same token.
 */
#include "manager/job/children.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "manager/core.h"
#include "manager/store.h"
#include "shared/cleanup.h"
#include "shared/job/value.h"

int child_register(struct manager *m, const struct job_record *parent, const char *id,
                   json_t *changes, struct job_record **ret_child, struct err *e)
{
    autojson json_t *json = job_to_json(parent->job), *taken = changes;
    struct job_record *child = manager_find_job(m, id);
    struct job *job = NULL;
    int r = 0;

    if (!child) {
        (void)json_object_update(json, taken);
        (void)json_object_set_new(json, "ID", json_string(id));
        (void)json_object_set_new(json, "Name", json_string(id));
        (void)json_object_set_new(json, "ParentID", json_string(parent->job->id));
        r = job_from_json(json, &job, e);
        if (!r)
            r = manager_job_register(m, job, &child, e);
    }
    if (r)
        job_free(job);
    else
        *ret_child = child;
    return r;
}

bool children_run(const struct manager *m, const char *parent_id)
{
    for (const struct job_record *record = m->jobs; record; record = record->next)
        if (strcmp(record->job->parent_id, parent_id) == 0 &&
            strcmp(job_record_status(m, record), "dead") != 0)
            return true;
    return false;
}

/* ---- dispatch ---- */

static bool is_listed(char *const *names, const char *name)
{
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

static int check_meta(const struct job_parameterized *p, const json_t *meta, struct err *e)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)meta, key, value)
    {
        if (!is_listed(p->meta_required, key) && !is_listed(p->meta_optional, key))
            return err_set(e, -EINVAL,
                           "the job takes no meta \"%.64s\": that is neither in its meta_required "
                           "nor in its meta_optional",
                           key);
        if (!json_is_string(value))
            return err_set(e, -EINVAL, "the meta \"%.64s\" must be a string", key);
    }
    for (char **name = p->meta_required; *name; name++)
        if (!json_object_get(meta, *name))
            return err_set(e, -EINVAL, "the job cannot do without the meta \"%.64s\": give it one",
                           *name);
    return 0;
}

static int check_payload(const struct job_parameterized *p, const char *base64, struct err *e)
{
    autofree unsigned char *data = NULL;
    size_t size;

    if (!*base64 && p->payload == JOB_PAYLOAD_REQUIRED)
        return err_set(e, -EINVAL, "the job cannot do without a payload: give it one");
    if (*base64 && p->payload == JOB_PAYLOAD_FORBIDDEN)
        return err_set(e, -EINVAL, "the job takes no payload");
    if (strlen(base64) > LAUNCH_PAYLOAD_MAX / 3 * 4 + 8)
        return err_set(e, -EINVAL, "the payload is larger than %d bytes", LAUNCH_PAYLOAD_MAX);
    return launch_payload(base64, &data, &size)
               ? err_set(e, -EINVAL, "the payload is not base64 of at most %d bytes",
                         LAUNCH_PAYLOAD_MAX)
               : 0;
}

static int check_dispatch(const struct job_record *parent, const struct dispatch *d, struct err *e)
{
    const struct job *job = parent->job;
    int r;

    if (!job_is_parameterized(job))
        return err_set(e, -EINVAL, "job \"%s\" is not parameterized: there is nothing to dispatch",
                       job->id);
    if (parent->stop)
        return err_set(e, -EINVAL, "job \"%s\" is stopped: run it again first", job->id);
    if (d->priority < 0 || d->priority > 100)
        return err_set(e, -EINVAL, "a priority is 1 to 100");
    r = check_payload(&job->parameterized, d->payload, e);
    return r ? r : check_meta(&job->parameterized, d->meta, e);
}

static struct job_record *find_dispatched(const struct manager *m, const char *parent_id,
                                          const char *token)
{
    struct job_record *record = *token ? m->jobs : NULL;

    while (record && (strcmp(record->job->parent_id, parent_id) != 0 ||
                      strcmp(record->job->idempotency_token, token) != 0))
        record = record->next;
    return record;
}

static json_t *dispatch_changes(const struct job *parent, const struct dispatch *d)
{
    json_t *meta = json_copy(parent->meta);

    (void)json_object_update(meta, (json_t *)d->meta);
    return json_pack("{s:o, s:b, s:s, s:s, s:I}", "Meta", meta, "Dispatched", true, "Payload",
                     d->payload, "DispatchIdempotencyToken", d->token, "Priority",
                     (json_int_t)(d->priority ? d->priority : parent->priority));
}

int manager_job_dispatch(struct manager *m, const char *job_id, const struct dispatch *d,
                         struct job_record **ret_child, struct err *e)
{
    struct job_record *parent = manager_find_job(m, job_id);
    char random[37], id[512];
    int r;

    if (!parent)
        return err_set(e, -ENOENT, "job \"%s\" not found", job_id);
    r = check_dispatch(parent, d, e);
    if (r)
        return r;
    *ret_child = find_dispatched(m, job_id, d->token);
    if (*ret_child)
        return 0;
    uuid_make(random);
    (void)snprintf(id, sizeof(id), "%s/dispatch-%s%s%lld-%.8s", job_id, d->id_prefix,
                   *d->id_prefix ? "-" : "", (long long)time(NULL), random);
    return child_register(m, parent, id, dispatch_changes(parent->job, d), ret_child, e);
}
