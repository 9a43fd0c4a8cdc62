/* SPDX-License-Identifier: MIT
 *
 * /v1/allocations, /v1/allocation/:id, /v1/client/allocation/:id/stats and /pause.
 */
#include <string.h>

#include "manager/api/context.h"
#include "manager/api/encode.h"
#include "manager/api/handlers.h"
#include "manager/host/stats.h"

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

void alloc_list(struct request *r)
{
    const char *prefix = request_param(r, "prefix");
    uint64_t index = 0;

    for (const struct alloc *a = manager_allocs(r->api->manager); a; a = a->next)
        if (a->modify_index > index)
            index = a->modify_index;
    if (request_block(r, index))
        return;
    struct reply_list list;
    reply_list_begin(&list, r);
    for (const struct alloc *a = manager_allocs(r->api->manager); a; a = a->next)
        if (!prefix || !strncmp(a->id, prefix, strlen(prefix)))
            reply_list_add(&list, encode_alloc_stub(a));
    reply_list_end(&list, r);
}

void alloc_read(struct request *r)
{
    struct alloc *alloc = find_alloc(r);

    if (alloc && !request_block(r, alloc->modify_index))
        request_reply_json(r, 200, encode_alloc(alloc));
}

void alloc_stats(struct request *r)
{
    struct alloc *alloc = find_alloc(r);

    if (alloc)
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
