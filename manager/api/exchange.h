/* SPDX-License-Identifier: MIT
 *
 * One request on a connection, from the last header to the last byte of the reply. Inside of the
 * server: exchange.c has HTTP, websocket.c WebSockets, server.c the connections they come on.
 */
#pragma once

#include <ev.h>
#include <libwebsockets.h>
#include <stdbool.h>
#include <stddef.h>

#include "manager/api/context.h"
#include "manager/api/request.h"

struct port;
struct route;

enum {
    CHUNK_HEAD = 16, /* room for the length line in front of a chunk */
    CHUNK_TAIL = 2,
    PIECE_MAX = 64 << 10,
};

struct server {
    struct api *api;
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct port *ports;
    size_t n_ports;
    size_t n_connections;
    int reserve_fd; /* given up for a moment to refuse a client when descriptors run out */
    struct exchange *exchanges; /* so that blocked requests are found after a change */
    unsigned char *piece;       /* LWS_PRE + CHUNK_HEAD + SOURCE_MIN + CHUNK_TAIL */
};

struct exchange {
    struct request request; /* conn points back here */
    struct server *server;
    struct lws *wsi;
    const struct route *route;
    ev_timer wait; /* of a blocked request */
    size_t body_expected;
    size_t sent;
    bool replying;
    bool close_after;
    bool chunked;  /* if there is a source; HTTP/1.0 clients read it to the end of the connection */
    ev_io client;  /* our own watch of it, see exchange_wait() */
    ev_timer room; /* runs after room in its socket was used */
    struct exchange *next, **link;
};

/* What libwebsockets keeps per connection for us. */
struct session {
    struct exchange *exchange;
};

/* All that return int are libwebsockets callbacks, or end one: 0, or -1 when the connection is
 * lost. */

struct exchange *exchange_new(struct server *s, struct lws *wsi, const char *path);
void exchange_free(struct exchange *x); /* NULL is fine */

/* HTTP. `x` may be NULL where the request was refused already. */
int exchange_on_headers(struct server *s, struct lws *wsi, struct session *session,
                        const char *path);
int exchange_on_body(struct exchange *x, const char *data, size_t size);
int exchange_on_body_complete(struct exchange *x);
int exchange_on_writable(struct session *session);

/* What every request must fulfil, and takes in the parameters. 0, or the status of a refusal. */
int exchange_check(struct exchange *x, const char **ret_text);

/* Sets x->route; NULL after a reply that refuses it. */
void exchange_find_route(struct exchange *x);

/* Sends the head of the reply. */
int exchange_start_reply(struct exchange *x);

/* Sends `size` bytes at `data`, before which there is LWS_PRE bytes of room. */
int exchange_write(struct exchange *x, unsigned char *data, size_t size, bool last);

/* Lets the reply rest until request_wake(), or until there is room in the socket; or until the
 * client leaves, which ends the exchange. A WebSocket's client is watched from now on. */
int exchange_wait(struct exchange *x, bool for_room);

/* Copies header `token` (or one fragment of it, from 0), NULL when it is absent. The caller frees.
 * A NUL in it ends it. */
char *copy_header(struct lws *wsi, enum lws_token_indexes token, int fragment);

/* WebSockets. */
struct exchange *websocket_find(const struct server *s, const struct lws *wsi);
/* 0: let libwebsockets go on; 1: the client has had its reply; -1: it is cut off. */
int websocket_on_upgrade(struct server *s, struct lws *wsi, const char *protocol);
int websocket_on_established(struct exchange *x);
int websocket_on_message(struct exchange *x, const char *data, size_t size);
int websocket_on_writable(struct exchange *x);
