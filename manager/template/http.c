/* SPDX-License-Identifier: MIT
 *
 * Redirects are not followed: they would carry the token to whom they name.
 */
#include "manager/template/http.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/cleanup.h"

enum {
    MAX_BODY = 8 << 20,
    CONNECT_TIMEOUT_MS = 10000,
};

static const char *option(const struct server *server, const char *name)
{
    const char *value = json_string_value(json_object_get(server->order, name));

    return value && *value ? value : NULL;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct http_reply *reply = arg;
    char *grown;

    n *= size;
    if (reply->size + n > MAX_BODY)
        return 0;
    grown = realloc(reply->body, reply->size + n + 1);
    if (!grown)
        return 0;
    reply->body = grown;
    memcpy(grown + reply->size, data, n);
    reply->size += n;
    grown[reply->size] = '\0';
    return n;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
    static const char name[] = "X-Consul-Index:";
    struct http_reply *reply = arg;
    char value[32];

    n *= size;
    if (n > sizeof(name) && strncasecmp(data, name, sizeof(name) - 1) == 0) {
        (void)snprintf(value, sizeof(value), "%.*s", (int)(n - sizeof(name) + 1),
                       data + sizeof(name) - 1);
        reply->index = strtoull(value, NULL, 10);
    }
    return n;
}

static int add_header(struct http_call *call, const char *name, const char *value)
{
    autofree char *line = NULL;
    struct curl_slist *grown;

    if (!value)
        return 0;
    if (asprintf(&line, "%s: %s", name, value) < 0)
        return -ENOMEM;
    grown = curl_slist_append(call->headers, line);
    if (!grown)
        return -ENOMEM;
    call->headers = grown;
    return 0;
}

static int add_headers(struct http_call *call)
{
    const struct server *server = call->server;
    bool vault = strcmp(server->name, "Vault") == 0;
    int r = add_header(call, vault ? "X-Vault-Token" : "X-Consul-Token", option(server, "token"));

    if (!r)
        r = add_header(call, vault ? "X-Vault-Namespace" : "X-Consul-Namespace",
                       option(server, "namespace"));
    if (!r && vault)
        r = add_header(call, "X-Vault-Request", "true");
    return r;
}

static void set_tls(struct http_call *call)
{
    const struct server *server = call->server;
    bool skip = json_is_true(json_object_get(server->order, "tls_skip_verify"));

    (void)curl_easy_setopt(call->easy, CURLOPT_SSL_VERIFYPEER, skip ? 0L : 1L);
    (void)curl_easy_setopt(call->easy, CURLOPT_SSL_VERIFYHOST, skip ? 0L : 2L);
    if (option(server, "ca_file"))
        (void)curl_easy_setopt(call->easy, CURLOPT_CAINFO, option(server, "ca_file"));
    if (option(server, "ca_path"))
        (void)curl_easy_setopt(call->easy, CURLOPT_CAPATH, option(server, "ca_path"));
    if (option(server, "cert_file"))
        (void)curl_easy_setopt(call->easy, CURLOPT_SSLCERT, option(server, "cert_file"));
    if (option(server, "key_file"))
        (void)curl_easy_setopt(call->easy, CURLOPT_SSLKEY, option(server, "key_file"));
}

/* The certificate is to have another name than the address: that one is asked for, at the address.
 */
static int set_server_name(struct http_call *call, const char *name, char **url)
{
    char *host = NULL, *port = NULL, *renamed = NULL;
    autofree char *to = NULL;
    CURLU *parts = curl_url();
    int r = -ENOMEM;

    if (parts && !curl_url_set(parts, CURLUPART_URL, *url, 0) &&
        !curl_url_get(parts, CURLUPART_HOST, &host, 0) &&
        !curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) &&
        !curl_url_set(parts, CURLUPART_HOST, name, 0) &&
        !curl_url_get(parts, CURLUPART_URL, &renamed, 0) &&
        asprintf(&to, "%s:%s:%s:%s", name, port, host, port) >= 0) {
        call->connect_to = curl_slist_append(NULL, to);
        free(*url);
        *url = strdup(renamed);
        r = call->connect_to && *url ? 0 : -ENOMEM;
    }
    curl_free(host);
    curl_free(port);
    curl_free(renamed);
    curl_url_cleanup(parts);
    if (!r)
        (void)curl_easy_setopt(call->easy, CURLOPT_CONNECT_TO, call->connect_to);
    return r;
}

int http_init(struct http_call *call, const struct server *server, const char *path,
              long timeout_ms, struct err *e)
{
    autofree char *url = NULL;

    *call = (struct http_call){.server = server};
    if (!server->order || !option(server, "address"))
        return err_set(e, -EINVAL,
                       "this node has no %s: its operator sets address and token in the "
                       "configuration's block %s { }",
                       server->name, strcmp(server->name, "Vault") == 0 ? "vault" : "consul");
    call->easy = curl_easy_init();
    if (!call->easy || asprintf(&url, "%s%s", option(server, "address"), path) < 0 ||
        add_headers(call) ||
        (option(server, "tls_server_name") &&
         set_server_name(call, option(server, "tls_server_name"), &url))) {
        http_deinit(call);
        return err_sys(e, -ENOMEM, "ask %s", server->name);
    }
    (void)curl_easy_setopt(call->easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(call->easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
    (void)curl_easy_setopt(call->easy, CURLOPT_ERRORBUFFER, call->error);
    (void)curl_easy_setopt(call->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    (void)curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    (void)curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, &call->reply);
    (void)curl_easy_setopt(call->easy, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(call->easy, CURLOPT_HEADERDATA, &call->reply);
    set_tls(call);
    return 0;
}

void http_deinit(struct http_call *call)
{
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    curl_slist_free_all(call->connect_to);
    free(call->reply.body);
    *call = (struct http_call){0};
}

int http_check(struct http_call *call, CURLcode code, struct err *e)
{
    const char *name = call->server->name;
    long status = 0;

    if (code == CURLE_WRITE_ERROR)
        return err_set(e, -EPROTO, "%s answers with more than %d bytes", name, MAX_BODY);
    if (code)
        return err_set(e, -EAGAIN, "%s at %s cannot be asked: %s", name,
                       option(call->server, "address"),
                       *call->error ? call->error : curl_easy_strerror(code));
    (void)curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    call->reply.status = status;
    if (status == 200 || status == 404)
        return 0;
    if (status == 403 || status == 401 || status == 400)
        return err_set(e, -EACCES, "%s refuses (status %ld): %.200s", name, status,
                       call->reply.body ? call->reply.body : "");
    return err_set(e, status == 429 || status >= 500 ? -EAGAIN : -EPROTO,
                   "%s answers with the status %ld: %.200s", name, status,
                   call->reply.body ? call->reply.body : "");
}

int http_run(struct http_call *call, struct err *e)
{
    return http_check(call, curl_easy_perform(call->easy), e);
}

char *http_escape(const char *path)
{
    autofree char *out = NULL;
    size_t size;
    FILE *f = open_memstream(&out, &size);

    if (!f)
        return NULL;
    for (; *path; path++) {
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~/", *path))
            (void)fputc(*path, f);
        else
            (void)fprintf(f, "%%%02X", (unsigned char)*path);
    }
    return fclose(f) ? NULL : take_ptr(out);
}
