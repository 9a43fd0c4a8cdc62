/* SPDX-License-Identifier: MIT
 *
 * One HTTP request and its reply, without the network: the server fills in the request, a route's
 * handler fills in the reply, the server sends it. So handlers and their tests know no
 * libwebsockets.
 *
 * A handler ends with a reply (request_reply_…(), reply_list_end()), or with `blocked` set, to be
 * called again later; that of a WebSocket with a channel, or with a reply that refuses it.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "shared/err.h"

struct api;
struct request;

enum http_method {
    HTTP_GET,
    HTTP_PUT /* or POST */,
    HTTP_DELETE,
    HTTP_WEBSOCKET, /* a GET that asks for one */
    HTTP_OTHER,
    HTTP_ANY /* in a route: every method */
};

/* A reply body that is produced while it is sent. Embedded at the start of its owner. */
struct source {
    /* Up to `size` (>= SOURCE_MIN) bytes into `buf`. 0: the end. -EAGAIN: nothing now, the source
     * calls request_wake() when there is. -EINPROGRESS: it needs another turn of the loop to find
     * some. Another negative errno: the reply is cut off visibly. */
    ssize_t (*read)(struct source *source, char *buf, size_t size);
    void (*free)(struct source *source);
};

/* Our end of a WebSocket. Embedded at the start of its owner. */
struct channel {
    struct source source; /* first; each read() gives one message, and the end closes the socket */
    /* A whole message came. -EAGAIN: it is taken, and the next one has to wait for
     * request_resume(). Another negative errno: the client is cut off. */
    int (*receive)(struct channel *channel, const char *data, size_t size);
};

enum {
    SOURCE_MIN = 96 << 10, /* room for one frame of 64 KiB in base64 */
    REQUEST_BODY_MAX = 1 << 20,
    REQUEST_PARAMS_MAX = 16,
};

struct request_param {
    char *name;
    char *value;
};

struct request {
    struct api *api;
    enum http_method method;
    char *path; /* decoded */
    char *arg;  /* what stands for ":id" in the route, or NULL */
    struct request_param params[REQUEST_PARAMS_MAX];
    size_t n_params;
    char *body; /* NUL-terminated behind its body_size bytes; NULL: none */
    size_t body_size;

    bool timed_out; /* a blocking query whose wait is over: answer with what there is */
    bool blocked;   /* set by the handler: call it again after a change */
    bool again;     /* this is not the handler's first call */
    double wait;    /* seconds a blocked request waits at most; 0: without end */

    int status; /* of the reply; 0 while there is none */
    const char *content_type;
    uint64_t index;   /* X-Nomad-Index; 0: no such header */
    char *next_token; /* X-Nomad-NextToken, or NULL */
    char *out;        /* reply body, unless there is a source */
    size_t out_size;
    struct source *source;
    struct channel *channel; /* its source is `source` then */

    void (*wake)(struct request *r); /* set by the server */
    void (*resume)(struct request *r);
    void *conn; /* the server's */
};

/* Frees what `r` holds, not `r` itself. */
void request_deinit(struct request *r);

/* NULL when the parameter is absent. */
const char *request_param(const struct request *r, const char *name);

/* Whether `region`, which may be NULL, is this host's; "global", the default of jobs, is any. */
bool request_in_region(const struct request *r, const char *region);

/* Typed parameters. Absent: `fallback`. Malformed: replies 400 and returns false. */
bool request_param_bool(struct request *r, const char *name, bool fallback, bool *ret_value);
bool request_param_u64(struct request *r, const char *name, uint64_t fallback, uint64_t *ret_value);

/* The body as a JSON object, or NULL after a reply of 400 that says where it is wrong. The caller
 * owns the reference. */
json_t *request_json(struct request *r);

/* Takes over `json`. NULL (out of memory while it was built) becomes a 500. */
void request_reply_json(struct request *r, int status, json_t *json);

/* A reply that is a list, written entry by entry: text is a tenth of what objects are. */
struct reply_list {
    FILE *out;
    char *text;
    size_t size, flags;
    bool any, failed;
};

void reply_list_begin(struct reply_list *l, const struct request *r);
void reply_list_add(struct reply_list *l, json_t *json);      /* takes over `json` */
void reply_list_end(struct reply_list *l, struct request *r); /* the reply of `r` */
void reply_list_drop(struct reply_list *l);                   /* instead: there is none */

/* A plain-text body, as Nomad's errors have. */
void request_reply_text(struct request *r, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The status that fits e->code, and e->text. */
void request_reply_err(struct request *r, const struct err *e);

/* Takes over `source`. */
void request_reply_source(struct request *r, const char *content_type, struct source *source);

/* Takes over `channel`. */
void request_reply_channel(struct request *r, struct channel *channel);

/* The request's channel takes messages again. */
void request_resume(struct request *r);

/* More can be read from the request's source. */
void request_wake(struct request *r);

/* Blocking queries (?index=N&wait=5m): true when `index`, the newest of what is asked for, is not
 * above N yet: it is blocked, and the handler returns at once. Sets X-Nomad-Index. Also true after
 * a malformed index or wait was answered with 400. */
bool request_block(struct request *r, uint64_t index);
