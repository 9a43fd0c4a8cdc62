/* SPDX-License-Identifier: MIT
 *
 * What every handler may use. One per api_new().
 */
#pragma once

#include <ev.h>
#include <jansson.h>
#include <stdbool.h>

#include "manager/config/config.h"
#include "manager/manager.h"

struct exec;
struct server;
struct watch_hub;

struct api {
    struct ev_loop *loop;
    struct manager *manager;
    const struct config *config;
    struct watch_hub *hub; /* file changes, for followers */
    struct server *server;
    struct exec *execs; /* commands in tasks: exec.c */
    unsigned int n_execs;
    ev_timer told;     /* runs in the next turn of the loop, after a change */
    bool stop_running; /* manager_stop_all() has not called back yet */
    bool gc_running;   /* manager_gc() has not */
    size_t gc_removed, gc_left;
    bool upgrade_running;
    json_t *upgraded; /* what the newest upgrade of all executors came to, or NULL */
};

/* Something was changed that blocked requests and followers may wait for. */
void api_changed(struct api *api);
