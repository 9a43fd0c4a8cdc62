/* SPDX-License-Identifier: MIT
 *
 * libwebsockets does the HTTP of connections that we accept (listen.h), on the manager's own loop.
 * This file, exchange.c and websocket.c are the only ones that know it. At most CONNECTIONS_MAX
 * connections are served.
 */
#include "manager/api/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manager/api/exchange.h"
#include "manager/api/listen.h"
#include "shared/cleanup.h"
#include "shared/log.h"

enum {
    CONNECTIONS_MAX = 256,
    ACCEPTS_PER_TURN = 16,
    HEADER_MAX = 16 << 10,
};

struct port {
    struct listener listener;
    ev_io io;
    struct server *server;
};

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t len)
{
    struct server *s = lws_context_user(lws_get_context(wsi));
    struct session *session = user;

    switch (reason) {
    case LWS_CALLBACK_WSI_CREATE:
        s->n_connections++;
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        s->n_connections--;
        exchange_free(websocket_find(s, wsi)); /* of a WebSocket that did not come about */
        return 0;
    case LWS_CALLBACK_HTTP:
        return exchange_on_headers(s, wsi, session, in);
    case LWS_CALLBACK_HTTP_BODY:
        return session->exchange ? exchange_on_body(session->exchange, in, len) : 0;
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return exchange_on_body_complete(session->exchange);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return exchange_on_writable(session);
    case LWS_CALLBACK_CLOSED_HTTP:
        if (session) {
            exchange_free(session->exchange);
            session->exchange = NULL;
        }
        return 0;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return websocket_on_upgrade(s, wsi, in);
    case LWS_CALLBACK_ESTABLISHED:
        session->exchange = websocket_find(s, wsi);
        return websocket_on_established(session->exchange);
    case LWS_CALLBACK_RECEIVE:
        return websocket_on_message(session->exchange, in, len);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return websocket_on_writable(session->exchange);
    case LWS_CALLBACK_CLOSED:
        exchange_free(session->exchange);
        session->exchange = NULL;
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    {.name = "http", .callback = on_lws, .per_session_data_size = sizeof(struct session)},
    {.name = NULL},
};

static void on_lws_log(int level, const char *line)
{
    (void)level;
    log_debug("libwebsockets: %.*s", (int)strcspn(line, "\n"), line);
}

/* Out of descriptors: the client is told, instead of the listening socket being ready for ever. */
static void refuse_for_lack_of_fds(struct port *port)
{
    struct server *s = port->server;

    close_fd(&s->reserve_fd);
    int fd = listener_accept(&port->listener);
    if (fd >= 0)
        listener_refuse(fd, "503 Service Unavailable", "the manager has no file descriptors left");
    s->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* False: no connection is waiting. */
static bool take_connection(struct port *port)
{
    struct server *s = port->server;
    int fd = listener_accept(&port->listener);

    if (fd == -EMFILE || fd == -ENFILE)
        refuse_for_lack_of_fds(port);
    if (fd < 0) /* gone again, or refused: others may wait */
        return fd != -EAGAIN;
    if (s->n_connections >= CONNECTIONS_MAX)
        listener_refuse(fd, "503 Service Unavailable", "too many connections");
    else if (!lws_adopt_socket_vhost(s->vhost, fd)) /* closes fd when it fails */
        log_debug("api: a connection could not be served");
    return true;
}

static void on_connection(struct ev_loop *loop, ev_io *w, int revents)
{
    struct port *port = container_of(w, struct port, io);

    (void)loop;
    (void)revents;
    for (int i = 0; i < ACCEPTS_PER_TURN && take_connection(port); i++)
        ;
}

static int open_ports(struct server *s, char *const *addresses, struct err *e)
{
    size_t n = 0;

    while (addresses[n])
        n++;
    s->ports = calloc(n ? n : 1, sizeof(*s->ports));
    if (!s->ports)
        return err_sys(e, -ENOMEM, "cannot start the API");
    for (; s->n_ports < n; s->n_ports++) {
        struct port *port = &s->ports[s->n_ports];
        int r = listener_open(&port->listener, addresses[s->n_ports], e);

        if (r)
            return r;
        port->server = s;
        ev_io_init(&port->io, on_connection, port->listener.fd, EV_READ);
        ev_io_start(s->api->loop, &port->io);
        log_info("api: listening on %s", addresses[s->n_ports]);
    }
    return 0;
}

static int start_lws(struct server *s, struct err *e)
{
    static const lws_retry_bo_t no_pings = {0};
    void *loops[] = {s->api->loop};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .foreign_loops = loops,
        .fd_limit_per_thread = CONNECTIONS_MAX + 8, /* also frees it from our RLIMIT_NOFILE */
        .max_http_header_data2 = HEADER_MAX,
        .retry_and_idle_policy = &no_pings,
        .gid = -1,
        .uid = -1,
        .user = s,
        .vhost_name = "cleat",
    };

    lws_set_log_level(LLL_ERR | LLL_WARN, on_lws_log);
    s->context = lws_create_context(&info);
    s->vhost = s->context ? lws_create_vhost(s->context, &info) : NULL;
    if (!s->vhost)
        return err_set(e, -EIO,
                       "libwebsockets does not start: is its libev part installed (Debian: "
                       "libwebsockets-evlib-ev)?");
    return 0;
}

int server_new(struct api *api, char *const *addresses, struct server **ret_server, struct err *e)
{
    struct server *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return err_sys(e, -ENOMEM, "cannot start the API");
    s->api = api;
    s->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    s->piece = malloc(LWS_PRE + CHUNK_HEAD + SOURCE_MIN + CHUNK_TAIL);
    r = s->piece ? start_lws(s, e) : err_sys(e, -ENOMEM, "cannot start the API");
    if (!r)
        r = open_ports(s, addresses, e);
    if (r) {
        server_free(s);
        return r;
    }
    *ret_server = s;
    return 0;
}

struct server *server_free(struct server *s)
{
    if (!s)
        return NULL;
    for (size_t i = 0; i < s->n_ports; i++) {
        ev_io_stop(s->api->loop, &s->ports[i].io);
        listener_close(&s->ports[i].listener);
    }
    if (s->context)
        lws_context_destroy(s->context); /* ends every exchange */
    close_fd(&s->reserve_fd);
    free(s->ports);
    free(s->piece);
    free(s);
    return NULL;
}
