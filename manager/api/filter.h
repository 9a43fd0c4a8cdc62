/* SPDX-License-Identifier: MIT
 *
 * ?filter= of lists: Nomad's filter expressions (those of hashicorp/go-bexpr).
 *
 *     Status == running and not (JobID matches "^web-" or "dc1" in Datacenters)
 *
 * SELECTOR is names joined by dots, or in brackets and quotes: Meta["a.b"]. Operators: ==, !=, in,
 * not in, contains, not contains, matches, not matches, is empty, is not empty; and, or, not and
 * parentheses join them. A value is a word, or a text in " or `.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "shared/err.h"

struct filter;

/* -EINVAL: `e` says at which character it is wrong. */
int filter_parse(const char *text, struct filter **ret_filter, struct err *e);

/* NULL is fine; returns NULL. */
struct filter *filter_free(struct filter *f);

/* 1: `object` is wanted, 0: it is not. -EINVAL: it has no field of such a name at all, so that the
 * expression can be meant for no list it is in; or a regular expression takes too long on it. What
 * is missing deeper down is empty. */
int filter_match(const struct filter *f, const json_t *object, struct err *e);
