/* SPDX-License-Identifier: MIT
 *
 * Values between HCL, JSON and C, with the conversions people rely on in job files: numbers and
 * booleans where text is wanted, quoted numbers where numbers are (HCL converts both ways).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/hcl/hcl.h"

enum {
    VALUE_MAX_DEPTH = 64
};

/* New references; NULL: out of memory. Blocks become arrays of objects, and each label of a block
 * an object around it, as Nomad's own JSON shows them. */
json_t *value_from_hcl(const struct hcl_value *value);
json_t *value_from_body(const struct hcl_body *body);

/* 0; -EINVAL: cannot be read as that. Text is malloc'ed (-ENOMEM). */
int value_text(const json_t *json, char **ret);
int value_bool(const json_t *json, bool *ret);
int value_int(const json_t *json, int64_t *ret);
int value_duration(const json_t *json, int64_t *ret_ns);
int value_size(const json_t *json, int64_t *ret_bytes);

/* Lists: a malloc'ed NULL-terminated array; free with value_free_strings(). Maps: a new object of
 * strings. */
int value_strings(const json_t *json, char ***ret);
int value_string_map(const json_t *json, json_t **ret);
void value_free_strings(char **strings);

/* A copy that shares nothing (new reference); NULL: out of memory. */
json_t *value_copy(const json_t *json);

/* Whether a value asks for nothing: null, false, 0, "", [], {}, or an object of only such. */
bool value_is_empty(const json_t *json);

/* The same, or like one of `neutral` (an array): equal, or an object whose every member is empty or
 * equal to that one's. */
bool value_is_neutral(const json_t *json, const json_t *neutral);

/* Whether some text in it has a "${". */
bool value_has_reference(const json_t *json);

/* Whether lists and maps nest at most VALUE_MAX_DEPTH deep. */
bool value_is_shallow(const json_t *json);

/* "a string", "a list" … for messages. */
const char *value_kind_name(const json_t *json);

static inline void value_cleanup(json_t **json)
{
    json_decref(*json);
}

#define autojson __attribute__((cleanup(value_cleanup)))
