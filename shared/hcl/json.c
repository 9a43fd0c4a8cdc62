/* SPDX-License-Identifier: MIT
 *
 * HCL numbers are doubles; whole ones up to 2^53 become JSON integers, so that 80 stays 80.
 */
#include "shared/hcl/json.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "shared/cleanup.h"

#define EXACT_INTEGER_MAX 9007199254740992.0 /* 2^53 */

static json_t *number_to_json(double number)
{
    if (number == floor(number) && fabs(number) <= EXACT_INTEGER_MAX)
        return json_integer((json_int_t)number);
    return json_real(number);
}

static json_t *list_to_json(const struct hcl_value *value)
{
    json_t *array = json_array();

    for (size_t i = 0; i < value->n_items; i++)
        if (json_array_append_new(array, hcl_to_json(&value->items[i])) < 0)
            goto fail;
    return array;
fail:
    json_decref(array);
    return NULL;
}

static json_t *map_to_json(const struct hcl_value *value)
{
    json_t *object = json_object();

    for (size_t i = 0; i < value->n_items; i++)
        if (json_object_set_new(object, value->keys[i], hcl_to_json(&value->items[i])) < 0)
            goto fail;
    return object;
fail:
    json_decref(object);
    return NULL;
}

json_t *hcl_to_json(const struct hcl_value *value)
{
    switch (value->kind) {
    case HCL_BOOL:
        return json_boolean(value->boolean);
    case HCL_NUMBER:
        return number_to_json(value->number);
    case HCL_STRING:
        return json_string(value->string);
    case HCL_LIST:
        return list_to_json(value);
    case HCL_MAP:
        return map_to_json(value);
    default:
        return json_null();
    }
}

static int value_from_json(struct arena *arena, const json_t *json, unsigned int depth,
                           struct hcl_value *ret);

static int from_json(struct arena *arena, const json_t *json, unsigned int depth,
                     struct hcl_value *ret)
{
    size_t n = json_is_array(json) ? json_array_size(json) : json_object_size(json), i = 0;
    const char *key;
    json_t *item;

    *ret = (struct hcl_value){.kind = json_is_array(json) ? HCL_LIST : HCL_MAP};
    if (depth == HCL_MAX_DEPTH)
        return -EINVAL;
    ret->items = arena_alloc(arena, (n + 1) * sizeof(*ret->items));
    ret->keys = arena_alloc(arena, (n + 1) * sizeof(*ret->keys));
    if (!ret->items || !ret->keys)
        return -ENOMEM;
    for (; json_is_array(json) && i < n; i++) {
        int r = value_from_json(arena, json_array_get(json, i), depth + 1, &ret->items[i]);

        if (r < 0)
            return r;
    }
    json_object_foreach((json_t *)json, key, item)
    {
        int r = value_from_json(arena, item, depth + 1, &ret->items[i]);

        ret->keys[i++] = arena_copy(arena, key, strlen(key));
        if (r < 0 || !ret->keys[i - 1])
            return r < 0 ? r : -ENOMEM;
    }
    ret->n_items = n;
    return 0;
}

static int value_from_json(struct arena *arena, const json_t *json, unsigned int depth,
                           struct hcl_value *ret)
{
    *ret = (struct hcl_value){.kind = HCL_NULL};
    switch (json_typeof(json)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        return from_json(arena, json, depth, ret);
    case JSON_STRING:
        ret->kind = HCL_STRING;
        ret->string = arena_copy(arena, json_string_value(json), json_string_length(json));
        if (!ret->string)
            return -ENOMEM;
        return strlen(ret->string) == json_string_length(json) ? 0 : -EINVAL;
    case JSON_INTEGER:
    case JSON_REAL:
        ret->kind = HCL_NUMBER;
        ret->number = json_number_value(json);
        return 0;
    case JSON_TRUE:
    case JSON_FALSE:
        ret->kind = HCL_BOOL;
        ret->boolean = json_is_true(json);
        return 0;
    default:
        return 0;
    }
}

int hcl_from_json(struct arena *arena, const json_t *json, struct hcl_value *ret)
{
    return value_from_json(arena, json, 0, ret);
}
