/* SPDX-License-Identifier: MIT
 *
 * /v1/nodes, /v1/node/:id: the one node there is, this host.
 */
#include <string.h>

#include "manager/api/context.h"
#include "manager/api/encode.h"
#include "manager/api/handlers.h"

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
    const char *prefix = request_param(r, "prefix");
    json_t *list = json_array(), *node;

    if (!prefix || !strncmp(manager_node_id(r->api->manager), prefix, strlen(prefix))) {
        node = node_json(r->api);
        (void)json_object_del(node, "Attributes");
        (void)json_object_del(node, "Resources");
        (void)json_object_del(node, "Meta");
        (void)json_array_append_new(list, node);
    }
    r->index = 1;
    request_reply_json(r, 200, list);
}

void node_read(struct request *r)
{
    if (strcmp(r->arg, manager_node_id(r->api->manager)) != 0) {
        request_reply_text(r, 404, "node not found: %s", r->arg);
        return;
    }
    r->index = 1;
    request_reply_json(r, 200, node_json(r->api));
}
