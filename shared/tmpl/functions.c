/* SPDX-License-Identifier: MIT */
#include "shared/tmpl/functions.h"

#include <string.h>

#include "shared/cleanup.h"

static const struct tmpl_function functions[] = {
#define TMPL_FUNCTION_ROW(id, name, least, most, uses) {name, TMPL_FN_##id, least, most, uses},
    TMPL_FUNCTIONS(TMPL_FUNCTION_ROW)
#undef TMPL_FUNCTION_ROW
};

#define NO_CATALOG "this release does not ask Consul's catalog; use key, ls or tree"
#define NO_SERVICES "there is no service registry here; write addresses as nomadVar or key"
#define NO_RUN "templates run nothing and write nothing but their destination"
#define NO_DEBUG "it is for debugging consul-template; use printf \"%v\""
#define NO_CERTIFICATES "this release asks Vault and Consul for stored values only; use secret"

static const struct {
    const char *name;
    const char *why;
} refused[] = {
    {"byMeta", NO_CATALOG},
    {"byPort", NO_CATALOG},
    {"byTag", NO_CATALOG},
    {"caLeaf", NO_CERTIFICATES},
    {"caRoots", NO_CERTIFICATES},
    {"call", "no value here is a function"},
    {"connect", NO_CATALOG},
    {"datacenters", NO_CATALOG},
    {"executeTemplate", "use {{template \"name\"}}"},
    {"exportedServices", NO_CATALOG},
    {"importedServices", NO_CATALOG},
    {"node", NO_CATALOG ", and env \"node.unique.name\" for this node"},
    {"nodes", NO_CATALOG},
    {"nomadService", NO_SERVICES},
    {"nomadServices", NO_SERVICES},
    {"partitions", NO_CATALOG},
    {"peerings", NO_CATALOG},
    {"pkiCert", NO_CERTIFICATES},
    {"plugin", NO_RUN},
    {"service", NO_CATALOG},
    {"services", NO_CATALOG},
    {"sockaddr", "use env \"attr.unique.network.ip-address\""},
    {"spew_dump", NO_DEBUG},
    {"spew_printf", NO_DEBUG},
    {"spew_sdump", NO_DEBUG},
    {"spew_sprintf", NO_DEBUG},
    {"writeToFile", NO_RUN},
};

const struct tmpl_function *tmpl_function_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(functions); i++)
        if (strcmp(functions[i].name, name) == 0)
            return &functions[i];
    return NULL;
}

const char *tmpl_function_refused(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (strcmp(refused[i].name, name) == 0)
            return refused[i].why;
    if (strncmp(name, "sprig_", 6) == 0)
        return "this release has none of the Sprig functions; see cleat-template(5) for those it "
               "has";
    return NULL;
}

/* One letter's case or one edit away is what a typing error is. */
static size_t distance(const char *a, const char *b)
{
    size_t head = 0, tail = 0, n = strlen(a), m = strlen(b);

    while (head < n && head < m && (a[head] | 0x20) == (b[head] | 0x20))
        head++;
    while (tail < n - head && tail < m - head &&
           (a[n - 1 - tail] | 0x20) == (b[m - 1 - tail] | 0x20))
        tail++;
    n -= head + tail;
    m -= head + tail;
    return n > m ? n : m;
}

const char *tmpl_function_nearest(const char *name)
{
    size_t best = strlen(name) < 4 ? 1 : 2;
    const char *nearest = NULL;

    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        size_t d = distance(name, functions[i].name);

        if (d < best || (d == best && !nearest)) {
            best = d;
            nearest = functions[i].name;
        }
    }
    return nearest;
}
