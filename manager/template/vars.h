/* SPDX-License-Identifier: MIT
 *
 * nomadVar from files: the variable "nomad/jobs/web" is DIR/nomad/jobs/web.json, an object of
 * strings, or one with such an object as its "Items", as `nomad var get -out json` prints it.
 */
#pragma once

#include <jansson.h>

#include "shared/err.h"

/* A new object of strings. -ENOENT, -EINVAL, … */
int vars_read(const char *dir, const char *path, json_t **ret_items, struct err *e);

/* A new array of {"Path": …}: those whose path begins with `prefix`, in order. */
int vars_list(const char *dir, const char *prefix, json_t **ret_list, struct err *e);
