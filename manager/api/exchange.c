/* SPDX-License-Identifier: MIT
 *
 * libwebsockets calls back with LWS_CALLBACK_HTTP (headers), HTTP_BODY*, HTTP_BODY_COMPLETION, then
 * HTTP_WRITEABLE whenever all that was written before is on its way; CLOSED_HTTP ends an exchange
 * at any point.
 *
 * Limits: HEADER_MAX bytes of header (above it, and for %00 in the URL, libwebsockets drops the
 * connection without a word); REQUEST_BODY_MAX of body. Of a reply from a source, one piece is in
 * memory, and the next is made only when the client took that one: a client that stops reading
 * holds its connection and nothing more.
 *
 * Until a reply is complete, libwebsockets reads nothing more, and is woken without end by whatever
 * there is to read: another request, a hang-up. So while a reply waits, for something to happen or
 * for room in the socket, libwebsockets is told to look for nothing (it would not even write), and
 * we watch the client ourselves. A client that leaves, or shuts down its side, while there is
 * nothing to send to it is cut off; another request is read after the reply.
 *
 * A loopback port can be reached by web pages through the user's browser: requests over TCP that
 * carry an Origin, or a Host that is no loopback name, are refused.
 */
#include "manager/api/exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "manager/api/router.h"
#include "manager/api/server.h"
#include "shared/cleanup.h"

enum {
    /* A body that is too large is read and thrown away up to here, since many clients look at the
     * reply only after they have sent all. */
    BODY_IGNORED_MAX = 64 << 20,
};

void exchange_free(struct exchange *x)
{
    if (!x)
        return;
    ev_timer_stop(x->server->api->loop, &x->wait);
    ev_timer_stop(x->server->api->loop, &x->room);
    ev_io_stop(x->server->api->loop, &x->client);
    close_fd(&x->client.fd);
    request_deinit(&x->request);
    *x->link = x->next;
    if (x->next)
        x->next->link = x->link;
    free(x);
}

/* Outside libwebsockets' callbacks: it closes a lost connection in its next turn. */
static void cut_off_later(struct exchange *x)
{
    lws_set_timeout(x->wsi, PENDING_TIMEOUT_HTTP_CONTENT, LWS_TO_KILL_ASYNC);
}

int exchange_wait(struct exchange *x, bool for_room)
{
    struct epoll_event event = {.events = for_room ? EPOLLOUT : EPOLLRDHUP};
    bool first = x->client.fd < 0;
    int fd = first ? epoll_create1(EPOLL_CLOEXEC) : x->client.fd;

    if (first && fd >= 0)
        ev_io_set(&x->client, fd, EV_READ);
    if (fd < 0 ||
        epoll_ctl(fd, first ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, lws_get_socket_fd(x->wsi), &event) < 0)
        return -1;
    ev_io_start(x->server->api->loop, &x->client);
    if (!x->request.channel)
        (void)lws_rx_flow_control(x->wsi, 0);
    return 0;
}

/* The wait is over: libwebsockets looks at the connection again. */
static void go_on(struct exchange *x)
{
    if (!x->request.channel) {
        ev_io_stop(x->server->api->loop, &x->client);
        (void)lws_rx_flow_control(x->wsi, 1);
    }
    lws_callback_on_writable(x->wsi);
}

static void on_wake(struct request *r)
{
    go_on(r->conn);
}

/* libwebsockets may have filled the room with what it had kept back, without calling us. */
static void on_room_used(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct exchange *x = container_of(w, struct exchange, room);

    (void)revents;
    if (!lws_send_pipe_choked(x->wsi))
        ev_timer_start(loop, w);
    else if (exchange_wait(x, true))
        cut_off_later(x);
}

static void on_client(struct ev_loop *loop, ev_io *w, int revents)
{
    struct exchange *x = container_of(w, struct exchange, client);
    struct epoll_event event = {0};

    (void)revents;
    if (epoll_wait(w->fd, &event, 1, 0) != 1)
        return;
    ev_io_stop(loop, w);
    if (event.events & EPOLLOUT) {
        go_on(x);
        ev_timer_start(loop, &x->room);
    } else /* at once, since libwebsockets may not run again by itself; frees x */
        lws_set_timeout(x->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
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

/* Nomad's clients want the first three on answers to queries. */
static int add_index(struct exchange *x, unsigned char **at, unsigned char *end)
{
    char text[24];

    if (!x->request.index)
        return 0;
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)x->request.index);
    return add_header(x, "x-nomad-index:", text, at, end) ||
           add_header(x, "x-nomad-knownleader:", "true", at, end) ||
           add_header(x, "x-nomad-lastcontact:", "0", at, end) ||
           (x->request.next_token &&
            add_header(x, "x-nomad-nexttoken:", x->request.next_token, at, end));
}

/* Sends the head of the reply. -1: the connection is lost. */
int exchange_start_reply(struct exchange *x)
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
    go_on(x);
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
        return exchange_wait(x, false);
    }
    ev_timer_stop(x->server->api->loop, &x->wait);
    return exchange_start_reply(x);
}

static void rerun_handler(struct exchange *x)
{
    if (run_handler(x))
        cut_off_later(x);
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

void exchange_find_route(struct exchange *x)
{
    const char *region = request_param(&x->request, "region");

    if (request_in_region(&x->request, region))
        x->route = router_find(api_routes, api_n_routes, &x->request);
    else
        request_reply_text(&x->request, 500, "No path to region: this host is not in \"%s\"",
                           region);
}

static int dispatch(struct exchange *x)
{
    exchange_find_route(x);
    return x->route ? run_handler(x) : exchange_start_reply(x);
}

static int reply_and_close(struct exchange *x, int status, const char *text)
{
    x->close_after = true; /* a body may be on its way that nobody will read */
    request_reply_text(&x->request, status, "%s", text);
    return exchange_start_reply(x);
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
char *copy_header(struct lws *wsi, enum lws_token_indexes token, int fragment)
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

struct exchange *exchange_new(struct server *s, struct lws *wsi, const char *path)
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
    ev_io_init(&x->client, on_client, -1, EV_READ);
    ev_timer_init(&x->room, on_room_used, 0., 0.);
    ev_set_priority(&x->room, EV_MINPRI); /* after libwebsockets had its turn */
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

int exchange_on_body_complete(struct exchange *x)
{
    if (!x || x->replying)
        return 0;
    return x->request.body ? dispatch(x) : reply_and_close(x, 413, too_large);
}

/* What every request must fulfil, and takes in the parameters. 0, or the status of a refusal. */
int exchange_check(struct exchange *x, const char **ret_text)
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

int exchange_on_headers(struct server *s, struct lws *wsi, struct session *session,
                        const char *path)
{
    struct exchange *x;
    autofree char *length = copy_header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, -1);
    autofree char *encoding = copy_header(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING, -1);

    exchange_free(session->exchange);
    session->exchange = x = exchange_new(s, wsi, path);
    if (!x || !x->request.path)
        return -1;
    const char *text;
    int refused = exchange_check(x, &text);
    if (refused)
        return reply_and_close(x, refused, text);
    if (encoding)
        return reply_and_close(x, 411, "send the body with a Content-Length");
    return expect_body(x, length);
}

int exchange_on_body(struct exchange *x, const char *data, size_t size)
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

int exchange_write(struct exchange *x, unsigned char *data, size_t size, bool last)
{
    int n = lws_write(x->wsi, data, size, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP);

    return n < (int)size ? -1 : 0;
}

/* After a piece: asks to be called for the next one. */
static int send_more(struct exchange *x)
{
    if (lws_send_pipe_choked(x->wsi))
        return exchange_wait(x, true);
    lws_callback_on_writable(x->wsi);
    return 0;
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
    if (size && exchange_write(x, data, size, size == left))
        return -1;
    return size == left ? finish(session) : send_more(x);
}

/* Writes `size` bytes at `data` as one chunk, using the room around them. */
static int write_chunk(struct exchange *x, unsigned char *data, size_t size)
{
    char head[CHUNK_HEAD + 1];
    int head_size = snprintf(head, sizeof(head), "%zx\r\n", size);

    memcpy(data - head_size, head, (size_t)head_size);
    memcpy(data + size, "\r\n", CHUNK_TAIL);
    return exchange_write(x, data - head_size, (size_t)head_size + size + CHUNK_TAIL, false);
}

/* Next piece of a reply from a source. */
static int write_source(struct session *session)
{
    static const char end_of_chunks[] = "0\r\n\r\n";
    struct exchange *x = session->exchange;
    unsigned char *data = x->server->piece + LWS_PRE + CHUNK_HEAD;
    ssize_t n = x->request.source->read(x->request.source, (char *)data, SOURCE_MIN);

    if (n == -EAGAIN)
        return exchange_wait(x, false);
    if (n == -EINPROGRESS)
        return send_more(x);
    if (n < 0)
        return -1;
    if (n == 0) {
        if (x->chunked) {
            memcpy(data, end_of_chunks, sizeof(end_of_chunks) - 1);
            if (exchange_write(x, data, sizeof(end_of_chunks) - 1, true))
                return -1;
        }
        return finish(session);
    }
    if (x->chunked ? write_chunk(x, data, (size_t)n) : exchange_write(x, data, (size_t)n, false))
        return -1;
    return send_more(x);
}

int exchange_on_writable(struct session *session)
{
    struct exchange *x = session->exchange;

    if (!x || !x->replying)
        return 0;
    ev_timer_stop(x->server->api->loop, &x->room);
    return x->request.source ? write_source(session) : write_memory(session);
}
