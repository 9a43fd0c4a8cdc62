/* SPDX-License-Identifier: MIT
 *
 * The HTTP API: Nomad's /v1 paths, on the unix sockets and loopback ports of config->addresses,
 * served on the manager's own loop.
 */
#pragma once

#include <ev.h>

#include "manager/config/config.h"
#include "manager/manager.h"
#include "shared/err.h"

struct api;

/* Starts to listen on every address. Takes the manager's on_change slot. `manager` and `config` are
 * borrowed until api_free().
 * -EADDRINUSE: another process answers there (named in `e`); -EINVAL: not a unix socket or a
 * loopback address; -EEXIST: a file that is no socket is in the way; -EACCES, -EROFS … */
int api_new(struct ev_loop *loop, struct manager *manager, const struct config *config,
            struct api **ret_api, struct err *e);

/* Stops listening, closes every connection, removes its socket files. Before manager_free(). NULL
 * is fine; returns NULL. */
struct api *api_free(struct api *api);
