/* SPDX-License-Identifier: MIT
 *
 * Which capabilities a task keeps, by Nomad's rule: (the driver's defaults that the operator
 * allows) - cap_drop + cap_add. Names are case-insensitive, "cap_" in front may be left out, and
 * "all" stands for every capability this host can give. A set is a mask: bit N is capability N.
 */
#pragma once

#include <stdint.h>

#include "shared/err.h"

/* The defaults of Docker, which Nomad's exec shares; NULL-terminated. */
extern char *const capabilities_default[];

/* Reads `names` (NULL-terminated) into a set. -EINVAL with the first unknown name. */
int capabilities_parse(char *const *names, uint64_t *ret_set, struct err *e);

/* Works the rule out. -EINVAL with the names at fault: unknown, outside `allow`, or not to be had
 * on this host. */
int capabilities_resolve(char *const *allow, char *const *add, char *const *drop, uint64_t *ret_set,
                         struct err *e);

enum {
    CAPABILITIES_MAX = 64
};

/* The names of a set, NULL-terminated, in `ret_names` of CAPABILITIES_MAX + 1; static text. */
void capabilities_names(uint64_t set, char **ret_names);
