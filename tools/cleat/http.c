/* SPDX-License-Identifier: MIT
 *
 * One libcurl transfer per call. Replies are collected, but for those of status 200 to
 * http_copy() and http_stream(), which pass them on while they arrive. SIGPIPE stays at its default
 * (CURLOPT_NOSIGNAL), so that `cleat alloc logs … | head` ends as every filter does.
 */
#include "tools/cleat/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "tools/cleat/output.h"

enum {
    REPLY_MAX = 256 << 20
}; /* a manager that sends more is none */

struct call {
    const struct cli *cli;
    CURL *curl;
    int (*sink)(void *arg, const char *data, size_t size); /* NULL: the reply is collected */
    void *sink_arg;
    int sink_error;
    bool may_lose, again; /* see http_stream() */
    char *data;
    size_t size;
    unsigned long long index;
    char message[CURL_ERROR_SIZE];
};

static int write_stdout(void *arg, const char *data, size_t size)
{
    (void)arg;
    return write_all(STDOUT_FILENO, data, size);
}

static long status_of(const struct call *call)
{
    long status = 0;

    (void)curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

static size_t on_data(char *data, size_t unit, size_t n, void *arg)
{
    struct call *call = arg;
    size_t size = unit * n;

    if (call->sink && status_of(call) == 200) {
        call->sink_error = call->sink(call->sink_arg, data, size);
        return call->sink_error ? 0 : size;
    }
    if (size > REPLY_MAX - call->size)
        return 0;
    char *grown = realloc(call->data, call->size + size + 1);
    if (!grown)
        return 0;
    memcpy(grown + call->size, data, size);
    call->data = grown;
    call->size += size;
    grown[call->size] = '\0';
    return size;
}

static size_t on_header(char *data, size_t unit, size_t n, void *arg)
{
    static const char name[] = "x-nomad-index:";
    struct call *call = arg;

    if (unit * n > sizeof(name) && !strncasecmp(data, name, sizeof(name) - 1))
        call->index = strtoull(data + sizeof(name) - 1, NULL, 10);
    return unit * n;
}

/* The address decides the transport and the first part of the URL. */
static int set_url(struct call *call, const char *path)
{
    const char *address = call->cli->address;
    autofree char *url = NULL;
    int n;

    if (!strncmp(address, "unix://", 7)) {
        (void)curl_easy_setopt(call->curl, CURLOPT_UNIX_SOCKET_PATH, address + 7);
        n = asprintf(&url, "http://localhost%s", path);
    } else if (!strncmp(address, "http://", 7)) {
        size_t size = strlen(address);

        n = asprintf(&url, "%.*s%s", (int)(address[size - 1] == '/' ? size - 1 : size), address,
                     path);
    } else
        return cli_fail(CLI_USAGE,
                        "address %s: write unix:///PATH or http://127.0.0.1:PORT (-address, "
                        "CLEAT_ADDR)",
                        address);
    if (n < 0)
        return cli_fail(CLI_FAILED, "out of memory");
    (void)curl_easy_setopt(call->curl, CURLOPT_URL, url);
    return CLI_OK;
}

static int fail_transfer(const struct call *call, CURLcode code)
{
    const char *address = call->cli->address;
    long os_errno = 0;

    if (call->sink_error == -EBADMSG)
        return cli_fail(CLI_FAILED, "%s sends what no manager does", address);
    if (call->sink_error)
        return cli_fail(CLI_FAILED, "cannot write the output: %s", strerror(-call->sink_error));
    if (call->may_lose && (call->again || code != CURLE_COULDNT_CONNECT))
        return HTTP_LOST;
    (void)curl_easy_getinfo(call->curl, CURLINFO_OS_ERRNO, &os_errno);
    if (code == CURLE_COULDNT_CONNECT)
        return cli_fail(CLI_UNREACHABLE,
                        "no manager answers at %s: %s\nIs cleat-manager running%s, and is this its "
                        "-address? Set another with -address or CLEAT_ADDR.",
                        address, os_errno ? strerror((int)os_errno) : "cannot connect",
                        geteuid() == 0 ? "" : " (it serves root and its own user)");
    return cli_fail(CLI_UNREACHABLE, "the connection to cleat-manager at %s failed: %s", address,
                    *call->message ? call->message : curl_easy_strerror(code));
}

static int fail_status(const struct call *call, long status)
{
    int code = status == 404 ? CLI_NOT_FOUND : CLI_FAILED;

    if (call->data && *call->data)
        return cli_fail(code, "%s", call->data);
    return cli_fail(code,
                    "%s answers with HTTP status %ld and no reason; is a cleat-manager there?",
                    call->cli->address, status);
}

static int perform(struct call *call, const char *method, const char *path, const char *body)
{
    struct curl_slist *headers = NULL;
    int r = set_url(call, path);

    if (r)
        return r;
    (void)curl_easy_setopt(call->curl, CURLOPT_ERRORBUFFER, call->message);
    (void)curl_easy_setopt(call->curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(call->curl, CURLOPT_NOPROXY, "*");
    (void)curl_easy_setopt(call->curl, CURLOPT_WRITEFUNCTION, on_data);
    (void)curl_easy_setopt(call->curl, CURLOPT_WRITEDATA, call);
    (void)curl_easy_setopt(call->curl, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(call->curl, CURLOPT_HEADERDATA, call);
    (void)curl_easy_setopt(call->curl, CURLOPT_CUSTOMREQUEST, method);
    if (strcmp(method, "PUT") == 0) {
        headers = curl_slist_append(headers, "Content-Type: application/json");
        headers = curl_slist_append(headers, "Expect:");
        (void)curl_easy_setopt(call->curl, CURLOPT_HTTPHEADER, headers);
        (void)curl_easy_setopt(call->curl, CURLOPT_POSTFIELDS, body ? body : "");
    }
    CURLcode code = curl_easy_perform(call->curl);
    curl_slist_free_all(headers);
    if (code != CURLE_OK)
        return fail_transfer(call, code);
    return status_of(call) == 200 ? CLI_OK : fail_status(call, status_of(call));
}

static int call_init(struct call *call, const struct cli *cli)
{
    *call = (struct call){.cli = cli, .curl = curl_easy_init()};
    return call->curl ? CLI_OK : cli_fail(CLI_FAILED, "libcurl does not start");
}

static void call_deinit(struct call *call)
{
    curl_easy_cleanup(call->curl);
    free(call->data);
}

static int parse_reply(const struct call *call, json_t **ret_json)
{
    json_error_t error;
    json_t *json = json_loadb(call->data ? call->data : "", call->size, JSON_DECODE_ANY, &error);

    if (!json)
        return cli_fail(CLI_FAILED, "the reply from %s is no JSON: %s", call->cli->address,
                        error.text);
    *ret_json = json;
    return CLI_OK;
}

static int call_json(const struct cli *cli, const char *method, const json_t *body,
                     json_t **ret_json, unsigned long long *ret_index, const char *path)
{
    autofree char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct call call;
    int r = call_init(&call, cli);

    if (r)
        return r;
    r = perform(&call, method, path, text);
    if (!r && ret_json)
        r = parse_reply(&call, ret_json);
    if (!r && ret_index)
        *ret_index = call.index;
    call_deinit(&call);
    return r;
}

/* The path from a format; sets `path` or returns from the function. */
#define FORMAT_PATH(path, fmt)                                                                     \
    autofree char *path = NULL;                                                                    \
    do {                                                                                           \
        va_list args_;                                                                             \
        va_start(args_, fmt);                                                                      \
        int n_ = vasprintf(&path, fmt, args_);                                                     \
        va_end(args_);                                                                             \
        if (n_ < 0) {                                                                              \
            path = NULL;                                                                           \
            return cli_fail(CLI_FAILED, "out of memory");                                          \
        }                                                                                          \
    } while (0)

int http_get(const struct cli *cli, json_t **ret_json, const char *fmt, ...)
{
    FORMAT_PATH(path, fmt);
    return call_json(cli, "GET", NULL, ret_json, NULL, path);
}

int http_get_index(const struct cli *cli, json_t **ret_json, unsigned long long *ret_index,
                   const char *fmt, ...)
{
    FORMAT_PATH(path, fmt);
    return call_json(cli, "GET", NULL, ret_json, ret_index, path);
}

int http_send(const struct cli *cli, const char *method, const json_t *body, json_t **ret_json,
              const char *fmt, ...)
{
    FORMAT_PATH(path, fmt);
    return call_json(cli, method, body, ret_json, NULL, path);
}

int http_copy(const struct cli *cli, const char *fmt, ...)
{
    FORMAT_PATH(path, fmt);
    struct call call;
    int r = call_init(&call, cli);

    if (r)
        return r;
    call.sink = write_stdout;
    r = perform(&call, "GET", path, NULL);
    call_deinit(&call);
    return r;
}

int http_stream(const struct cli *cli, int (*on_bytes)(void *arg, const char *data, size_t size),
                void *arg, bool may_lose, bool again, const char *path)
{
    struct call call;
    int r = call_init(&call, cli);

    if (r)
        return r;
    call.sink = on_bytes;
    call.sink_arg = arg;
    call.may_lose = may_lose;
    call.again = again;
    r = perform(&call, "GET", path, NULL);
    call_deinit(&call);
    return r;
}

char *http_escape(const char *text)
{
    char *escaped = curl_easy_escape(NULL, text, 0), *copy = escaped ? strdup(escaped) : NULL;

    curl_free(escaped);
    return copy;
}
