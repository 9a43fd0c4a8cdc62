/* SPDX-License-Identifier: MIT
 *
 * Which handler answers which method and path.
 */
#pragma once

#include "manager/api/request.h"

struct route {
    enum http_method method;
    const char *prefix; /* "/v1/job/" */
    const char *suffix; /* "/allocations"; NULL: the path is the prefix and nothing more */
    bool slashes;       /* what stands between may contain '/': job ids */
    void (*handle)(struct request *r);
};

/* Finds the route for `r` and fills in r->arg. NULL after a reply of 404 or 405. */
const struct route *router_find(const struct route *routes, size_t n, struct request *r);

/* The table of this API. */
extern const struct route api_routes[];
extern const size_t api_n_routes;
