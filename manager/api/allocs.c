/* SPDX-License-Identifier: MIT
 *
 * /v1/allocations, /v1/allocation/:id, /v1/client/allocation/:id/stats.
 */
#include <string.h>

#include "manager/api/context.h"
#include "manager/api/encode.h"
#include "manager/api/handlers.h"
#include "manager/stats.h"

struct alloc *find_alloc(struct request *r)
{
    struct alloc *alloc = manager_find_alloc(r->api->manager, r->arg);

    if (!alloc)
        request_reply_text(r, 404, "alloc not found: %s%s", r->arg,
                           strlen(r->arg) < 36 ? " (an id has 36 characters; list with ?prefix=)"
                                               : "");
    return alloc;
}

const struct task *find_task(struct request *r, const struct alloc *alloc)
{
    const char *name = request_param(r, "task");

    if (!name || !*name) {
        request_reply_text(r, 400, "parameter \"task\" is missing: the name of a task");
        return NULL;
    }
    for (size_t i = 0; i < alloc->group->n_tasks; i++)
        if (!strcmp(alloc->tasks[i].def->name, name))
            return &alloc->tasks[i];
    request_reply_text(r, 400, "unknown task name \"%s\"", name);
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
