/* SPDX-License-Identifier: MIT */
#include "shared/place.h"

#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"

#define SCHEME "unix://"
#define SYSTEM_DATA_DIR "/var/lib/cleat"
#define SYSTEM_ADDRESS SCHEME "/run/cleat/cleat.sock"

/* The specification has relative paths ignored. */
static const char *absolute(const char *variable)
{
    const char *path = getenv(variable);

    return path && path[0] == '/' ? path : NULL;
}

static const char *home(void)
{
    const char *path = absolute("HOME");
    const struct passwd *pw = path ? NULL : getpwuid(geteuid());

    return path ? path : (pw ? pw->pw_dir : "");
}

char *place_data_dir(void)
{
    const char *base = absolute("XDG_DATA_HOME");
    char *dir;

    if (geteuid() == 0)
        return strdup(SYSTEM_DATA_DIR);
    return asprintf(&dir, "%s%s/cleat", base ? base : home(), base ? "" : "/.local/share") < 0
               ? NULL
               : dir;
}

char *place_address(void)
{
    const char *runtime = absolute("XDG_RUNTIME_DIR");
    autofree char *data_dir = NULL;
    char dir[32], *address;
    struct stat st;

    if (geteuid() == 0)
        return strdup(SYSTEM_ADDRESS);
    (void)snprintf(dir, sizeof(dir), "/run/user/%u", geteuid());
    if (!runtime && lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid())
        runtime = dir;
    if (runtime)
        return asprintf(&address, SCHEME "%s/cleat/cleat.sock", runtime) < 0 ? NULL : address;
    data_dir = place_data_dir();
    return !data_dir || asprintf(&address, SCHEME "%s/cleat.sock", data_dir) < 0 ? NULL : address;
}

int place_make_parents(const char *path)
{
    autofree char *buf = strdup(path);

    if (!buf)
        return -ENOMEM;
    for (char *p = buf + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        if (mkdir(buf, 0755) < 0 && errno != EEXIST)
            return -errno;
        *p = '/';
    }
    return 0;
}

static bool is_there(const char *address)
{
    return access(address + strlen(SCHEME), F_OK) == 0;
}

char *place_address_to_call(void)
{
    char *address = place_address();

    if (!address || is_there(address) || !is_there(SYSTEM_ADDRESS))
        return address;
    free(address);
    return strdup(SYSTEM_ADDRESS);
}
