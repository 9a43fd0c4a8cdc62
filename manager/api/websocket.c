/* SPDX-License-Identifier: MIT
 *
 * A WebSocket's exchange begins with HTTP_CONFIRM_UPGRADE, where it can still be refused in plain
 * HTTP, goes on with ESTABLISHED, RECEIVE* and SERVER_WRITEABLE, and ends with CLOSED, or before
 * ESTABLISHED with WSI_DESTROY. A message is collected in the place of the body and may be as
 * large.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager/api/exchange.h"
#include "manager/api/router.h"
#include "shared/cleanup.h"

struct exchange *websocket_find(const struct server *s, const struct lws *wsi)
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
    int rc = exchange_start_reply(x);

    memcpy(data, r->out ? r->out : "", size);
    if (!rc)
        rc = exchange_write(x, data, size, true);
    exchange_free(x);
    return rc ? rc : 1;
}

/* 0: let libwebsockets go on; 1: the client has had its reply; -1: it is cut off. */
int websocket_on_upgrade(struct server *s, struct lws *wsi, const char *protocol)
{
    autofree char *path = copy_header(wsi, WSI_TOKEN_GET_URI, -1);
    struct exchange *x = exchange_new(s, wsi, path ? path : "");
    struct request *r;
    const char *text;
    int refused;

    if (!x || !x->request.path)
        return -1;
    r = &x->request;
    refused = exchange_check(x, &text);
    if (refused)
        request_reply_text(r, refused, "%s", text);
    else if (r->method != HTTP_GET || strcasecmp(protocol, "websocket") != 0)
        request_reply_text(r, 400, "this API speaks HTTP/1.1 and WebSocket");
    else {
        r->method = HTTP_WEBSOCKET;
        exchange_find_route(x);
        if (x->route)
            x->route->handle(r);
    }
    return r->channel ? 0 : refuse_upgrade(x);
}

int websocket_on_established(struct exchange *x)
{
    if (!x || exchange_wait(x, false))
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
int websocket_on_message(struct exchange *x, const char *data, size_t size)
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

int websocket_on_writable(struct exchange *x)
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
