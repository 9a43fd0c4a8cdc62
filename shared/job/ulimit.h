/* SPDX-License-Identifier: MIT
 *
 * Resource limits as a job writes them: names of Docker's ulimits (setrlimit(2)'s in lower case),
 * values "N", "SOFT:HARD", or "unlimited" in place of a number.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"

#define ULIMIT_UNLIMITED UINT64_MAX

struct ulimit {
    int resource; /* RLIMIT_* */
    uint64_t soft;
    uint64_t hard;
};

enum {
    ULIMIT_MAX = 16 /* there are no more resources */
};

/* Reads an object of name to value. Returns how many; -EINVAL with the name at fault in `e`. */
int ulimit_read(const json_t *map, struct ulimit ret[ULIMIT_MAX], struct err *e);
