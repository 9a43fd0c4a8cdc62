/* SPDX-License-Identifier: MIT
 *
 * What is asked of a cluster, of which this host is all there is: it is its own and only server,
 * region and leader. Nomad's command line looks here before it does what it is told to.
 *
 * Namespaces and node pools are names: a namespace is there while a job carries it, pools are the
 * two that are always there and the node's.
 */
#include <string.h>

#include "manager/api/context.h"
#include "manager/api/encode.h"
#include "manager/api/handlers.h"
#include "manager/api/list.h"
#include "shared/cleanup.h"

/* Where Nomad's servers would meet; nobody listens there. */
static const char server_address[] = "127.0.0.1:4647";

void agent_members(struct request *r)
{
    const struct config *c = r->api->config;
    json_t *tags = json_pack("{s:s, s:o, s:o, s:s, s:s, s:s, s:s}", "role", "nomad", "region",
                             encode_text(c->region), "dc", encode_text(c->datacenter), "build",
                             CLEAT_VERSION, "port", "4647", "raft_vsn", "3", "vsn", "1");
    json_t *member = json_pack(
        "{s:o, s:s, s:i, s:o, s:s, s:i, s:i, s:i, s:i, s:i, s:i}", "Name", encode_text(c->name),
        "Addr", "127.0.0.1", "Port", 4648, "Tags", tags, "Status", "alive", "ProtocolMin", 1,
        "ProtocolMax", 5, "ProtocolCur", 2, "DelegateMin", 2, "DelegateMax", 5, "DelegateCur", 4);

    request_reply_json(r, 200,
                       json_pack("{s:o, s:o, s:o, s:[o]}", "ServerName", encode_text(c->name),
                                 "ServerRegion", encode_text(c->region), "ServerDC",
                                 encode_text(c->datacenter), "Members", member));
}

void agent_servers(struct request *r)
{
    request_reply_json(r, 200, json_pack("[s]", server_address));
}

void status_leader(struct request *r)
{
    request_reply_json(r, 200, json_string(server_address));
}

void region_list(struct request *r)
{
    request_reply_json(r, 200, json_pack("[o]", encode_text(r->api->config->region)));
}

/* ---- namespaces ---- */

static json_t *encode_namespace(const char *name)
{
    return json_pack("{s:o, s:s, s:s, s:n, s:n, s:i, s:i}", "Name", encode_text(name),
                     "Description",
                     strcmp(name, "default") == 0 ? "Default shared namespace" : "of jobs here",
                     "Quota", "", "Meta", "Capabilities", "CreateIndex", 1, "ModifyIndex", 1);
}

static bool has_namespace(const struct manager *m, const char *name)
{
    for (const struct job_record *job = manager_jobs(m); job; job = job->next)
        if (!job->purge && strcmp(job->job->namespace_, name) == 0)
            return true;
    return strcmp(name, "default") == 0;
}

void namespace_list(struct request *r)
{
    const struct manager *m = r->api->manager;
    json_t *all = json_pack("{s:o}", "default", encode_namespace("default")), *entry;
    const char *prefix = request_param(r, "prefix"), *name;
    struct reply_list list;

    for (const struct job_record *job = manager_jobs(m); job; job = job->next)
        if (!job->purge && !json_object_get(all, job->job->namespace_))
            (void)json_object_set_new(all, job->job->namespace_,
                                      encode_namespace(job->job->namespace_));
    reply_list_begin(&list, r);
    json_object_foreach(all, name, entry)
    {
        if (!prefix || strncmp(name, prefix, strlen(prefix)) == 0)
            reply_list_add(&list, json_incref(entry));
    }
    reply_list_end(&list, r);
    json_decref(all);
}

void namespace_read(struct request *r)
{
    if (has_namespace(r->api->manager, r->arg))
        request_reply_json(r, 200, encode_namespace(r->arg));
    else
        request_reply_text(r, 404, "Namespace not found: no job here is in \"%s\"", r->arg);
}

/* ---- node pools ---- */

static const struct {
    const char *name, *description;
} pools[] = {
    {"all", "Node pool with all nodes in the cluster."},
    {"default", "Default node pool."},
};

static json_t *encode_pool(const char *name, const char *description)
{
    return json_pack("{s:o, s:s, s:n, s:n, s:i, s:i}", "Name", encode_text(name), "Description",
                     description, "Meta", "SchedulerConfiguration", "CreateIndex", 1, "ModifyIndex",
                     1);
}

static json_t *all_pools(const struct config *c)
{
    json_t *all = json_object();

    for (size_t i = 0; i < ARRAY_LEN(pools); i++)
        (void)json_object_set_new(all, pools[i].name,
                                  encode_pool(pools[i].name, pools[i].description));
    if (c->node_pool && !json_object_get(all, c->node_pool))
        (void)json_object_set_new(all, c->node_pool, encode_pool(c->node_pool, "This node's."));
    return all;
}

void pool_list(struct request *r)
{
    const char *prefix = request_param(r, "prefix"), *name;
    json_t *all = all_pools(r->api->config), *entry;
    struct reply_list list;

    reply_list_begin(&list, r);
    json_object_foreach(all, name, entry)
    {
        if (!prefix || strncmp(name, prefix, strlen(prefix)) == 0)
            reply_list_add(&list, json_incref(entry));
    }
    reply_list_end(&list, r);
    json_decref(all);
}

void pool_read(struct request *r)
{
    json_t *all = all_pools(r->api->config), *pool = json_object_get(all, r->arg);

    if (pool)
        request_reply_json(r, 200, json_incref(pool));
    else
        request_reply_text(r, 404, "node pool not found: %s", r->arg);
    json_decref(all);
}

/* ---- the scheduler ---- */

void scheduler_config(struct request *r)
{
    request_reply_json(
        r, 200,
        json_pack("{s:{s:s, s:b, s:b, s:b, s:{s:b, s:b, s:b, s:b}, s:i, s:i}, s:i, s:i, s:b}",
                  "SchedulerConfig", "SchedulerAlgorithm", "binpack",
                  "MemoryOversubscriptionEnabled", true, "RejectJobRegistration", false,
                  "PauseEvalBroker", false, "PreemptionConfig", "SystemSchedulerEnabled", false,
                  "SysBatchSchedulerEnabled", false, "BatchSchedulerEnabled", false,
                  "ServiceSchedulerEnabled", false, "CreateIndex", 1, "ModifyIndex", 1, "Index", 1,
                  "LastContact", 0, "KnownLeader", true));
}

/* ---- what there are none of ---- */

void empty_list(struct request *r)
{
    request_reply_json(r, 200, json_array());
}

void empty_object(struct request *r)
{
    request_reply_json(r, 200, json_object());
}

/* Why a path of Nomad's is none here, and what to do instead; the longest that fits counts. */
static const struct {
    const char *prefix;
    int status;
    const char *text;
} refusals[] = {
    {"/v1/acl/", 400, "ACL support disabled"},
    {"/v1/agent/", 501, "there are no servers to join, leave or gossip with: one host is all"},
    {"/v1/agent/monitor", 501,
     "the manager's log is not served here: it is where its init system puts what it writes on "
     "stderr (journalctl -u cleat-manager, under systemd); tasks' output: alloc logs"},
    {"/v1/agent/pprof/", 404, "the manager is no Go program: see /v1/metrics"},
    {"/v1/event/stream", 501,
     "there is no event stream: ask for lists and objects with ?index=N&wait=5m, N being what "
     "X-Nomad-Index was in the last answer, and the next one comes when something has changed"},
    {"/v1/namespace", 501,
     "a namespace is a name that jobs carry: there is nothing to create, change or delete; write "
     "it in the job, or give -namespace"},
    {"/v1/node/", 501,
     "this host is the only node: its allocations cannot move elsewhere. Stop jobs (job stop), or "
     "all of them (cleat system stop-all)"},
    {"/v1/operator/", 501, "there are no servers here: no Raft, autopilot, keyring or snapshots"},
    {"/v1/operator/license", 501, "Nomad Enterprise only endpoint"},
    {"/v1/operator/scheduler/", 501, "there is no scheduler to configure: one host is all"},
    {"/v1/plugin/", 404, "CSI plugins are not served by this release"},
    {"/v1/quota", 501, "Nomad Enterprise only endpoint"},
    {"/v1/recommendation", 501, "Nomad Enterprise only endpoint"},
    {"/v1/scaling/policy/", 404, "no job here has a scaling policy: nothing would act by it"},
    {"/v1/sentinel/", 501, "Nomad Enterprise only endpoint"},
    {"/v1/service/", 404, "services are not registered by this release"},
    {"/v1/var", 501,
     "variables are not kept here: a template reads them from a file of this host with nomadVar "
     "(cleat-job(5))"},
    {"/v1/volume", 501,
     "volumes are directories that the agent's configuration names (host_volume)"},
};

void not_here(struct request *r)
{
    const char *text = "";
    size_t longest = 0;
    int status = 404;

    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        size_t n = strlen(refusals[i].prefix);

        if (n <= longest || strncmp(r->path, refusals[i].prefix, n) != 0)
            continue;
        longest = n;
        status = refusals[i].status;
        text = refusals[i].text;
    }
    request_reply_text(r, status, "%s", text);
}
