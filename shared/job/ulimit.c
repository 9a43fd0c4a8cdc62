/* SPDX-License-Identifier: MIT
 *
 * Two parallel tables, because schema_nearest() wants bare names.
 */
#include "shared/job/ulimit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "shared/cleanup.h"
#include "shared/job/schema.h"
#include "shared/job/value.h"

static const char *const names[] = {
    "as",     "core",  "cpu", "data",   "fsize",  "locks",      "memlock", "msgqueue", "nice",
    "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack",   NULL,
};
static const int resources[ULIMIT_MAX] = {
    RLIMIT_AS,      RLIMIT_CORE,     RLIMIT_CPU,        RLIMIT_DATA,   RLIMIT_FSIZE, RLIMIT_LOCKS,
    RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE, RLIMIT_NICE,       RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_RSS,
    RLIMIT_RTPRIO,  RLIMIT_RTTIME,   RLIMIT_SIGPENDING, RLIMIT_STACK,
};

/* A number, "unlimited" or "-1" at `text`, up to the end or a colon. */
static int parse_number(const char *text, const char **ret_end, uint64_t *ret)
{
    static const char *const endless[] = {"unlimited", "-1"};
    char *end;

    for (size_t i = 0; i < ARRAY_LEN(endless); i++) {
        size_t n = strlen(endless[i]);

        if (strncmp(text, endless[i], n) == 0 && (!text[n] || text[n] == ':')) {
            *ret = ULIMIT_UNLIMITED;
            *ret_end = text + n;
            return 0;
        }
    }
    if (*text < '0' || *text > '9')
        return -EINVAL;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    *ret_end = end;
    return errno || (*end && *end != ':') ? -EINVAL : 0;
}

static int parse_value(const char *text, struct ulimit *limit)
{
    const char *end;
    int r = parse_number(text, &end, &limit->soft);

    limit->hard = limit->soft;
    if (!r && *end == ':') {
        r = parse_number(end + 1, &end, &limit->hard);
        if (!r && *end)
            r = -EINVAL;
    }
    return !r && limit->soft > limit->hard ? -EINVAL : r;
}

static int read_one(const char *name, const json_t *value, struct ulimit *limit, struct err *e)
{
    autofree char *text = NULL;
    char hint[SCHEMA_HINT_SIZE];
    int r = value_text(value, &text);
    size_t i = 0;

    if (r == -ENOMEM)
        return err_sys(e, r, "ulimit");
    while (names[i] && strcmp(names[i], name) != 0)
        i++;
    if (!names[i])
        return err_set(e, -EINVAL, "there is no ulimit \"%.64s\"%s", name,
                       schema_hint(schema_nearest(name, names), hint));
    limit->resource = resources[i];
    if (r || parse_value(text, limit))
        return err_set(e, -EINVAL,
                       "ulimit %s must be a number, \"SOFT:HARD\" with SOFT not above HARD, or "
                       "\"unlimited\"%s%.64s%s",
                       name, r ? "" : ", not \"", r ? "" : text, r ? "" : "\"");
    return 0;
}

int ulimit_read(const json_t *map, struct ulimit ret[ULIMIT_MAX], struct err *e)
{
    const char *name;
    json_t *value;
    int n = 0;

    json_object_foreach((json_t *)map, name, value)
    {
        int r = read_one(name, value, &ret[n], e);

        if (r)
            return r;
        n++; /* at most ULIMIT_MAX: a map has each name once */
    }
    return n;
}
