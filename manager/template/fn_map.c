/* SPDX-License-Identifier: MIT
 *
 * Lists and maps: looking for elements, pairs of Consul's made into maps, scratch.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager/template/engine.h"
#include "shared/cleanup.h"

enum {
    MAX_PARTS = 64 /* of a key between slashes */
};

static int give_bool(struct call *c, int r, bool value, json_t **ret)
{
    return r ? r : eval_keep(c->ev, json_boolean(value), ret);
}

/* ---- in, contains ---- */

static bool same(const json_t *a, const json_t *b)
{
    if (!a || !b || json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_string(a))
        return json_string_length(a) == json_string_length(b) &&
               memcmp(json_string_value(a), json_string_value(b), json_string_length(a)) == 0;
    return json_is_number(a) && json_equal(a, b);
}

static int is_in(struct call *c, const json_t *in, const json_t *what, bool *ret)
{
    int r = eval_step(c->ev, 1 + json_array_size(in) + json_string_length(in) / 64);

    *ret = false;
    if (json_is_string(in) && json_is_string(what))
        *ret = memmem(json_string_value(in), json_string_length(in), json_string_value(what),
                      json_string_length(what)) != NULL;
    for (size_t i = 0; !*ret && i < json_array_size(in); i++)
        *ret = same(json_array_get(in, i), what);
    return r;
}

static int fn_in(struct call *c, json_t **ret)
{
    bool contains = c->fn->id == TMPL_FN_CONTAINS, found;
    int r = is_in(c, c->args[contains], c->args[!contains], &found);

    return give_bool(c, r, found, ret);
}

/* Looks for the first of the needles that is (or is not) there, which decides. */
static int fn_contains_some(struct call *c, json_t **ret)
{
    bool result = c->fn->id == TMPL_FN_CONTAINS_ALL || c->fn->id == TMPL_FN_CONTAINS_NONE;
    bool passes = c->fn->id == TMPL_FN_CONTAINS_ALL || c->fn->id == TMPL_FN_CONTAINS_NOT_ALL;
    json_t *needles;
    int r = call_list(c, 0, &needles);

    for (size_t i = 0; !r && i < json_array_size(needles); i++) {
        bool found;

        r = is_in(c, c->args[1], json_array_get(needles, i), &found);
        if (!r && found != passes)
            return give_bool(c, 0, !result, ret);
    }
    return give_bool(c, r, result, ret);
}

/* ---- loop ---- */

static int loop_bound(struct call *c, size_t i, json_int_t *ret)
{
    const char *text = json_string_value(c->args[i]);
    char *end;

    if (json_is_integer(c->args[i])) {
        *ret = json_integer_value(c->args[i]);
        return 0;
    }
    if (!text)
        return call_fail(c, "argument %zu is to be a whole number, and is of the type %s", i + 1,
                         value_type(c->args[i]));
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return errno || *end ? call_fail(c, "\"%.64s\" is no whole number", text) : 0;
}

static int fn_loop(struct call *c, json_t **ret)
{
    json_int_t from = 0, to;
    json_t *list = NULL;
    int r = loop_bound(c, c->n - 1, &to);

    if (!r && c->n == 2)
        r = loop_bound(c, 0, &from);
    if (!r)
        r = eval_keep(c->ev, json_array(), &list);
    for (json_int_t i = from; !r && i < to; i++) {
        r = eval_spend(c->ev, 64);
        if (!r && json_array_append_new(list, json_integer(i)))
            r = -ENOMEM;
    }
    *ret = list;
    return r;
}

/* ---- pairs of Consul's ---- */

static int set_value(struct call *c, json_t *map, const char *key, json_t *value)
{
    int r = eval_spend(c->ev, strlen(key) + 128);

    if (r)
        return r;
    return json_object_set_nocheck(map, key, value) ? -ENOMEM : 0;
}

static int inner_map(struct call *c, json_t *map, const char *key, json_t **ret)
{
    json_t *inner = json_object_get(map, key), *made;
    int r;

    if (inner && !json_is_object(inner))
        return call_fail(c, "\"%.64s\" has a value, and keys below it", key);
    if (!inner) {
        made = json_object();
        r = made ? set_value(c, map, key, made) : -ENOMEM;
        json_decref(made);
        if (r)
            return r;
        inner = json_object_get(map, key);
    }
    *ret = inner;
    return 0;
}

static int explode_one(struct call *c, json_t *map, const char *path, json_t *value)
{
    autofree char *copy = strdup(path);
    char *at = copy, *slash;
    int r = copy ? 0 : -ENOMEM;

    for (unsigned int n = 0; !r && (slash = strchr(at, '/')); at = slash + 1) {
        *slash = '\0';
        r = ++n > MAX_PARTS ? call_fail(c, "\"%.64s\" has more than %d parts", path, MAX_PARTS)
                            : inner_map(c, map, at, &map);
    }
    return r || !*at ? r : set_value(c, map, at, value);
}

static int pair(struct call *c, const json_t *item, const char **ret_key, json_t **ret_value)
{
    *ret_key = json_string_value(json_object_get(item, "Key"));
    *ret_value = json_object_get(item, "Value");
    return *ret_key ? 0 : call_fail(c, "its argument is what ls or tree returned, and this is not");
}

static int fn_explode(struct call *c, json_t **ret)
{
    json_t *list, *map = NULL, *value;
    const char *key;
    int r = call_list(c, 0, &list);

    if (!r)
        r = eval_keep(c->ev, json_object(), &map);
    for (size_t i = 0; !r && i < json_array_size(list); i++) {
        r = pair(c, json_array_get(list, i), &key, &value);
        if (!r)
            r = explode_one(c, map, key, value);
    }
    *ret = map;
    return r;
}

static int fn_explode_map(struct call *c, json_t **ret)
{
    autofree const char **keys = NULL;
    json_t *from, *map = NULL;
    int r = call_map(c, 0, &from);

    if (!r)
        r = eval_keep(c->ev, json_object(), &map);
    if (r)
        return r;
    keys = value_keys(from);
    r = keys ? 0 : -ENOMEM;
    for (size_t i = 0; !r && keys[i]; i++)
        r = explode_one(c, map, keys[i], json_object_get(from, keys[i]));
    *ret = map;
    return r;
}

static int fn_by_key(struct call *c, json_t **ret)
{
    json_t *list, *map = NULL, *group, *value;
    const char *key;
    int r = call_list(c, 0, &list);

    if (!r)
        r = eval_keep(c->ev, json_object(), &map);
    for (size_t i = 0; !r && i < json_array_size(list); i++) {
        autofree char *top = NULL;
        json_t *item = json_array_get(list, i), *copy = NULL;
        const char *rest;

        r = pair(c, item, &key, &value);
        rest = r ? NULL : strchr(key, '/');
        if (!rest || !rest[1])
            continue;
        top = strndup(key, (size_t)(rest - key));
        r = top ? inner_map(c, map, top, &group) : -ENOMEM;
        if (!r)
            r = eval_keep(c->ev, json_copy(item), &copy);
        if (!r && json_object_set_new_nocheck(copy, "Key", json_string_nocheck(rest + 1)))
            r = -ENOMEM;
        if (!r)
            r = set_value(c, group, rest + 1, copy);
    }
    *ret = map;
    return r;
}

/* ---- merging ---- */

/* A copy that shares nothing; counted. */
static int copy_value(struct call *c, const json_t *value, unsigned int depth, json_t **ret)
{
    const char *key;
    json_t *item;
    size_t i;
    int r = eval_spend(c->ev, 64 + json_string_length(value));

    if (r)
        return r;
    if (depth > MAX_PARTS)
        return call_fail(c, "a value nests deeper than %d", MAX_PARTS);
    if (!json_is_object(value) && !json_is_array(value)) {
        *ret = value ? json_deep_copy(value) : json_null();
        return *ret ? 0 : -ENOMEM;
    }
    *ret = json_is_object(value) ? json_object() : json_array();
    if (!*ret)
        return -ENOMEM;
    json_object_foreach((json_t *)value, key, item)
    {
        json_t *copy;

        r = eval_spend(c->ev, strlen(key) + 64);
        if (!r)
            r = copy_value(c, item, depth + 1, &copy);
        if (!r && json_object_set_new_nocheck(*ret, key, copy))
            r = -ENOMEM;
        if (r)
            break;
    }
    json_array_foreach((json_t *)value, i, item)
    {
        json_t *copy;

        if (!r)
            r = copy_value(c, item, depth + 1, &copy);
        if (!r && json_array_append_new(*ret, copy))
            r = -ENOMEM;
        if (r)
            break;
    }
    if (r) {
        json_decref(*ret);
        *ret = NULL;
    }
    return r;
}

static int merge(struct call *c, json_t *into, const json_t *from, bool override)
{
    const char *key;
    json_t *item;
    int r = 0;

    json_object_foreach((json_t *)from, key, item)
    {
        json_t *there = json_object_get(into, key), *copy;

        if (json_is_object(there) && json_is_object(item))
            r = merge(c, there, item, override);
        else if (!value_is_true(there) || (override && value_is_true(item))) {
            r = copy_value(c, item, 0, &copy);
            if (!r && json_object_set_new_nocheck(into, key, copy))
                r = -ENOMEM;
        }
        if (!r)
            r = eval_step(c->ev, 1);
        if (r)
            return r;
    }
    return 0;
}

static int fn_merge(struct call *c, json_t **ret)
{
    json_t *into, *from, *copy;
    int r = call_map(c, 0, &into);

    if (!r)
        r = call_map(c, 1, &from);
    if (!r)
        r = copy_value(c, into, 0, &copy);
    if (!r)
        r = eval_keep(c->ev, copy, ret);
    return r ? r : merge(c, *ret, from, c->fn->id == TMPL_FN_MERGE_MAP_OVER);
}

/* ---- scratch ---- */

static int name(struct call *c, size_t i, const char **ret)
{
    size_t size;
    int r = call_string(c, i, ret, &size);

    return r || strlen(*ret) == size ? r : call_fail(c, "there is a NUL in the name");
}

/* What is put in is copied: no value ever holds itself. */
static int put(struct call *c, json_t *map, const char *key, const json_t *value, bool keep)
{
    json_t *copy;
    int r;

    if (keep && json_object_get(map, key))
        return 0;
    r = copy_value(c, value, 0, &copy);
    if (!r)
        r = eval_spend(c->ev, strlen(key) + 128);
    if (!r && json_object_set_new_nocheck(map, key, copy))
        r = -ENOMEM;
    return r;
}

static int fn_scratch_get(struct call *c, json_t **ret)
{
    const char *key;
    json_t *value;
    int r = name(c, 0, &key);

    if (r)
        return r;
    value = json_object_get(c->ev->scratch, key);
    if (c->fn->id == TMPL_FN_SCRATCH_KEY)
        return give_bool(c, 0, value != NULL, ret);
    if (!value)
        return 0;
    /* it may be replaced while it is in use: the pool holds it as well */
    return eval_keep(c->ev, json_incref(value), ret);
}

static int fn_scratch_set(struct call *c, json_t **ret)
{
    const char *key;
    int r = name(c, 0, &key);

    if (!r)
        r = put(c, c->ev->scratch, key, c->args[1], c->fn->id == TMPL_FN_SCRATCH_SETX);
    return r ? r : eval_string(c->ev, "", 0, ret);
}

/* The map is copied each time, for one that was read before stays as it was read. */
static int fn_scratch_map_set(struct call *c, json_t **ret)
{
    json_t *scratch = c->ev->scratch, *map, *fresh;
    const char *key, *inner;
    int r = name(c, 0, &key);

    if (!r)
        r = name(c, 1, &inner);
    if (r)
        return r;
    map = json_object_get(scratch, key);
    if (map && !json_is_object(map))
        return call_fail(c, "\"%.64s\" is no map", key);
    r = eval_spend(c->ev, 64 * json_object_size(map));
    if (r)
        return r;
    fresh = map ? json_copy(map) : json_object();
    if (!fresh)
        return -ENOMEM;
    r = put(c, fresh, inner, c->args[2], c->fn->id == TMPL_FN_SCRATCH_MAP_SETX);
    if (!r)
        r = eval_spend(c->ev, strlen(key) + 128);
    if (!r && json_object_set_nocheck(scratch, key, fresh))
        r = -ENOMEM;
    json_decref(fresh);
    return r ? r : eval_string(c->ev, "", 0, ret);
}

static int fn_scratch_map_values(struct call *c, json_t **ret)
{
    autofree const char **keys = NULL;
    json_t *map, *list = NULL;
    const char *key;
    int r = name(c, 0, &key);

    if (r)
        return r;
    map = json_object_get(c->ev->scratch, key);
    if (map && !json_is_object(map))
        return call_fail(c, "\"%.64s\" is no map", key);
    r = eval_spend(c->ev, 8 * json_object_size(map));
    if (!r)
        r = eval_keep(c->ev, json_array(), &list);
    if (r)
        return r;
    *ret = list;
    keys = value_keys(map);
    for (size_t i = 0; keys && keys[i]; i++)
        if (json_array_append(list, json_object_get(map, keys[i])))
            return -ENOMEM;
    return keys ? 0 : -ENOMEM;
}

const function functions_map[TMPL_FN_N] = {
    [TMPL_FN_IN] = fn_in,
    [TMPL_FN_CONTAINS] = fn_in,
    [TMPL_FN_CONTAINS_ALL] = fn_contains_some,
    [TMPL_FN_CONTAINS_ANY] = fn_contains_some,
    [TMPL_FN_CONTAINS_NONE] = fn_contains_some,
    [TMPL_FN_CONTAINS_NOT_ALL] = fn_contains_some,
    [TMPL_FN_LOOP] = fn_loop,
    [TMPL_FN_EXPLODE] = fn_explode,
    [TMPL_FN_EXPLODE_MAP] = fn_explode_map,
    [TMPL_FN_BY_KEY] = fn_by_key,
    [TMPL_FN_MERGE_MAP] = fn_merge,
    [TMPL_FN_MERGE_MAP_OVER] = fn_merge,
    [TMPL_FN_SCRATCH_KEY] = fn_scratch_get,
    [TMPL_FN_SCRATCH_GET] = fn_scratch_get,
    [TMPL_FN_SCRATCH_SET] = fn_scratch_set,
    [TMPL_FN_SCRATCH_SETX] = fn_scratch_set,
    [TMPL_FN_SCRATCH_MAP_SET] = fn_scratch_map_set,
    [TMPL_FN_SCRATCH_MAP_SETX] = fn_scratch_map_set,
    [TMPL_FN_SCRATCH_MAP_VALUES] = fn_scratch_map_values,
};
