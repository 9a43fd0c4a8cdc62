/* SPDX-License-Identifier: MIT
 *
 * Paths from clients: routing, and the cleaning of paths in an allocation's tree.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "manager/api/fspath.h"
#include "manager/api/router.h"
#include "shared/cleanup.h"

static void ignore(struct request *r)
{
    (void)r;
}

static const struct route routes[] = {
    {HTTP_GET, "/v1/jobs", NULL, false, ignore},
    {HTTP_GET, "/v1/job/", "/allocations", true, ignore},
    {HTTP_GET, "/v1/job/", "", true, ignore},
    {HTTP_GET, "/v1/allocation/", "", false, ignore},
};

/* A clean path has no empty part, no "." and no "..". */
static void check_clean(const char *path)
{
    char clean[128];

    if (fspath_clean(path, clean, sizeof(clean)))
        return;
    for (const char *part = clean; *part;) {
        size_t n = strcspn(part, "/");

        assert(n > 0 && !(n == 1 && part[0] == '.') && !(n == 2 && !strncmp(part, "..", 2)));
        part += n;
        assert(!*part || part[1]);
        part += *part == '/';
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autofree char *path = strndup((const char *)data, size);
    struct request r = {.method = HTTP_GET, .path = path};
    const struct route *route = router_find(routes, ARRAY_LEN(routes), &r);

    assert(route || r.status == 404);
    if (r.arg)
        assert(*r.arg && (route->slashes || !strchr(r.arg, '/')));
    check_clean(path);
    r.path = NULL;
    request_deinit(&r);
    return 0;
}
