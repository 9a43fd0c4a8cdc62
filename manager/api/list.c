/* SPDX-License-Identifier: MIT
 *
 * A page begins with the entry whose ID is the token, which the page before told of. Should that
 * one be gone meanwhile, nothing tells where to go on: the client is told to begin again.
 */
#include "manager/api/list.h"

#include <errno.h>
#include <string.h>

#include "shared/cleanup.h"

static const char *param(const struct request *r, const char *name)
{
    const char *text = request_param(r, name);

    return text && *text ? text : NULL;
}

static const char *wanted_namespace(const struct request *r)
{
    const char *name = param(r, "namespace");

    return name && strcmp(name, "*") != 0 ? name : NULL;
}

bool request_in_namespace(const struct request *r, const char *namespace_)
{
    const char *wanted = wanted_namespace(r);

    return !wanted || strcmp(wanted, namespace_) == 0;
}

bool list_begin(struct list *l, struct request *r)
{
    const char *filter = param(r, "filter");
    struct err e = ERR_INIT;
    bool reverse;

    *l = (struct list){.r = r,
                       .prefix = param(r, "prefix"),
                       .namespace_ = wanted_namespace(r),
                       .from = param(r, "next_token")};
    if (!request_param_bool(r, "reverse", false, &reverse) ||
        !request_param_u64(r, "per_page", 0, &l->per_page))
        return false;
    if (filter && filter_parse(filter, &l->filter, &e)) {
        request_reply_err(r, &e);
        return false;
    }
    l->held = reverse ? json_array() : NULL;
    reply_list_begin(&l->out, r);
    return true;
}

bool list_wants(const struct list *l, const char *id, const char *namespace_)
{
    if (l->namespace_ && namespace_ && strcmp(l->namespace_, namespace_) != 0)
        return false;
    return !l->prefix || strncmp(id, l->prefix, strlen(l->prefix)) == 0;
}

static bool passes(struct list *l, const json_t *whole)
{
    struct err e = ERR_INIT;
    int r = l->filter && !l->failed ? filter_match(l->filter, whole, &e) : 1;

    if (r < 0) {
        l->failed = true;
        request_reply_err(l->r, &e);
    }
    return r > 0;
}

/* Onto the page, if it is on it. */
static void put(struct list *l, json_t *entry)
{
    const char *id = json_string_value(json_object_get(entry, "ID"));

    if (l->from && strcmp(l->from, id) == 0)
        l->from = NULL;
    if (l->from || (l->per_page && l->n > l->per_page)) {
        json_decref(entry);
        return;
    }
    if (l->n++ < l->per_page || !l->per_page) {
        reply_list_add(&l->out, entry);
        return;
    }
    l->r->next_token = strdup(id);
    json_decref(entry);
}

void list_add(struct list *l, json_t *entry, json_t *whole)
{
    if (!passes(l, whole ? whole : entry))
        json_decref(entry);
    else if (l->held)
        (void)json_array_append_new(l->held, entry);
    else
        put(l, entry);
    json_decref(whole);
}

void list_end(struct list *l)
{
    for (size_t n = json_array_size(l->held); n; n--)
        put(l, json_incref(json_array_get(l->held, n - 1)));
    json_decref(l->held);
    filter_free(l->filter);
    if (!l->failed && l->from) {
        l->failed = true;
        request_reply_text(l->r, 400, "what \"next_token\" stands for is gone: begin again");
    }
    if (l->failed)
        reply_list_drop(&l->out);
    else
        reply_list_end(&l->out, l->r);
}
