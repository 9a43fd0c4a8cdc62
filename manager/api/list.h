/* SPDX-License-Identifier: MIT
 *
 * A reply that is a list of what has an ID, of which a client may ask for a part, as Nomad's do:
 * ?prefix=, ?namespace=, ?filter= (filter.h), ?reverse=true, ?per_page=N and ?next_token=.
 *
 * Namespaces are names that jobs carry and no more: without the parameter, and with "*", a list has
 * those of all (Nomad's would have those of "default").
 */
#pragma once

#include "manager/api/filter.h"
#include "manager/api/request.h"

struct list {
    struct request *r;
    struct reply_list out;
    const char *prefix, *namespace_, *from; /* NULL: not asked for */
    struct filter *filter;                  /* the same */
    json_t *held;                           /* what is to come in reverse order, or NULL */
    uint64_t per_page, n;                   /* 0: all */
    bool failed;
};

/* False: a parameter was wrong, and the reply says so. */
bool list_begin(struct list *l, struct request *r);

/* Whether to make an entry of it at all; `namespace_` may be NULL. */
bool list_wants(const struct list *l, const char *id, const char *namespace_);

/* The next one, which has an "ID"; takes over both. `whole` is what a filter looks at, NULL where
 * that is `entry`: needed only where l->filter is set. */
void list_add(struct list *l, json_t *entry, json_t *whole);

/* The reply. */
void list_end(struct list *l);

/* The namespace a request speaks of, for a path that names one thing: false if `namespace_` is
 * another one. */
bool request_in_namespace(const struct request *r, const char *namespace_);
