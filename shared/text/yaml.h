/* SPDX-License-Identifier: MIT
 *
 * YAML 1.1 as Nomad's functions read and write it, by libyaml: as trees of jansson's values. Plain
 * yes, no, on, off, y and n are true and false, ~ and nothing null, 0x1F, 0o17 and 1_000 numbers;
 * times become texts in RFC 3339. Anchors, aliases and << are there; of several documents none is
 * read. Sources: the YAML 1.1 type repository; go-yaml 2 and go-cty-yaml, whose rules these are.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "shared/err.h"

enum yaml_as {
    YAML_AS_HCL,      /* 010 is ten; texts are written in quotes */
    YAML_AS_TEMPLATE, /* 010 is eight; quotes only where they are needed */
};

enum {
    YAML_MAX_DEPTH = 64,
    YAML_MAX_VALUES = 100000, /* aliases count as what they stand for */
};

/* Nothing at all is null. -EINVAL with line and column; -ENOMEM. */
int yaml_read(const char *text, size_t size, enum yaml_as as, json_t **ret, struct err *e);

/* With keys in order, and a line end; malloc'ed. -EINVAL: nested too deeply; -ENOMEM. */
int yaml_write(const json_t *value, enum yaml_as as, char **ret_text, size_t *ret_size);

/* What a plain scalar is: a new reference; NULL: out of memory, or a number that JSON has not. For
 * the writer too, which quotes what would become something else. */
json_t *yaml_resolve(const char *text, enum yaml_as as);
