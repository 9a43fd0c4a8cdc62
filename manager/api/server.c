/* SPDX-License-Identifier: MIT
 *
 * libwebsockets does the HTTP of connections that we accept (listen.h), on the manager's own loop.
 * This file is the only one that knows it.
 *
 * One struct exchange per request, from the last header to the last byte of the reply; kept in a
 * list, so that blocked requests are found after a change. libwebsockets calls back with
 * LWS_CALLBACK_HTTP (headers), HTTP_BODY*, HTTP_BODY_COMPLETION, then HTTP_WRITEABLE whenever all
 * that was written before is on its way; CLOSED_HTTP ends an exchange at any point. A WebSocket's
 * begins with HTTP_CONFIRM_UPGRADE, where it can still be refused in plain HTTP, goes on with
 * ESTABLISHED, RECEIVE* and SERVER_WRITEABLE, and ends with CLOSED, or before ESTABLISHED with
 * WSI_DESTROY.
 *
 * Limits: CONNECTIONS_MAX connections; HEADER_MAX bytes of header (above it, and for %00 in the
 * URL, libwebsockets drops the connection without a word); REQUEST_BODY_MAX of body, and of a
 * message. Of a reply from a source, one piece is in memory, and the next is made only when the
 * client took that one: a client that stops reading holds its connection and nothing more.
 *
 * While a reply waits for something to happen, libwebsockets reads nothing, and is woken without
 * end by whatever there is to read, a hang-up too. So then we watch the client ourselves, and end
 * the connection when it leaves, shuts down its side, or sends more before it had its answer.
 *
 * A loopback port can be reached by web pages through the user's browser: requests over TCP that
 * carry an Origin, or a Host that is no loopback name, are refused.
 */
#include "manager/api/server.h"

#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "manager/api/listen.h"
#include "manager/api/request.h"
#include "manager/api/router.h"
#include "shared/cleanup.h"
#include "shared/log.h"

enum {
    CONNECTIONS_MAX = 256,
    ACCEPTS_PER_TURN = 16,
    HEADER_MAX = 16 << 10,
    CHUNK_HEAD = 16, /* room for the length line in front of a chunk */
    CHUNK_TAIL = 2,
    PIECE_MAX = 64 << 10,
    /* A body that is too large is read and thrown away up to here, since many clients look at the
     * reply only after they have sent all. */
    BODY_IGNORED_MAX = 64 << 20,
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
    bool chunked; /* if there is a source; HTTP/1.0 clients read it to the end of the connection */
    ev_io hangup; /* of the client, see watch_client() */
    struct exchange *next, **link;
};

/* What libwebsockets keeps per connection for us. */
struct session {
    struct exchange *exchange;
};

struct port {
    struct listener listener;
    ev_io io;
    struct server *server;
};

struct server {
    struct api *api;
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct port *ports;
    size_t n_ports;
    size_t n_connections;
    int reserve_fd; /* given up for a moment to refuse a client when descriptors run out */
    struct exchange *exchanges;
    unsigned char *piece; /* LWS_PRE + CHUNK_HEAD + SOURCE_MIN + CHUNK_TAIL */
};

static void exchange_free(struct exchange *x)
{
    if (!x)
        return;
    ev_timer_stop(x->server->api->loop, &x->wait);
    ev_io_stop(x->server->api->loop, &x->hangup);
    close_fd(&x->hangup.fd);
    request_deinit(&x->request);
    *x->link = x->next;
    if (x->next)
        x->next->link = x->link;
    free(x);
}

static void on_wake(struct request *r)
{
    struct exchange *x = r->conn;

    lws_callback_on_writable(x->wsi);
}

static void on_resume(struct request *r)
{
    struct exchange *x = r->conn;

    (void)lws_rx_flow_control(x->wsi, 1);
}

static int add_header(struct exchange *x, const char *name, const char *value, unsigned char **at,
                      unsigned char *end)
{
    return lws_add_http_header_by_name(x->wsi, (const unsigned char *)name,
                                       (const unsigned char *)value, (int)strlen(value), at, end);
}

/* Nomad's clients want all three on answers to queries. */
static int add_index(struct exchange *x, unsigned char **at, unsigned char *end)
{
    char text[24];

    if (!x->request.index)
        return 0;
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)x->request.index);
    return add_header(x, "x-nomad-index:", text, at, end) ||
           add_header(x, "x-nomad-knownleader:", "true", at, end) ||
           add_header(x, "x-nomad-lastcontact:", "0", at, end);
}

/* Sends the head of the reply. -1: the connection is lost. */
static int start_reply(struct exchange *x)
{
    unsigned char buf[LWS_PRE + 1024], *start = buf + LWS_PRE, *at = start;
    unsigned char *end = buf + sizeof(buf) - 1;
    struct request *r = &x->request;

    x->replying = true;
    x->close_after = x->close_after || (r->source && !x->chunked);
    lws_set_timeout(x->wsi, NO_PENDING_TIMEOUT, 0);
    if (lws_add_http_header_status(x->wsi, (unsigned int)r->status | LWSAHH_FLAG_NO_SERVER_NAME,
                                   &at, end) ||
        add_header(x, "content-type:", r->content_type, &at, end) ||
        add_header(x, "x-content-type-options:", "nosniff", &at, end) || add_index(x, &at, end))
        return -1;
    if (r->source ? x->chunked && add_header(x, "transfer-encoding:", "chunked", &at, end)
                  : lws_add_http_header_content_length(x->wsi, r->out_size, &at, end))
        return -1;
    if (x->close_after && add_header(x, "connection:", "close", &at, end))
        return -1;
    if (lws_finalize_write_http_header(x->wsi, start, &at, end))
        return -1;
    lws_callback_on_writable(x->wsi);
    return 0;
}

/* From now to the end of the exchange. libwebsockets watches for input or nothing: a client whose
 * input has to wait could leave unnoticed. Input while an HTTP reply is pending is the start of
 * another request, which nobody would take. -1: the connection is lost. */
static int watch_client(struct exchange *x)
{
    struct epoll_event event = {.events = EPOLLRDHUP | (x->request.channel ? 0 : EPOLLIN)};

    if (x->hangup.fd >= 0)
        return 0;
    x->hangup.fd = epoll_create1(EPOLL_CLOEXEC);
    if (x->hangup.fd < 0 ||
        epoll_ctl(x->hangup.fd, EPOLL_CTL_ADD, lws_get_socket_fd(x->wsi), &event) < 0)
        return -1;
    ev_io_set(&x->hangup, x->hangup.fd, EV_READ);
    ev_io_start(x->server->api->loop, &x->hangup);
    return 0;
}

static void on_wait_over(struct ev_loop *loop, ev_timer *w, int revents);

/* Runs the handler; a blocked request stays where it is until a change or the end of its wait. */
static int run_handler(struct exchange *x)
{
    struct request *r = &x->request;

    r->blocked = false;
    x->route->handle(r);
    r->again = true;
    if (r->blocked) {
        if (r->wait > 0 && !ev_is_active(&x->wait)) {
            ev_timer_init(&x->wait, on_wait_over, r->wait, 0.);
            ev_timer_start(x->server->api->loop, &x->wait);
        }
        lws_set_timeout(x->wsi, NO_PENDING_TIMEOUT, 0);
        return watch_client(x);
    }
    ev_timer_stop(x->server->api->loop, &x->wait);
    return start_reply(x);
}

/* For handlers run outside libwebsockets' callbacks: a lost connection is closed by it later. */
static void rerun_handler(struct exchange *x)
{
    if (run_handler(x))
        lws_set_timeout(x->wsi, PENDING_TIMEOUT_HTTP_CONTENT, LWS_TO_KILL_ASYNC);
}

static void on_wait_over(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct exchange *x = container_of(w, struct exchange, wait);

    (void)loop;
    (void)revents;
    x->request.timed_out = true;
    rerun_handler(x);
}

void server_retry_blocked(struct server *s)
{
    for (struct exchange *x = s->exchanges; x; x = x->next)
        if (x->request.blocked)
            rerun_handler(x);
}

static int dispatch(struct exchange *x)
{
    x->route = router_find(api_routes, api_n_routes, &x->request);
    return x->route ? run_handler(x) : start_reply(x);
}

static int reply_and_close(struct exchange *x, int status, const char *text)
{
    x->close_after = true; /* a body may be on its way that nobody will read */
    request_reply_text(&x->request, status, "%s", text);
    return start_reply(x);
}

static enum http_method method_of(int lws_method)
{
    switch (lws_method) {
    case LWSHUMETH_GET:
        return HTTP_GET;
    case LWSHUMETH_POST:
    case LWSHUMETH_PUT:
        return HTTP_PUT;
    case LWSHUMETH_DELETE:
        return HTTP_DELETE;
    default:
        return HTTP_OTHER;
    }
}

/* Copies header `token` (or one fragment of it, from 0), NULL when it is absent. The caller frees.
 * A NUL in it ends it. */
static char *copy_header(struct lws *wsi, enum lws_token_indexes token, int fragment)
{
    int size = fragment < 0 ? lws_hdr_total_length(wsi, token)
                            : lws_hdr_fragment_length(wsi, token, fragment);
    char *text = size > 0 ? malloc((size_t)size + 1) : NULL;

    if (text && (fragment < 0 ? lws_hdr_copy(wsi, text, size + 1, token)
                              : lws_hdr_copy_fragment(wsi, text, size + 1, token, fragment)) < 0) {
        free(text);
        text = NULL;
    }
    return text;
}

/* What is wrong with the parameters, or NULL. */
static const char *read_params(struct exchange *x)
{
    struct request *r = &x->request;
    char *text;

    for (int i = 0; (text = copy_header(x->wsi, WSI_TOKEN_HTTP_URI_ARGS, i)); i++) {
        int size = lws_hdr_fragment_length(x->wsi, WSI_TOKEN_HTTP_URI_ARGS, i);
        char *value = strchr(text, '=');

        if (r->n_params == REQUEST_PARAMS_MAX || strlen(text) < (size_t)size) {
            free(text);
            return r->n_params == REQUEST_PARAMS_MAX ? "too many parameters"
                                                     : "a parameter contains a NUL";
        }
        r->params[r->n_params++] =
            (struct request_param){.name = text, .value = strdup(value ? value + 1 : "")};
        if (value)
            *value = '\0';
    }
    return NULL;
}

static bool host_is_loopback(const char *host)
{
    return !strncmp(host, "127.", 4) || !strncmp(host, "[::1]", 5) ||
           (!strncmp(host, "localhost", 9) && (!host[9] || host[9] == ':'));
}

static bool from_web_page(struct lws *wsi)
{
    autofree char *host = copy_header(wsi, WSI_TOKEN_HOST, -1);
    int domain = AF_UNIX;
    socklen_t size = sizeof(domain);

    (void)getsockopt(lws_get_socket_fd(wsi), SOL_SOCKET, SO_DOMAIN, &domain, &size);
    return domain != AF_UNIX &&
           (lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) > 0 || (host && !host_is_loopback(host)));
}

static bool speaks_http11(struct lws *wsi)
{
    autofree char *version = copy_header(wsi, WSI_TOKEN_HTTP, -1);

    return version && !strcmp(version, "HTTP/1.1");
}

static void on_hangup(struct ev_loop *loop, ev_io *w, int revents)
{
    struct exchange *x = container_of(w, struct exchange, hangup);

    (void)revents;
    ev_io_stop(loop, w);
    /* At once, since libwebsockets may not run again by itself; frees x. */
    lws_set_timeout(x->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
}

static struct exchange *exchange_new(struct server *s, struct lws *wsi, const char *path)
{
    struct exchange *x = calloc(1, sizeof(*x));
    char *uri;
    int uri_size;

    if (!x)
        return NULL;
    x->server = s;
    x->wsi = wsi;
    x->request.api = s->api;
    x->request.conn = x;
    x->request.wake = on_wake;
    x->request.resume = on_resume;
    x->request.method = method_of(lws_http_get_uri_and_method(wsi, &uri, &uri_size));
    x->request.path = strdup(path);
    x->chunked = speaks_http11(wsi);
    ev_init(&x->wait, on_wait_over);
    ev_io_init(&x->hangup, on_hangup, -1, EV_READ);
    x->next = s->exchanges;
    x->link = &s->exchanges;
    if (x->next)
        x->next->link = &x->next;
    s->exchanges = x;
    return x;
}

static const char too_large[] = "the body is larger than 1 MiB";

/* Acts on the Content-Length, if there is one. */
static int expect_body(struct exchange *x, const char *length)
{
    char *end = NULL;
    unsigned long long size = length ? strtoull(length, &end, 10) : 0;

    if (length && (*end || *length == '-'))
        return reply_and_close(x, 400, "Content-Length is no number");
    if (size > BODY_IGNORED_MAX)
        return reply_and_close(x, 413, too_large);
    if (!size) {
        /* Without a length libwebsockets waits for a body after PUT and POST. */
        x->close_after = !length && x->request.method == HTTP_PUT;
        return dispatch(x);
    }
    x->body_expected = size;
    if (size <= REQUEST_BODY_MAX && !(x->request.body = malloc(size + 1)))
        return -1;
    return 0;
}

static int on_body_complete(struct exchange *x)
{
    if (!x || x->replying)
        return 0;
    return x->request.body ? dispatch(x) : reply_and_close(x, 413, too_large);
}

/* What every request must fulfil, and takes in the parameters. 0, or the status of a refusal. */
static int check_request(struct exchange *x, const char **ret_text)
{
    *ret_text = "Invalid method";
    if (x->request.method == HTTP_OTHER)
        return 405;
    *ret_text = "requests from web pages, or for another host, are refused";
    if (from_web_page(x->wsi))
        return 403;
    *ret_text = read_params(x);
    return *ret_text ? 400 : 0;
}

static int on_headers(struct server *s, struct lws *wsi, struct session *session, const char *path)
{
    struct exchange *x;
    autofree char *length = copy_header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, -1);
    autofree char *encoding = copy_header(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING, -1);

    exchange_free(session->exchange);
    session->exchange = x = exchange_new(s, wsi, path);
    if (!x || !x->request.path)
        return -1;
    const char *text;
    int refused = check_request(x, &text);
    if (refused)
        return reply_and_close(x, refused, text);
    if (encoding)
        return reply_and_close(x, 411, "send the body with a Content-Length");
    return expect_body(x, length);
}

static int on_body(struct exchange *x, const char *data, size_t size)
{
    struct request *r = &x->request;

    if (x->replying || !r->body) /* refused, or to be */
        return 0;
    if (size > x->body_expected - r->body_size)
        return -1;
    memcpy(r->body + r->body_size, data, size);
    r->body_size += size;
    r->body[r->body_size] = '\0';
    return 0;
}

static int finish(struct session *session)
{
    struct exchange *x = session->exchange;
    struct lws *wsi = x->wsi;
    bool close_after = x->close_after;

    exchange_free(x);
    session->exchange = NULL;
    return close_after || lws_http_transaction_completed(wsi) ? -1 : 0;
}

static int write_bytes(struct exchange *x, unsigned char *data, size_t size, bool last)
{
    int n = lws_write(x->wsi, data, size, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP);

    return n < (int)size ? -1 : 0;
}

/* Next piece of a reply that is in memory. */
static int write_memory(struct session *session)
{
    struct exchange *x = session->exchange;
    struct request *r = &x->request;
    unsigned char *data = x->server->piece + LWS_PRE;
    size_t left = r->out_size - x->sent, size = left < PIECE_MAX ? left : PIECE_MAX;

    memcpy(data, r->out + x->sent, size);
    x->sent += size;
    if (size && write_bytes(x, data, size, size == left))
        return -1;
    if (size == left)
        return finish(session);
    lws_callback_on_writable(x->wsi);
    return 0;
}

/* Writes `size` bytes at `data` as one chunk, using the room around them. */
static int write_chunk(struct exchange *x, unsigned char *data, size_t size)
{
    char head[CHUNK_HEAD + 1];
    int head_size = snprintf(head, sizeof(head), "%zx\r\n", size);

    memcpy(data - head_size, head, (size_t)head_size);
    memcpy(data + size, "\r\n", CHUNK_TAIL);
    return write_bytes(x, data - head_size, (size_t)head_size + size + CHUNK_TAIL, false);
}

/* Next piece of a reply from a source. */
static int write_source(struct session *session)
{
    static const char end_of_chunks[] = "0\r\n\r\n";
    struct exchange *x = session->exchange;
    unsigned char *data = x->server->piece + LWS_PRE + CHUNK_HEAD;
    ssize_t n = x->request.source->read(x->request.source, (char *)data, SOURCE_MIN);

    if (n == -EAGAIN)
        return watch_client(x);
    if (n < 0)
        return -1;
    if (n == 0) {
        if (x->chunked) {
            memcpy(data, end_of_chunks, sizeof(end_of_chunks) - 1);
            if (write_bytes(x, data, sizeof(end_of_chunks) - 1, true))
                return -1;
        }
        return finish(session);
    }
    if (x->chunked ? write_chunk(x, data, (size_t)n) : write_bytes(x, data, (size_t)n, false))
        return -1;
    lws_callback_on_writable(x->wsi);
    return 0;
}

static int on_writable(struct session *session)
{
    struct exchange *x = session->exchange;

    if (!x || !x->replying)
        return 0;
    return x->request.source ? write_source(session) : write_memory(session);
}

/* WebSockets */

static struct exchange *find_exchange(const struct server *s, const struct lws *wsi)
{
    struct exchange *x = s->exchanges;

    while (x && x->wsi != wsi)
        x = x->next;
    return x;
}

/* Sends a short reply whole, since no callback to write in will come. */
static int refuse_upgrade(struct exchange *x)
{
    struct request *r = &x->request;
    unsigned char *data = x->server->piece + LWS_PRE;
    size_t size = r->out_size < PIECE_MAX ? r->out_size : PIECE_MAX;
    int rc = start_reply(x);

    memcpy(data, r->out ? r->out : "", size);
    if (!rc)
        rc = write_bytes(x, data, size, true);
    exchange_free(x);
    return rc ? rc : 1;
}

/* 0: let libwebsockets go on; 1: the client has had its reply; -1: it is cut off. */
static int on_upgrade(struct server *s, struct lws *wsi, const char *protocol)
{
    autofree char *path = copy_header(wsi, WSI_TOKEN_GET_URI, -1);
    struct exchange *x = exchange_new(s, wsi, path ? path : "");
    struct request *r;
    const char *text;
    int refused;

    if (!x || !x->request.path)
        return -1;
    r = &x->request;
    refused = check_request(x, &text);
    if (refused)
        request_reply_text(r, refused, "%s", text);
    else if (r->method != HTTP_GET || strcasecmp(protocol, "websocket") != 0)
        request_reply_text(r, 400, "this API speaks HTTP/1.1 and WebSocket");
    else {
        r->method = HTTP_WEBSOCKET;
        x->route = router_find(api_routes, api_n_routes, r);
        if (x->route)
            x->route->handle(r);
    }
    return r->channel ? 0 : refuse_upgrade(x);
}

static int on_established(struct exchange *x)
{
    if (!x || watch_client(x))
        return -1;
    lws_callback_on_writable(x->wsi);
    return 0;
}

static int cut_off(struct exchange *x, enum lws_close_status status)
{
    lws_close_reason(x->wsi, status, NULL, 0);
    return -1;
}

/* Collects a message in the place of the body. */
static int on_message(struct exchange *x, const char *data, size_t size)
{
    struct request *r = &x->request;
    char *grown;
    int rc;

    if (size > REQUEST_BODY_MAX - r->body_size)
        return cut_off(x, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE);
    grown = realloc(r->body, r->body_size + size + 1);
    if (!grown)
        return -1;
    r->body = grown;
    memcpy(r->body + r->body_size, data, size);
    r->body_size += size;
    if (!lws_is_final_fragment(x->wsi))
        return 0;
    rc = r->channel->receive(r->channel, r->body, r->body_size);
    free(take_ptr(r->body));
    r->body_size = 0;
    if (rc == -EAGAIN)
        (void)lws_rx_flow_control(x->wsi, 0);
    else if (rc)
        return cut_off(x, LWS_CLOSE_STATUS_INVALID_PAYLOAD);
    return 0;
}

static int write_message(struct exchange *x)
{
    unsigned char *data = x->server->piece + LWS_PRE;
    ssize_t n = x->request.source->read(x->request.source, (char *)data, SOURCE_MIN);

    if (n == -EAGAIN)
        return 0;
    if (n <= 0)
        return cut_off(x, n ? LWS_CLOSE_STATUS_UNEXPECTED_CONDITION : LWS_CLOSE_STATUS_NORMAL);
    if (lws_write(x->wsi, data, (size_t)n, LWS_WRITE_TEXT) < n)
        return -1;
    lws_callback_on_writable(x->wsi);
    return 0;
}

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
        exchange_free(find_exchange(s, wsi)); /* of a WebSocket that did not come about */
        return 0;
    case LWS_CALLBACK_HTTP:
        return on_headers(s, wsi, session, in);
    case LWS_CALLBACK_HTTP_BODY:
        return session->exchange ? on_body(session->exchange, in, len) : 0;
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return on_body_complete(session->exchange);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return on_writable(session);
    case LWS_CALLBACK_CLOSED_HTTP:
        if (session) {
            exchange_free(session->exchange);
            session->exchange = NULL;
        }
        return 0;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return on_upgrade(s, wsi, in);
    case LWS_CALLBACK_ESTABLISHED:
        session->exchange = find_exchange(s, wsi);
        return on_established(session->exchange);
    case LWS_CALLBACK_RECEIVE:
        return on_message(session->exchange, in, len);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return write_message(session->exchange);
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
