/* SPDX-License-Identifier: MIT
 *
 * Conversions only: no names, no positions, no messages (schema.c has those).
 */
#include "shared/job/value.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/hcl/json.h"
#include "shared/units.h"

#define EXACT_INTEGER_MAX 9007199254740992.0 /* 2^53 */

/* ---- HCL ---- */

json_t *value_from_hcl(const struct hcl_value *value)
{
    return hcl_to_json(value);
}

/* object[key] becomes, or grows as, an array with `item` (stolen) at its end. */
static int append_under(json_t *object, const char *key, json_t *item)
{
    json_t *array = json_object_get(object, key);

    if (!json_is_array(array)) {
        array = json_array();
        if (json_object_set_new(object, key, array) < 0) {
            json_decref(item);
            return -ENOMEM;
        }
    }
    return json_array_append_new(array, item) < 0 ? -ENOMEM : 0;
}

static int add_block(json_t *object, const struct hcl_block *block)
{
    autojson json_t *item = value_from_body(block->body);

    for (size_t i = block->n_labels; i > 0; i--) {
        autojson json_t *around = json_object();

        if (!item || append_under(around, block->labels[i - 1], take_ptr(item)) < 0)
            return -ENOMEM;
        item = take_ptr(around);
    }
    return item ? append_under(object, block->type, take_ptr(item)) : -ENOMEM;
}

json_t *value_from_body(const struct hcl_body *body)
{
    autojson json_t *object = json_object();

    for (size_t i = 0; i < body->n_attrs; i++)
        if (json_object_set_new(object, body->attrs[i].name,
                                value_from_hcl(&body->attrs[i].value)) < 0)
            return NULL;
    for (size_t i = 0; i < body->n_blocks; i++)
        if (add_block(object, &body->blocks[i]) < 0)
            return NULL;
    return take_ptr(object);
}

/* ---- scalars ---- */

int value_text(const json_t *json, char **ret)
{
    char *text;
    int n;

    switch (json ? json_typeof(json) : JSON_NULL) {
    case JSON_STRING:
        if (strlen(json_string_value(json)) != json_string_length(json))
            return -EINVAL;
        n = asprintf(&text, "%s", json_string_value(json));
        break;
    case JSON_INTEGER:
        n = asprintf(&text, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
        break;
    case JSON_REAL:
        n = asprintf(&text, "%.15g", json_real_value(json));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        n = asprintf(&text, "%s", json_is_true(json) ? "true" : "false");
        break;
    default:
        return -EINVAL;
    }
    if (n < 0)
        return -ENOMEM;
    *ret = text;
    return 0;
}

int value_bool(const json_t *json, bool *ret)
{
    const char *text = json_string_value(json);

    if (!json_is_boolean(json) && (!text || (strcmp(text, "true") && strcmp(text, "false"))))
        return -EINVAL;
    *ret = text ? text[0] == 't' : json_is_true(json);
    return 0;
}

int value_int(const json_t *json, int64_t *ret)
{
    const char *text = json_string_value(json);
    char *end;
    long long number;

    if (json_is_integer(json)) {
        *ret = json_integer_value(json);
        return 0;
    }
    if (json_is_real(json)) {
        double real = json_real_value(json);

        if (real != floor(real) || fabs(real) > EXACT_INTEGER_MAX)
            return -EINVAL;
        *ret = (int64_t)real;
        return 0;
    }
    if (!text || !*text || strspn(text, "-0123456789") != strlen(text))
        return -EINVAL;
    errno = 0;
    number = strtoll(text, &end, 10);
    if (errno || *end)
        return -EINVAL;
    *ret = number;
    return 0;
}

int value_duration(const json_t *json, int64_t *ret_ns)
{
    uint64_t ns;

    if (!json_is_string(json))
        return value_int(json, ret_ns);
    if (duration_parse(json_string_value(json), &ns) < 0 || ns > INT64_MAX)
        return -EINVAL;
    *ret_ns = (int64_t)ns;
    return 0;
}

int value_size(const json_t *json, int64_t *ret_bytes)
{
    uint64_t bytes;

    if (!json_is_string(json))
        return value_int(json, ret_bytes);
    if (size_parse(json_string_value(json), &bytes) < 0 || bytes > INT64_MAX)
        return -EINVAL;
    *ret_bytes = (int64_t)bytes;
    return 0;
}

/* ---- lists and maps ---- */

void value_free_strings(char **strings)
{
    for (size_t i = 0; strings && strings[i]; i++)
        free(strings[i]);
    free(strings);
}

int value_strings(const json_t *json, char ***ret)
{
    size_t n = json_array_size(json);
    char **strings;

    if (!json_is_array(json))
        return -EINVAL;
    strings = calloc(n + 1, sizeof(*strings));
    if (!strings)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        int r = value_text(json_array_get(json, i), &strings[i]);

        if (r < 0) {
            value_free_strings(strings);
            return r;
        }
    }
    *ret = strings;
    return 0;
}

int value_string_map(const json_t *json, json_t **ret)
{
    autojson json_t *map = json_object();
    const char *key;
    json_t *item;

    if (!json_is_object(json))
        return -EINVAL;
    if (!map)
        return -ENOMEM;
    json_object_foreach((json_t *)json, key, item)
    {
        autofree char *text = NULL;
        int r = value_text(item, &text);

        if (r < 0)
            return r;
        if (json_object_set_new(map, key, json_string(text)) < 0)
            return -ENOMEM;
    }
    *ret = take_ptr(map);
    return 0;
}

json_t *value_copy(const json_t *json)
{
    autojson json_t *copy = json_deep_copy(json);

    /* jansson leaves out what it has no memory for and says nothing */
    return json_equal(copy, json) ? take_ptr(copy) : NULL;
}

/* ---- judgements ---- */

bool value_is_empty(const json_t *json)
{
    const char *key;
    json_t *item;

    switch (json ? json_typeof(json) : JSON_NULL) {
    case JSON_STRING:
        return json_string_length(json) == 0;
    case JSON_INTEGER:
    case JSON_REAL:
        return json_number_value(json) == 0;
    case JSON_ARRAY:
        return json_array_size(json) == 0;
    case JSON_OBJECT:
        json_object_foreach((json_t *)json, key, item) if (!value_is_empty(item)) return false;
        return true;
    default:
        return !json_is_true(json);
    }
}

static bool is_like(const json_t *json, const json_t *model)
{
    const char *key;
    json_t *item;

    if (!json_is_object(json) || !json_is_object(model))
        return json_equal(json, model);
    json_object_foreach((json_t *)json, key,
                        item) if (!value_is_empty(item) &&
                                  !json_equal(item, json_object_get(model, key))) return false;
    return true;
}

bool value_is_neutral(const json_t *json, const json_t *neutral)
{
    size_t i;
    json_t *model;

    json_array_foreach(neutral, i, model) if (is_like(json, model)) return true;
    return value_is_empty(json);
}

bool value_has_reference(const json_t *json)
{
    const char *key;
    json_t *item;
    size_t i;

    json_array_foreach(json, i, item) if (value_has_reference(item)) return true;
    json_object_foreach((json_t *)json, key, item) if (value_has_reference(item)) return true;
    return json_is_string(json) && strstr(json_string_value(json), "${");
}

static bool is_within(const json_t *json, unsigned int depth)
{
    const char *key;
    json_t *item;
    size_t i;

    if ((json_is_array(json) || json_is_object(json)) && depth == 0)
        return false;
    json_array_foreach(json, i, item) if (!is_within(item, depth - 1)) return false;
    json_object_foreach((json_t *)json, key, item) if (!is_within(item, depth - 1)) return false;
    return true;
}

bool value_is_shallow(const json_t *json)
{
    return is_within(json, VALUE_MAX_DEPTH);
}

const char *value_kind_name(const json_t *json)
{
    switch (json ? json_typeof(json) : JSON_NULL) {
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_ARRAY:
        return "a list";
    case JSON_OBJECT:
        return "a map";
    case JSON_NULL:
        return "null";
    default:
        return "a boolean";
    }
}
