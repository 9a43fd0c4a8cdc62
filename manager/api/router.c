/* SPDX-License-Identifier: MIT
 *
 * Pure matching over a table; the first route whose path fits decides what the path means, so a
 * longer suffix stands before a shorter one, and others only add methods. Job ids may contain
 * slashes (a client sends them as %2F, which is decoded by now).
 */
#include "manager/api/router.h"

#include <string.h>

/* Whether `path` fits; the part between prefix and suffix is then *ret_arg, *ret_size. */
static bool route_fits(const struct route *route, const char *path, const char **ret_arg,
                       size_t *ret_size)
{
    size_t prefix = strlen(route->prefix), total = strlen(path);

    if (!route->suffix)
        return !strcmp(path, route->prefix);
    size_t suffix = strlen(route->suffix);
    if (total <= prefix + suffix || strncmp(path, route->prefix, prefix) ||
        strcmp(path + total - suffix, route->suffix))
        return false;
    *ret_arg = path + prefix;
    *ret_size = total - prefix - suffix;
    return route->slashes || !memchr(*ret_arg, '/', *ret_size);
}

const struct route *router_find(const struct route *routes, size_t n, struct request *r)
{
    bool known = false;
    size_t known_size = 0;

    for (size_t i = 0; i < n; i++) {
        const char *arg = NULL;
        size_t size = 0;

        if (!route_fits(&routes[i], r->path, &arg, &size) || (known && size != known_size))
            continue;
        known = true;
        known_size = size;
        if (routes[i].method != r->method && routes[i].method != HTTP_ANY)
            continue;
        if (arg && !(r->arg = strndup(arg, size))) {
            request_reply_text(r, 500, "out of memory");
            return NULL;
        }
        return &routes[i];
    }
    if (known)
        request_reply_text(r, 405, "Invalid method");
    else
        request_reply_text(r, 404, "no such endpoint: %s", r->path);
    return NULL;
}
