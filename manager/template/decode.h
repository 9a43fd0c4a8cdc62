/* SPDX-License-Identifier: MIT
 *
 * What Consul and Vault answer with, as templates see it. Pure over buffers.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "shared/err.h"

/* A list of keys below `prefix`: [{"Path", "Key", "Value", "CreateIndex", …}], Key without the
 * prefix. -EPROTO. */
int decode_pairs(const char *body, size_t size, const char *prefix, json_t **ret, struct err *e);

/* A secret: {"Data", "LeaseID", "LeaseDuration", "Renewable", "RequestID"}. NULL in *ret: it was
 * deleted. -EPROTO. */
int decode_secret(const char *body, size_t size, json_t **ret, struct err *e);

/* A list of names. -EPROTO. */
int decode_names(const char *body, size_t size, json_t **ret, struct err *e);

/* Where the secret `path` is, "/v1/secret/data/x?version=1", by what Vault says of its mount
 * (`body`; NULL: nothing). malloc'ed; NULL: out of memory. */
char *decode_mount(const char *body, const char *path, const char *query, bool list);
