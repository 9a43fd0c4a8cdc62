/* SPDX-License-Identifier: MIT
 *
 * Values as JSON, and back.
 */
#pragma once

#include <jansson.h>

#include "shared/hcl/arena.h"
#include "shared/hcl/hcl.h"

/* A new reference; whole numbers up to 2^53 become integers. NULL: out of memory. */
json_t *hcl_to_json(const struct hcl_value *value);

/* -ENOMEM; -EINVAL: a text with a NUL in it, or nested deeper than HCL_MAX_DEPTH. */
int hcl_from_json(struct arena *arena, const json_t *json, struct hcl_value *ret);
