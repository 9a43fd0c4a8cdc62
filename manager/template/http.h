/* SPDX-License-Identifier: MIT
 *
 * GET requests to Vault and Consul, one after another or several at once.
 */
#pragma once

#include <curl/curl.h>
#include <jansson.h>
#include <stdint.h>

#include "shared/err.h"

/* How a server is spoken to, from the order; NULL: it is not configured. */
struct server {
    const char *name;    /* "Vault", for messages */
    const json_t *order; /* address, token, namespace, ca_file, … */
};

struct http_reply {
    char *body; /* NUL-terminated */
    size_t size;
    long status;
    uint64_t index; /* X-Consul-Index; 0: none */
};

struct http_call {
    CURL *easy;
    struct curl_slist *headers, *connect_to;
    const struct server *server;
    char error[CURL_ERROR_SIZE];
    struct http_reply reply;
};

/* Prepares a GET of `path`, which begins with "/v1/". `timeout_ms` is for all of it. */
int http_init(struct http_call *call, const struct server *server, const char *path,
              long timeout_ms, struct err *e);
void http_deinit(struct http_call *call);

/* After the transfer, which ended with `code`: 0 for replies of the status 200 and 404; -EAGAIN for
 * what may pass (no connection, 429, 5xx); -EACCES, -EPROTO. */
int http_check(struct http_call *call, CURLcode code, struct err *e);

/* Both of them, waited for. */
int http_run(struct http_call *call, struct err *e);

/* `path` with its parts escaped; malloc'ed, NULL: out of memory. */
char *http_escape(const char *path);
