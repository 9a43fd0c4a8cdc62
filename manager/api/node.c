/* SPDX-License-Identifier: MIT
 *
 * /v1/nodes, /v1/node/:id, /v1/client/stats: the one node there is, this host.
 */
#include <string.h>

#include "manager/api/context.h"
#include "manager/api/encode.h"
#include "manager/api/handlers.h"
#include "manager/api/list.h"

/* The node does not change but with its configuration. */
static const uint64_t node_index = 1;

/* The manager's object, and the state files it had to set aside (ours). */
static json_t *node_json(const struct api *api)
{
    size_t n;
    const char *const *paths = manager_damaged(api->manager, &n);
    json_t *node = manager_node_json(api->manager), *damaged = json_array();

    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(damaged, encode_text(paths[i]));
    (void)json_object_set_new(node, "DamagedStateFiles", damaged);
    return node;
}

/* Nomad's list shows the node without its large parts. */
void node_list(struct request *r)
{
    struct list list;

    if (request_block(r, node_index) || !list_begin(&list, r))
        return;
    if (list_wants(&list, manager_node_id(r->api->manager), NULL)) {
        json_t *whole = node_json(r->api), *node = json_copy(whole);

        (void)json_object_del(node, "Attributes");
        (void)json_object_del(node, "Resources");
        (void)json_object_del(node, "Meta");
        list_add(&list, node, whole);
    }
    list_end(&list);
}

/* False after a 404. */
static bool is_this_node(struct request *r)
{
    if (strcmp(r->arg, manager_node_id(r->api->manager)) == 0)
        return true;
    request_reply_text(r, 404, "node not found: %s", r->arg);
    return false;
}

void node_read(struct request *r)
{
    if (is_this_node(r) && !request_block(r, node_index))
        request_reply_json(r, 200, node_json(r->api));
}

/* All there are, whole, with their jobs. */
void node_allocations(struct request *r)
{
    struct list list;

    if (!is_this_node(r) || request_block(r, alloc_newest_index(r->api->manager)) ||
        !list_begin(&list, r))
        return;
    for (const struct alloc *a = manager_allocs(r->api->manager); a; a = a->next)
        if (list_wants(&list, a->id, a->job->job->namespace_))
            list_add(&list, encode_alloc(a), NULL);
    list_end(&list);
}

void client_stats(struct request *r)
{
    const char *id = request_param(r, "node_id");

    if (id && *id && strcmp(id, manager_node_id(r->api->manager)) != 0)
        request_reply_text(r, 404, "node not found: %s", id);
    else
        request_reply_json(r, 200, manager_host_stats(r->api->manager));
}
