/* SPDX-License-Identifier: MIT
 *
 * /v1/search: ids that begin with a text, of every kind or one. `nomad status ID` asks for it.
 */
#include <string.h>

#include "manager/api/context.h"
#include "manager/api/encode.h"
#include "manager/api/handlers.h"
#include "manager/api/list.h"
#include "shared/cleanup.h"

enum {
    MATCHES_MAX = 20, /* of each kind, as Nomad's */
};

struct search {
    const char *prefix, *context; /* "all", or a kind */
    json_t *matches, *truncated;
};

static bool asked_for(const struct search *s, const char *kind)
{
    return strcmp(s->context, "all") == 0 || strcmp(s->context, kind) == 0;
}

static void match(struct search *s, const char *kind, const char *id)
{
    json_t *ids = json_object_get(s->matches, kind);

    if (strncmp(id, s->prefix, strlen(s->prefix)) != 0)
        return;
    if (json_array_size(ids) < MATCHES_MAX)
        (void)json_array_append_new(ids, encode_text(id));
    else
        (void)json_object_set_new(s->truncated, kind, json_true());
}

static void match_jobs(struct search *s, const struct request *r)
{
    const struct manager *m = r->api->manager;

    for (const struct job_record *job = manager_jobs(m); job; job = job->next) {
        if (job->purge || !request_in_namespace(r, job->job->namespace_))
            continue;
        if (asked_for(s, "jobs"))
            match(s, "jobs", job->job->id);
        for (const struct job_record *of = job; asked_for(s, "evals") && of; of = of->older) {
            char id[37];

            encode_eval_id(m, of, id);
            match(s, "evals", id);
        }
    }
}

static void match_others(struct search *s, const struct request *r)
{
    const struct manager *m = r->api->manager;

    for (const struct alloc *a = manager_allocs(m); a && asked_for(s, "allocs"); a = a->next)
        if (request_in_namespace(r, a->job->job->namespace_))
            match(s, "allocs", a->id);
    if (asked_for(s, "nodes"))
        match(s, "nodes", manager_node_id(m));
}

/* {"Prefix": text, "Context": kind} */
void search(struct request *r)
{
    static const char *const kinds[] = {"jobs",    "evals",      "allocs",     "nodes",
                                        "volumes", "deployment", "namespaces", "plugins"};
    json_t *body = request_json(r);
    struct search s = {.prefix = json_string_value(json_object_get(body, "Prefix")),
                       .context = json_string_value(json_object_get(body, "Context"))};

    if (!body)
        return;
    if (!s.prefix)
        request_reply_text(r, 400, "the body must be {\"Prefix\": text, \"Context\": kind}");
    else {
        if (!s.context || !*s.context)
            s.context = "all";
        s.matches = json_object();
        s.truncated = json_object();
        for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
            if (asked_for(&s, kinds[i])) {
                (void)json_object_set_new(s.matches, kinds[i], json_array());
                (void)json_object_set_new(s.truncated, kinds[i], json_false());
            }
        match_jobs(&s, r);
        match_others(&s, r);
        request_reply_json(r, 200,
                           json_pack("{s:o, s:o, s:i, s:i, s:b}", "Matches", s.matches,
                                     "Truncations", s.truncated, "Index", 1, "LastContact", 0,
                                     "KnownLeader", true));
    }
    json_decref(body);
}
