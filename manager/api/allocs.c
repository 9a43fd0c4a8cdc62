/* SPDX-License-Identifier: MIT
 *
 * /v1/allocations, /v1/allocation/:id, /stop, /v1/client/allocation/:id/stats, /pause, /restart,
 * /signal.
 */
#include <string.h>

#include "manager/alloc/disk_usage.h"
#include "manager/api/context.h"
#include "manager/api/encode.h"
#include "manager/api/handlers.h"
#include "manager/api/list.h"
#include "manager/host/stats.h"
#include "shared/units.h"

enum {
    DISK_WAIT_S = 10,
};

struct alloc *find_alloc(struct request *r)
{
    struct alloc *alloc = manager_find_alloc(r->api->manager, r->arg);

    if (!alloc)
        request_reply_text(r, 404, "alloc not found: %s%s", r->arg,
                           strlen(r->arg) < 36 ? " (an id has 36 characters; list with ?prefix=)"
                                               : "");
    return alloc;
}

/* NULL after a 400. */
static const struct task *task_by_name(struct request *r, const struct alloc *alloc,
                                       const char *name)
{
    for (size_t i = 0; i < alloc->group->n_tasks; i++)
        if (!strcmp(alloc->tasks[i].def->name, name))
            return &alloc->tasks[i];
    request_reply_text(r, 400, "unknown task name \"%s\"", name);
    return NULL;
}

const struct task *find_task(struct request *r, const struct alloc *alloc)
{
    const char *name = request_param(r, "task");

    if (name && *name)
        return task_by_name(r, alloc, name);
    request_reply_text(r, 400, "parameter \"task\" is missing: the name of a task");
    return NULL;
}

uint64_t alloc_newest_index(const struct manager *m)
{
    uint64_t index = 0;

    for (const struct alloc *a = manager_allocs(m); a; a = a->next)
        if (a->modify_index > index)
            index = a->modify_index;
    return index;
}

/* ?task_states=false and ?resources=true choose what a list says of each. */
static json_t *encode_listed(const struct alloc *alloc, bool states, bool resources)
{
    json_t *json = encode_alloc_stub(alloc);

    if (!states)
        (void)json_object_del(json, "TaskStates");
    if (resources)
        (void)json_object_set_new(json, "AllocatedResources", encode_resources(alloc->group));
    return json;
}

void alloc_list(struct request *r)
{
    bool states, resources;

    if (!request_param_bool(r, "task_states", true, &states) ||
        !request_param_bool(r, "resources", false, &resources) ||
        request_block(r, alloc_newest_index(r->api->manager)))
        return;
    struct list list;
    if (!list_begin(&list, r))
        return;
    for (const struct alloc *a = manager_allocs(r->api->manager); a; a = a->next)
        if (list_wants(&list, a->id, a->job->job->namespace_))
            list_add(&list, encode_listed(a, states, resources),
                     list.filter ? encode_alloc(a) : NULL);
    list_end(&list);
}

void alloc_read(struct request *r)
{
    struct alloc *alloc = find_alloc(r);

    if (alloc && !request_block(r, alloc->modify_index))
        request_reply_json(r, 200, encode_alloc(alloc));
}

/* With ?disk=true, which is ours, what is on the disk is counted first, where no quota tells; but
 * it is not waited for longer than `wait`, or DISK_WAIT_S. */
void alloc_stats(struct request *r)
{
    struct alloc *alloc = find_alloc(r);
    const char *disk = request_param(r, "disk");

    if (!alloc)
        return;
    if (!r->wait)
        r->wait = DISK_WAIT_S;
    r->blocked = disk && strcmp(disk, "true") == 0 && !r->timed_out && disk_usage_refresh(alloc);
    if (!r->blocked)
        request_reply_json(r, 200, stats_alloc(alloc));
}

void alloc_pause_state(struct request *r)
{
    struct alloc *alloc = find_alloc(r);
    const struct task *task = alloc ? find_task(r, alloc) : NULL;

    if (task)
        request_reply_json(r, 200, json_pack("{s:s}", "ScheduleState", encode_pause(task)));
}

/* {"Task": …, "ScheduleState": "pause" or "run"}. In Nomad a pause overrides the task's schedule,
 * and "scheduled" ends that; tasks have no schedules here. */
void alloc_pause(struct request *r)
{
    struct alloc *alloc = find_alloc(r);
    json_t *body = alloc ? request_json(r) : NULL;
    const char *name = json_string_value(json_object_get(body, "Task"));
    const char *state = json_string_value(json_object_get(body, "ScheduleState"));
    const struct task *task = NULL;
    struct err e = ERR_INIT;

    if (!body)
        return;
    if (!state || (strcmp(state, "pause") != 0 && strcmp(state, "run") != 0))
        request_reply_text(r, 400, "\"ScheduleState\" must be \"pause\" or \"run\"");
    else if (!name || !*name)
        request_reply_text(r, 400, "\"Task\" is missing: the name of a task");
    else if ((task = task_by_name(r, alloc, name)) &&
             manager_pause(r->api->manager, task, strcmp(state, "pause") == 0, &e))
        request_reply_err(r, &e);
    else if (task)
        request_reply_json(r, 200, json_object());
    json_decref(body);
}

/* False after a 400. *ret_task: NULL where the body names none. */
static bool task_of_body(struct request *r, const struct alloc *alloc, const json_t *body,
                         const char *key, const struct task **ret_task)
{
    const json_t *name = json_object_get(body, key);

    *ret_task = NULL;
    if (name && !json_is_null(name) && !json_is_string(name)) {
        request_reply_text(r, 400, "\"%s\" must be the name of a task", key);
        return false;
    }
    if (!json_string_length(name))
        return true;
    *ret_task = task_by_name(r, alloc, json_string_value(name));
    return *ret_task;
}

static void reply_done(struct request *r, int result, const struct err *e)
{
    if (result)
        request_reply_err(r, e);
    else
        request_reply_json(r, 200, json_object());
}

/* {"Task": …, "Signal": …}; without a task, all that run. */
void alloc_signal(struct request *r)
{
    struct alloc *alloc = find_alloc(r);
    json_t *body = alloc ? request_json(r) : NULL;
    const char *name = json_string_value(json_object_get(body, "Signal"));
    int signo = name ? signal_parse(name) : 0;
    const struct task *task;
    struct err e = ERR_INIT;

    if (!body)
        return;
    if (signo <= 0)
        request_reply_text(r, 400, "\"Signal\" must be a signal, such as \"SIGHUP\"");
    else if (task_of_body(r, alloc, body, "Task", &task))
        reply_done(r, manager_signal(alloc, task, signo, &e), &e);
    json_decref(body);
}

/* Another allocation takes its place, as it is its job that has to be stopped for good. */
void alloc_stop_one(struct request *r)
{
    struct alloc *alloc = find_alloc(r);
    const struct job_record *record;
    struct err e = ERR_INIT;
    char eval_id[37];

    if (!alloc)
        return;
    if (manager_alloc_stop(r->api->manager, alloc, &e)) {
        request_reply_err(r, &e);
        return;
    }
    record = manager_find_job(r->api->manager, alloc->job->job->id);
    encode_eval_id(r->api->manager, record ? record : alloc->job, eval_id);
    request_reply_json(
        r, 200,
        json_pack("{s:s, s:I}", "EvalID", eval_id, "Index", (json_int_t)alloc->modify_index));
    api_changed(r->api);
}

/* {"TaskName": …, "AllTasks": …}, or no body. */
void alloc_restart(struct request *r)
{
    struct alloc *alloc = find_alloc(r);
    json_t *body = !alloc ? NULL : r->body_size ? request_json(r) : json_object();
    const json_t *all = json_object_get(body, "AllTasks");
    const struct task *task;
    struct err e = ERR_INIT;

    if (!body)
        return;
    if (all && !json_is_null(all) && !json_is_boolean(all))
        request_reply_text(r, 400, "\"AllTasks\" must be true or false");
    else if (task_of_body(r, alloc, body, "TaskName", &task)) {
        if (json_is_true(all) && task)
            request_reply_text(r, 400, "\"AllTasks\" leaves no choice of a \"TaskName\"");
        else
            reply_done(r, manager_restart(alloc, task, json_is_true(all), &e), &e);
    }
    json_decref(body);
}
