/* SPDX-License-Identifier: MIT
 *
 * What a template with env = true renders: lines KEY=VALUE, as Nomad reads them.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "shared/err.h"

/* A new object of strings. Empty lines and those that begin with "#" are skipped, "export " before
 * a name too; a value in double quotes has escapes, one in single quotes stands as it is; " #"
 * begins a comment behind a value without quotes. -EINVAL with the line. */
int envfile_parse(const char *text, size_t size, json_t **ret_env, struct err *e);
