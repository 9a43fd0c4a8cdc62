/* SPDX-License-Identifier: MIT
 *
 * What Go's templates make of a value: truth, type, order.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager/template/engine.h"

bool value_is_nil(const json_t *value)
{
    return !value || json_is_null(value);
}

bool value_is_true(const json_t *value)
{
    if (value_is_nil(value))
        return false;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return json_object_size(value) > 0;
    case JSON_ARRAY:
        return json_array_size(value) > 0;
    case JSON_STRING:
        return json_string_length(value) > 0;
    case JSON_INTEGER:
        return json_integer_value(value) != 0;
    case JSON_REAL:
        return json_real_value(value) != 0;
    default:
        return json_is_true(value);
    }
}

const char *value_type(const json_t *value)
{
    if (value_is_nil(value))
        return "<nil>";
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "map[string]interface {}";
    case JSON_ARRAY:
        return "[]interface {}";
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
        return "int";
    case JSON_REAL:
        return "float64";
    default:
        return "bool";
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **value_keys(const json_t *object)
{
    const char **keys = calloc(json_object_size(object) + 1, sizeof(*keys)), *key;
    size_t n = 0;
    json_t *value;

    if (!keys)
        return NULL;
    json_object_foreach((json_t *)object, key, value) keys[n++] = key;
    qsort(keys, n, sizeof(*keys), by_name);
    return keys;
}

static int order(const json_t *a, const json_t *b)
{
    size_t n = json_string_length(a), m = json_string_length(b);
    int r = memcmp(json_string_value(a), json_string_value(b), n < m ? n : m);

    return r ? r : n < m ? -1 : n > m;
}

static bool is_basic(const json_t *value)
{
    return !json_is_object(value) && !json_is_array(value);
}

/* JSON has two types for Go's bool. */
static int kind(const json_t *value)
{
    return json_is_false(value) ? JSON_TRUE : (int)json_typeof(value);
}

int value_equal(struct call *c, const json_t *a, const json_t *b, bool *ret_equal)
{
    bool a_nil = value_is_nil(a), b_nil = value_is_nil(b);

    if (!a_nil && !is_basic(a))
        return call_fail(c, "values of the type %s cannot be compared", value_type(a));
    if (a_nil || b_nil) {
        *ret_equal = a_nil && b_nil;
        return 0;
    }
    if (kind(a) != kind(b))
        return call_fail(c, "%s and %s cannot be compared", value_type(a), value_type(b));
    *ret_equal = json_is_string(a) ? order(a, b) == 0 : json_equal(a, b) == 1;
    return 0;
}

int value_less(struct call *c, const json_t *a, const json_t *b, bool *ret_less)
{
    if (value_is_nil(a) || value_is_nil(b) || kind(a) != kind(b))
        return call_fail(c, "%s and %s cannot be compared", value_type(a), value_type(b));
    switch (json_typeof(a)) {
    case JSON_STRING:
        *ret_less = order(a, b) < 0;
        return 0;
    case JSON_INTEGER:
        *ret_less = json_integer_value(a) < json_integer_value(b);
        return 0;
    case JSON_REAL:
        *ret_less = json_real_value(a) < json_real_value(b);
        return 0;
    default:
        return call_fail(c, "values of the type %s have no order", value_type(a));
    }
}
