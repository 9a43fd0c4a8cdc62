/* SPDX-License-Identifier: MIT
 *
 * Requests and replies. A request lives from its last header to the last byte of its reply; the
 * server owns it. See request.h.
 */
#include "manager/api/request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/api/context.h"
#include "shared/units.h"

enum {
    WAIT_DEFAULT_S = 300,
    WAIT_MAX_S = 600,
};

static const unsigned long long second_ns = 1000000000ull;

void request_deinit(struct request *r)
{
    if (r->source)
        r->source->free(r->source);
    r->source = NULL;
    r->channel = NULL;
    for (size_t i = 0; i < r->n_params; i++) {
        free(r->params[i].name);
        free(r->params[i].value);
    }
    r->n_params = 0;
    free(r->path);
    free(r->arg);
    free(r->body);
    free(r->out);
    free(r->next_token);
    r->path = r->arg = r->body = r->out = r->next_token = NULL;
}

const char *request_param(const struct request *r, const char *name)
{
    for (size_t i = 0; i < r->n_params; i++)
        if (!strcmp(r->params[i].name, name))
            return r->params[i].value;
    return NULL;
}

bool request_in_region(const struct request *r, const char *region)
{
    const char *ours = r->api->config->region;

    return !region || !*region || strcmp(region, "global") == 0 ||
           (ours && strcmp(region, ours) == 0);
}

bool request_param_bool(struct request *r, const char *name, bool fallback, bool *ret_value)
{
    const char *text = request_param(r, name);

    if (!text)
        *ret_value = fallback;
    else if (!*text || !strcmp(text, "true") || !strcmp(text, "1"))
        *ret_value = true;
    else if (!strcmp(text, "false") || !strcmp(text, "0"))
        *ret_value = false;
    else {
        request_reply_text(r, 400, "parameter \"%s\" must be true or false, not \"%s\"", name,
                           text);
        return false;
    }
    return true;
}

bool request_param_u64(struct request *r, const char *name, uint64_t fallback, uint64_t *ret_value)
{
    const char *text = request_param(r, name);
    char *end;

    if (!text || !*text) {
        *ret_value = fallback;
        return true;
    }
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || *end || *text < '0' || *text > '9' || value > INT64_MAX) {
        request_reply_text(r, 400, "parameter \"%s\" must be a number from 0 up, not \"%s\"", name,
                           text);
        return false;
    }
    *ret_value = value;
    return true;
}

json_t *request_json(struct request *r)
{
    json_error_t error;
    json_t *json;

    if (!r->body_size) {
        request_reply_text(r, 400, "the request has no body: send a JSON object");
        return NULL;
    }
    json = json_loadb(r->body, r->body_size, JSON_REJECT_DUPLICATES, &error);
    if (!json) {
        request_reply_text(r, 400, "the body is not JSON: line %d, column %d: %s", error.line,
                           error.column, error.text);
        return NULL;
    }
    if (!json_is_object(json)) {
        json_decref(json);
        request_reply_text(r, 400, "the body must be a JSON object");
        return NULL;
    }
    return json;
}

static void reply_bytes(struct request *r, int status, const char *content_type, char *out,
                        size_t size)
{
    free(r->out);
    r->status = status;
    r->content_type = content_type;
    r->out = out;
    r->out_size = size;
}

static size_t json_flags(const struct request *r)
{
    return JSON_ENCODE_ANY | (request_param(r, "pretty") ? JSON_INDENT(4) : JSON_COMPACT);
}

static const char content_json[] = "application/json", no_memory[] = "out of memory";

void request_reply_json(struct request *r, int status, json_t *json)
{
    char *text = json ? json_dumps(json, json_flags(r)) : NULL;

    json_decref(json);
    if (text)
        reply_bytes(r, status, content_json, text, strlen(text));
    else
        request_reply_text(r, 500, no_memory);
}

void reply_list_begin(struct reply_list *l, const struct request *r)
{
    *l = (struct reply_list){.flags = json_flags(r)};
    l->out = open_memstream(&l->text, &l->size);
    l->failed = !l->out;
}

void reply_list_add(struct reply_list *l, json_t *json)
{
    if (!l->failed)
        l->failed = fputs(l->any ? "," : "[", l->out) < 0 || json_dumpf(json, l->out, l->flags);
    l->any = true;
    json_decref(json);
}

void reply_list_end(struct reply_list *l, struct request *r)
{
    if (!l->failed)
        l->failed = fputs(l->any ? "]" : "[]", l->out) < 0;
    if (l->out && fclose(l->out))
        l->failed = true;
    if (!l->failed) {
        reply_bytes(r, 200, content_json, l->text, l->size);
        return;
    }
    free(l->text);
    request_reply_text(r, 500, no_memory);
}

void reply_list_drop(struct reply_list *l)
{
    if (l->out)
        (void)fclose(l->out);
    free(l->text);
}

void request_reply_text(struct request *r, int status, const char *fmt, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, fmt);
    int n = vasprintf(&text, fmt, args);
    va_end(args);
    if (n < 0)
        text = NULL;
    reply_bytes(r, status, "text/plain; charset=utf-8", text, text ? (size_t)n : 0);
}

static int status_of(int code)
{
    switch (code) {
    case -EINVAL:
    case -ENOTSUP:
    case -E2BIG:
    case -EXDEV:
    case -ENAMETOOLONG:
    case -EISDIR:
    case -ENOTDIR:
    case -ELOOP:
        return 400;
    case -EACCES:
    case -EPERM:
        return 403;
    case -ENOENT:
        return 404;
    case -EAGAIN:
    case -EBUSY:
    case -ESRCH:
        return 409;
    case -ENOSPC:
    case -EDQUOT:
        return 507;
    default:
        return 500;
    }
}

void request_reply_err(struct request *r, const struct err *e)
{
    request_reply_text(r, status_of(e->code), "%s", e->text);
}

void request_reply_source(struct request *r, const char *content_type, struct source *source)
{
    r->status = 200;
    r->content_type = content_type;
    r->source = source;
}

void request_reply_channel(struct request *r, struct channel *channel)
{
    r->status = 101;
    r->channel = channel;
    r->source = &channel->source;
}

void request_resume(struct request *r)
{
    r->resume(r);
}

void request_wake(struct request *r)
{
    r->wake(r);
}

/* ?wait=5m */
static bool parse_wait(struct request *r)
{
    const char *text = request_param(r, "wait");
    uint64_t ns = WAIT_DEFAULT_S * second_ns;

    if (text && *text && (duration_parse(text, &ns) || !ns)) {
        request_reply_text(r, 400, "parameter \"wait\" must be a duration such as 30s, not \"%s\"",
                           text);
        return false;
    }
    r->wait = (double)ns / (double)second_ns;
    if (r->wait > WAIT_MAX_S)
        r->wait = WAIT_MAX_S;
    return true;
}

bool request_block(struct request *r, uint64_t index)
{
    uint64_t seen;

    r->blocked = false;
    if (!request_param_u64(r, "index", 0, &seen) || !parse_wait(r))
        return true;
    r->index = index ? index : 1; /* 0 would make clients poll: to them it means "do not block" */
    r->blocked = seen && r->index <= seen && !r->timed_out;
    return r->blocked;
}
