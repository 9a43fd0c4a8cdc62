/* SPDX-License-Identifier: MIT
 *
 * A spec that is gone, damaged or of another release changes nothing: the attempt before had an
 * environment that was good enough.
 */
#include "executor/reload.h"

#include <string.h>

#include "shared/cleanup.h"
#include "shared/proto/wire.h"
#include "shared/statefile.h"

static bool same(char *const *a, char *const *b)
{
    while (*a && *b && strcmp(*a, *b) == 0) {
        a++;
        b++;
    }
    return !*a && !*b;
}

void reload_env(struct reload *reload, int state_dir, struct exec_spec *spec)
{
    struct exec_spec *fresh = NULL;
    autofree char *data = NULL;
    uint32_t version;
    size_t size;

    if (state_dir < 0 ||
        statefile_read(state_dir, WIRE_SPEC, SPEC_MAX_BYTES, &version, &data, &size, NULL) ||
        version > SPEC_VERSION || spec_decode(data, size, &fresh, NULL))
        return;
    if (!fresh->env || same(fresh->env, spec->env)) {
        (void)spec_free(fresh);
        return;
    }
    (void)spec_free(reload->fresh);
    reload->fresh = fresh;
    spec->env = fresh->env;
}

void reload_deinit(struct reload *reload)
{
    reload->fresh = spec_free(reload->fresh);
}
