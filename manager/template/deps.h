/* SPDX-License-Identifier: MIT
 *
 * What templates depend on at Vault and Consul: each is asked for once, kept, and asked for again
 * while somebody waits for a change. Consul tells by itself (blocking queries); Vault has to be
 * asked from time to time.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "manager/template/eval.h"
#include "manager/template/http.h"
#include "shared/err.h"

struct deps_retry {
    long attempts; /* 0: for ever */
    long backoff_ms, max_backoff_ms;
};

struct deps {
    struct server vault, consul;
    struct deps_retry vault_retry, consul_retry;
    long wait_ms; /* the longest blocking query, and how often Vault is asked again */
    long quiet_ms, quiet_max_ms; /* after a change: how long to wait for more, and at most */
    bool stale;                  /* any of Consul's servers may answer */
    struct dep *list;
    CURLM *multi;
};

void deps_init(struct deps *deps);
void deps_deinit(struct deps *deps);

/* As eval_fetch(), of EVAL_KEY, EVAL_KEYS, EVAL_SECRET and EVAL_SECRETS. Errors that may pass are
 * waited for, as long as the retries go. */
int deps_fetch(struct deps *deps, enum eval_source source, const char *name, json_t **ret,
               struct err *e);

/* Whether there is anything to wait for. */
bool deps_any(const struct deps *deps);

/* Waits until one of them has changed, and it is quiet again. What goes wrong meanwhile is tried
 * again, and told to `trouble` when it begins. */
void deps_wait(struct deps *deps, void (*trouble)(const char *text));
