/* SPDX-License-Identifier: MIT
 *
 * HTTP connections: from accepted sockets to requests and back.
 */
#pragma once

#include "manager/api/context.h"
#include "shared/err.h"

/* Listens on the NULL-terminated `addresses`. Errors as api_new(). */
int server_new(struct api *api, char *const *addresses, struct server **ret_server, struct err *e);

/* Closes everything. NULL is fine; returns NULL. */
struct server *server_free(struct server *s);

/* Calls the handlers of blocked requests again. */
void server_retry_blocked(struct server *s);
