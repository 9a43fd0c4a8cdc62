/* SPDX-License-Identifier: MIT
 *
 * What this host can give is the manager's own bounding set: a capability outside it cannot be
 * had back by any child, so asking for it by name is an error and "all" does not contain it.
 */
#include "manager/config/capabilities.h"

#include <cap-ng.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>

char *const capabilities_default[] = {
    "audit_write", "chown",  "dac_override",     "fowner",  "fsetid", "kill",       "mknod",
    "setfcap",     "setgid", "net_bind_service", "setpcap", "setuid", "sys_chroot", NULL};

static uint64_t host_set(void)
{
    uint64_t set = 0;

    for (int cap = 0; cap < CAPABILITIES_MAX; cap++)
        if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
            set |= 1ULL << cap;
    return set;
}

/* 0 for a name the C library's headers do not know. */
static uint64_t parse_one(const char *name)
{
    int cap;

    if (strcasecmp(name, "all") == 0)
        return host_set();
    cap = capng_name_to_capability(strncasecmp(name, "cap_", 4) == 0 ? name + 4 : name);
    return cap < 0 ? 0 : 1ULL << cap;
}

int capabilities_parse(char *const *names, uint64_t *ret_set, struct err *e)
{
    uint64_t set = 0;

    for (; *names; names++) {
        uint64_t one = parse_one(*names);

        if (!one)
            return err_set(e, -EINVAL,
                           "there is no capability \"%.64s\"; capabilities(7) has the names, such "
                           "as \"net_bind_service\"",
                           *names);
        set |= one;
    }
    *ret_set = set;
    return 0;
}

/* The names of `set`, for people. */
static const char *list(uint64_t set, char *buf, size_t size)
{
    size_t used = 0;

    buf[0] = '\0';
    for (int cap = 0; cap < CAPABILITIES_MAX; cap++) {
        const char *name = set >> cap & 1 ? capng_capability_to_name((unsigned int)cap) : NULL;
        size_t n = name ? strlen(name) : 0;

        if (!n || used + n + 3 > size)
            continue;
        if (used) {
            memcpy(buf + used, ", ", 2);
            used += 2;
        }
        memcpy(buf + used, name, n + 1);
        used += n;
    }
    return buf;
}

/* Parses `names`, which stand at `where` for people. */
static int parse_at(const char *where, char *const *names, uint64_t *ret_set, struct err *e)
{
    int r = capabilities_parse(names, ret_set, e);

    if (r)
        (void)err_wrap(e, "%s", where);
    return r;
}

int capabilities_resolve(char *const *allow, char *const *add, char *const *drop, uint64_t *ret_set,
                         struct err *e)
{
    uint64_t host = host_set(), defaults, allowed, added, dropped;
    char names[256];
    int r = parse_at("the defaults", capabilities_default, &defaults, e);

    if (!r)
        r = parse_at("allow_caps of the plugin exec", allow, &allowed, e);
    if (!r)
        r = parse_at("cap_add", add, &added, e);
    if (!r)
        r = parse_at("cap_drop", drop, &dropped, e);
    if (r)
        return r;
    if (added & ~allowed)
        return err_set(
            e, -EINVAL,
            "cap_add asks for what this node does not allow: %s; remove it from the job, "
            "or have it put into allow_caps of plugin \"exec\" { config { } }",
            list(added & ~allowed, names, sizeof(names)));
    if (added & ~host)
        return err_set(e, -EINVAL,
                       "cap_add asks for what the manager itself does not have: %s; remove it from "
                       "the job",
                       list(added & ~host, names, sizeof(names)));
    *ret_set = ((defaults & allowed & ~dropped) | added) & host;
    return 0;
}

void capabilities_names(uint64_t set, char **ret_names)
{
    for (unsigned int cap = 0; cap < CAPABILITIES_MAX; cap++)
        if (set >> cap & 1)
            *ret_names++ = (char *)capng_capability_to_name(cap);
    *ret_names = NULL;
}
