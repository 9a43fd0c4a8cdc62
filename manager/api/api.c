/* SPDX-License-Identifier: MIT
 *
 * Wires the parts of the API together. Changes the manager tells of are collected and passed on
 * once per turn of the loop, however many there were.
 */
#include "manager/api/api.h"

#include <errno.h>
#include <stdlib.h>

#include "manager/api/context.h"
#include "manager/api/handlers.h"
#include "manager/api/server.h"
#include "manager/host/watch.h"
#include "shared/cleanup.h"

void api_changed(struct api *api)
{
    if (!ev_is_active(&api->told))
        ev_timer_start(api->loop, &api->told);
}

static void on_told(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct api *api = container_of(w, struct api, told);

    (void)loop;
    (void)revents;
    server_retry_blocked(api->server);
    watch_hub_wake_all(api->hub);
}

static void on_change(void *arg, struct alloc *alloc)
{
    (void)alloc;
    api_changed(arg);
}

int api_new(struct ev_loop *loop, struct manager *manager, const struct config *config,
            struct api **ret_api, struct err *e)
{
    struct api *api = calloc(1, sizeof(*api));
    int r;

    if (!api)
        return err_sys(e, -ENOMEM, "cannot start the API");
    *api = (struct api){.loop = loop, .manager = manager, .config = config};
    ev_timer_init(&api->told, on_told, 0., 0.);
    api->hub = watch_hub_new(loop);
    r = api->hub ? server_new(api, config->addresses, &api->server, e)
                 : err_sys(e, -ENOMEM, "cannot start the API");
    if (r) {
        api_free(api);
        return r;
    }
    manager_on_change(manager, on_change, api);
    *ret_api = api;
    return 0;
}

struct api *api_free(struct api *api)
{
    if (!api)
        return NULL;
    manager_on_change(api->manager, NULL, NULL);
    ev_timer_stop(api->loop, &api->told);
    server_free(api->server); /* the sources of its replies use the hub */
    exec_forget_all(api);
    watch_hub_free(api->hub);
    json_decref(api->upgraded);
    free(api);
    return NULL;
}
