/* SPDX-License-Identifier: MIT
 *
 * /v1/agent: this manager. /v1/system: what concerns all jobs.
 */
#include <string.h>
#include <unistd.h>

#include "manager/api/agent_config.h"
#include "manager/api/context.h"
#include "manager/api/encode.h"
#include "manager/api/handlers.h"

/* We are a client agent and no server: ?type=server says so with Nomad's 500. */
void agent_health(struct request *r)
{
    const char *type = request_param(r, "type");

    if (type && !strcmp(type, "server"))
        request_reply_json(r, 500,
                           json_pack("{s:{s:b,s:s}}", "server", "ok", false, "message",
                                     "this agent runs no server"));
    else if (type && *type && strcmp(type, "client") != 0)
        request_reply_text(r, 400, "parameter \"type\" must be client or server, not \"%s\"", type);
    else
        request_reply_json(r, 200,
                           json_pack("{s:{s:b,s:s}}", "client", "ok", true, "message", "ok"));
}

void agent_self(struct request *r)
{
    const struct config *c = r->api->config;

    request_reply_json(r, 200,
                       json_pack("{s:o, s:{s:o,s:s,s:s}, s:{s:{s:s}}}", "config",
                                 agent_config_json(c), "member", "Name", encode_text(c->name),
                                 "Addr", "127.0.0.1", "Status", "alive", "stats", "client",
                                 "node_id", manager_node_id(r->api->manager)));
}

static void on_collected(void *arg, size_t removed, size_t left)
{
    struct api *api = arg;

    api->gc_running = false;
    api->gc_removed = removed;
    api->gc_left = left;
    api_changed(api);
}

/* Unlike Nomad's, answered when it is done; calls that come meanwhile join in. */
void system_gc(struct request *r)
{
    struct api *api = r->api;

    if (!r->again && !api->gc_running) {
        api->gc_running = true;
        manager_gc(api->manager, on_collected, api);
    }
    r->blocked = api->gc_running;
    if (!r->blocked)
        request_reply_json(r, 200,
                           json_pack("{s:I,s:I}", "Removed", (json_int_t)api->gc_removed, "Left",
                                     (json_int_t)api->gc_left));
}

static void on_all_stopped(void *arg)
{
    struct api *api = arg;

    api->stop_running = false;
    api_changed(api);
}

/* Ours. Answered when every task is dead, or at once when that is not recorded; each call tries
 * anew, and waits for the tasks of all of them. */
void system_stop_all(struct request *r)
{
    struct api *api = r->api;
    struct err e = ERR_INIT;

    if (!r->again) {
        api->stop_running = true;
        if (manager_stop_all(api->manager, on_all_stopped, api, &e)) {
            request_reply_err(r, &e);
            return;
        }
    }
    r->blocked = api->stop_running;
    if (!r->blocked)
        request_reply_json(r, 200, json_object());
}

static void on_all_upgraded(void *arg, json_t *results)
{
    struct api *api = arg;

    api->upgrade_running = false;
    json_decref(api->upgraded);
    api->upgraded = json_incref(results);
    api_changed(api);
}

/* Ours. Answered when every executor had its turn; calls that come meanwhile join in. */
void system_upgrade_executors(struct request *r)
{
    struct api *api = r->api;

    if (!r->again && !api->upgrade_running)
        api->upgrade_running = manager_upgrade_executors(api->manager, on_all_upgraded, api) == 0;
    r->blocked = api->upgrade_running;
    if (!r->blocked)
        request_reply_json(r, 200, json_incref(api->upgraded));
}
