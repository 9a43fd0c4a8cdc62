/* SPDX-License-Identifier: MIT
 *
 * Sources: Consul's HTTP API ("KV Store", "Blocking Queries"), Vault's ("KV Secrets Engine",
 * versions 1 and 2).
 */
#include "manager/template/deps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "manager/template/decode.h"
#include "shared/cleanup.h"
#include "shared/clock.h"

enum {
    REQUEST_TIMEOUT_MS = 60000,
    MISSING_WAIT_MS = 5000, /* between two looks for a secret that is not there */
    MAX_DEPS = 256,
};

struct dep {
    enum eval_source source;
    char *name;
    char *vault_path; /* where it is, for the version of its engine */
    json_t *value;    /* NULL: it is not there */
    uint64_t index;   /* Consul's; 0: ask at once */
    struct http_call call;
    bool in_flight;
    bool troubled;
    long backoff_ms;
    uint64_t due_ns; /* CLOCK_MONOTONIC: not to be asked before */
    struct dep *next;
};

static uint64_t now_ns(void)
{
    return clock_now_ns(CLOCK_MONOTONIC);
}

void deps_init(struct deps *deps)
{
    *deps = (struct deps){.vault = {.name = "Vault"}, .consul = {.name = "Consul"}};
}

static void dep_free(struct deps *deps, struct dep *dep)
{
    if (dep->in_flight)
        (void)curl_multi_remove_handle(deps->multi, dep->call.easy);
    http_deinit(&dep->call);
    json_decref(dep->value);
    free(dep->name);
    free(dep->vault_path);
    free(dep);
}

void deps_deinit(struct deps *deps)
{
    while (deps->list) {
        struct dep *dep = deps->list;

        deps->list = dep->next;
        dep_free(deps, dep);
    }
    (void)curl_multi_cleanup(deps->multi);
    deps->multi = NULL;
}

static bool is_vault(const struct dep *dep)
{
    return dep->source == EVAL_SECRET || dep->source == EVAL_SECRETS;
}

/* ---- what is asked ---- */

/* "path@dc1": Consul's key, and its datacenter. */
static int consul_path(const struct deps *deps, const struct dep *dep, char **ret, struct err *e)
{
    const char *at = strrchr(dep->name, '@');
    autofree char *key = strndup(dep->name, at ? (size_t)(at - dep->name) : strlen(dep->name));
    autofree char *escaped = key ? http_escape(key) : NULL;
    autofree char *dc = at ? http_escape(at + 1) : strdup("");
    char wait[64] = "";

    if (!escaped || !dc)
        return err_sys(e, -ENOMEM, "ask Consul");
    if (dep->index)
        (void)snprintf(wait, sizeof(wait), "&index=%llu&wait=%lds", (unsigned long long)dep->index,
                       deps->wait_ms > 1000 ? deps->wait_ms / 1000 : 1);
    if (asprintf(ret, "/v1/kv/%s?%s%s%s%s%s", escaped + (*escaped == '/'),
                 dep->source == EVAL_KEYS ? "recurse" : "raw", deps->stale ? "&stale" : "", wait,
                 *dc ? "&dc=" : "", dc) < 0)
        return err_sys(e, -ENOMEM, "ask Consul");
    return 0;
}

static int get(const struct deps *deps, struct http_call *call, const char *path, struct err *e)
{
    int r = http_init(call, &deps->vault, path, REQUEST_TIMEOUT_MS, e);

    return r ? r : http_run(call, e);
}

/* Asks which engine is mounted there. Who may not know that (403) is taken to mean version 1. */
static int find_engine(const struct deps *deps, struct dep *dep, struct err *e)
{
    const char *query = strchr(dep->name, '?');
    autofree char *bare =
        strndup(dep->name, query ? (size_t)(query - dep->name) : strlen(dep->name));
    autofree char *escaped = bare ? http_escape(bare + strspn(bare, "/")) : NULL, *path = NULL;
    struct http_call call = {0};
    int r;

    if (!escaped || asprintf(&path, "/v1/sys/internal/ui/mounts/%s", escaped) < 0)
        return err_sys(e, -ENOMEM, "ask Vault");
    r = get(deps, &call, path, e);
    if (!r || r == -EACCES || r == -EPROTO) {
        dep->vault_path = decode_mount(r ? NULL : call.reply.body, bare + strspn(bare, "/"),
                                       query ? query : "", dep->source == EVAL_SECRETS);
        r = dep->vault_path ? 0 : err_sys(e, -ENOMEM, "ask Vault");
    }
    http_deinit(&call);
    return r;
}

static int prepare(const struct deps *deps, struct dep *dep, struct err *e)
{
    autofree char *path = NULL;
    int r;

    http_deinit(&dep->call);
    if (is_vault(dep) && !dep->vault_path) {
        r = find_engine(deps, dep, e);
        if (r)
            return r;
    }
    if (is_vault(dep))
        return http_init(&dep->call, &deps->vault, dep->vault_path, REQUEST_TIMEOUT_MS, e);
    r = consul_path(deps, dep, &path, e);
    return r ? r
             : http_init(&dep->call, &deps->consul, path, deps->wait_ms * 2 + REQUEST_TIMEOUT_MS,
                         e);
}

/* ---- what comes back ---- */

static int decode(struct dep *dep, json_t **ret, struct err *e)
{
    const struct http_reply *reply = &dep->call.reply;
    const char *body = reply->body ? reply->body : "";

    *ret = NULL;
    if (reply->status == 404)
        return 0;
    switch (dep->source) {
    case EVAL_KEY:
        *ret = json_stringn_nocheck(body, reply->size);
        return *ret ? 0 : err_sys(e, -ENOMEM, "read %s", dep->name);
    case EVAL_KEYS:
        return decode_pairs(body, reply->size, dep->name, ret, e);
    case EVAL_SECRET:
        return decode_secret(body, reply->size, ret, e);
    default:
        return decode_names(body, reply->size, ret, e);
    }
}

static void plan_next(const struct deps *deps, struct dep *dep)
{
    long wait = 0;

    /* An index that goes back, or none, is asked for anew (Consul's documentation). */
    if (dep->call.reply.index < dep->index)
        dep->index = 0;
    else
        dep->index = dep->call.reply.index;
    if (is_vault(dep))
        wait = !dep->value && deps->wait_ms > MISSING_WAIT_MS ? MISSING_WAIT_MS : deps->wait_ms;
    else if (!dep->index)
        wait = 1000;
    dep->due_ns = now_ns() + (uint64_t)wait * 1000000;
    dep->backoff_ms = 0;
    dep->troubled = false;
}

/* After a transfer. 1: the value is another one. */
static int take(struct deps *deps, struct dep *dep, CURLcode code, struct err *e)
{
    json_t *value = NULL;
    int r = http_check(&dep->call, code, e), changed;

    if (!r)
        r = decode(dep, &value, e);
    if (r)
        return r;
    changed = !!value != !!dep->value || (value && !json_equal(value, dep->value));
    json_decref(dep->value);
    dep->value = value;
    plan_next(deps, dep);
    http_deinit(&dep->call);
    return changed;
}

static const struct deps_retry *retry_of(const struct deps *deps, const struct dep *dep)
{
    return is_vault(dep) ? &deps->vault_retry : &deps->consul_retry;
}

static void back_off(const struct deps *deps, struct dep *dep)
{
    const struct deps_retry *retry = retry_of(deps, dep);

    dep->backoff_ms = dep->backoff_ms ? dep->backoff_ms * 2 : retry->backoff_ms;
    if (dep->backoff_ms > retry->max_backoff_ms && retry->max_backoff_ms)
        dep->backoff_ms = retry->max_backoff_ms;
    if (dep->backoff_ms < 10)
        dep->backoff_ms = 10;
    dep->index = 0;
    dep->due_ns = now_ns() + (uint64_t)dep->backoff_ms * 1000000;
}

/* ---- the first time ---- */

static int ask(struct deps *deps, struct dep *dep, struct err *e)
{
    const struct deps_retry *retry = retry_of(deps, dep);
    int r;

    for (long n = 1;; n++) {
        r = prepare(deps, dep, e);
        if (!r)
            r = take(deps, dep, curl_easy_perform(dep->call.easy), e);
        if (r != -EAGAIN || (retry->attempts && n >= retry->attempts))
            return r < 0 ? r : 0;
        back_off(deps, dep);
        (void)usleep((useconds_t)dep->backoff_ms * 1000);
    }
}

static struct dep *find(const struct deps *deps, enum eval_source source, const char *name)
{
    struct dep *dep = deps->list;

    while (dep && (dep->source != source || strcmp(dep->name, name) != 0))
        dep = dep->next;
    return dep;
}

static int add(struct deps *deps, enum eval_source source, const char *name, struct dep **ret,
               struct err *e)
{
    struct dep *dep;
    size_t n = 0;
    int r;

    for (dep = deps->list; dep; dep = dep->next)
        n++;
    if (n >= MAX_DEPS)
        return err_set(e, -E2BIG, "the task's templates ask for more than %d keys and secrets",
                       MAX_DEPS);
    dep = calloc(1, sizeof(*dep));
    if (!dep || !(dep->name = strdup(name))) {
        free(dep);
        return err_sys(e, -ENOMEM, "ask for %s", name);
    }
    dep->source = source;
    r = ask(deps, dep, e);
    if (r) {
        dep_free(deps, dep);
        return r;
    }
    dep->next = deps->list;
    deps->list = dep;
    *ret = dep;
    return 0;
}

int deps_fetch(struct deps *deps, enum eval_source source, const char *name, json_t **ret,
               struct err *e)
{
    struct dep *dep = find(deps, source, name);
    int r = dep ? 0 : add(deps, source, name, &dep, e);

    if (r)
        return r;
    if (!dep->value)
        return EVAL_MISSING;
    *ret = json_incref(dep->value);
    return 0;
}

bool deps_any(const struct deps *deps)
{
    return deps->list != NULL;
}

/* ---- waiting ---- */

static void fail(const struct deps *deps, struct dep *dep, const struct err *e,
                 void (*trouble)(const char *text))
{
    if (!dep->troubled)
        trouble(e->text);
    dep->troubled = true;
    back_off(deps, dep);
}

static void start(struct deps *deps, struct dep *dep, void (*trouble)(const char *text))
{
    struct err e = ERR_INIT;
    int r = prepare(deps, dep, &e);

    if (!r && curl_multi_add_handle(deps->multi, dep->call.easy))
        r = err_sys(&e, -ENOMEM, "ask for %s", dep->name);
    if (r)
        fail(deps, dep, &e, trouble);
    else
        dep->in_flight = true;
}

static bool finish(struct deps *deps, CURL *easy, CURLcode code, void (*trouble)(const char *text))
{
    struct dep *dep = deps->list;
    struct err e = ERR_INIT;
    int r;

    while (dep->call.easy != easy)
        dep = dep->next;
    (void)curl_multi_remove_handle(deps->multi, easy);
    dep->in_flight = false;
    r = take(deps, dep, code, &e);
    if (r < 0)
        fail(deps, dep, &e, trouble);
    return r == 1;
}

static bool take_finished(struct deps *deps, void (*trouble)(const char *text))
{
    bool changed = false;
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(deps->multi, &left)))
        if (msg->msg == CURLMSG_DONE)
            changed |= finish(deps, msg->easy_handle, msg->data.result, trouble);
    return changed;
}

/* Starts what is due. Returns for how many milliseconds nothing else will be. */
static int start_due(struct deps *deps, void (*trouble)(const char *text))
{
    uint64_t now = now_ns(), next = now + 60000000000u;

    for (struct dep *dep = deps->list; dep; dep = dep->next) {
        if (!dep->in_flight && dep->due_ns <= now)
            start(deps, dep, trouble);
        if (!dep->in_flight && dep->due_ns < next)
            next = dep->due_ns;
    }
    return next <= now ? 1 : (int)((next - now) / 1000000) + 1;
}

/* For how long to wait after a change at `last`, the first of them at `first`: 0, it is over. */
static int quiet_left(const struct deps *deps, uint64_t first, uint64_t last)
{
    uint64_t now = now_ns(), end = last + (uint64_t)deps->quiet_ms * 1000000;
    uint64_t most = first + (uint64_t)deps->quiet_max_ms * 1000000;

    if (end > most)
        end = most;
    return end <= now ? 0 : (int)((end - now) / 1000000) + 1;
}

void deps_wait(struct deps *deps, void (*trouble)(const char *text))
{
    uint64_t first = 0, last = 0;
    int running, quiet;

    if (!deps->multi)
        deps->multi = curl_multi_init();
    if (!deps->multi)
        abort();
    for (;;) {
        int wait_ms = start_due(deps, trouble);

        (void)curl_multi_perform(deps->multi, &running);
        if (take_finished(deps, trouble)) {
            last = now_ns();
            first = first ? first : last;
            wait_ms = 0;
        }
        quiet = first ? quiet_left(deps, first, last) : wait_ms;
        if (first && !quiet)
            return;
        (void)curl_multi_poll(deps->multi, NULL, 0, quiet < wait_ms ? quiet : wait_ms, NULL);
    }
}
