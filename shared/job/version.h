/* SPDX-License-Identifier: MIT
 *
 * Versions such as "v1.2.3-rc.1+build", and what is asked of them: ">= 1.2, < 2".
 */
#pragma once

#include <stdbool.h>

/* How they are read and compared: as Nomad's operators "version" (github.com/hashicorp/go-version)
 * and "semver". */
enum version_rules {
    /* "1.2beta" is one as well; ~> is known; a pre-release is only matched by a demand that names
     * one of the same version. */
    VERSION_LENIENT,
    VERSION_SEMVER, /* by the order of semver.org alone */
};

/* Whether `demands`, a list with commas of versions each with =, !=, >, <, >=, <=, ~> or nothing
 * before it, can be read. */
bool version_demands_valid(const char *demands, enum version_rules rules);

/* Whether `version` meets all `demands`. One that is no version meets none. */
bool version_meets(const char *version, const char *demands, enum version_rules rules);
