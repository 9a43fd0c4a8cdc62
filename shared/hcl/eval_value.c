/* SPDX-License-Identifier: MIT
 *
 * Values of the evaluator: what they become as text, number and boolean, how they grow, what is in
 * them, and what operators make of them.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/hcl/eval_internal.h"
#include "shared/text/real.h"

int eval_account(const struct expr *x, const char *at, size_t size)
{
    x->ev->bytes += size;
    if (x->ev->bytes <= HCL_EVAL_MAX_BYTES)
        return 0;
    return expr_fail(x, at, "this makes too many values; ask for less");
}

int eval_step(const struct expr *x, const char *at)
{
    x->ev->steps += x->ev->options->hasty ? 100 : 1;
    if (x->ev->steps <= HCL_EVAL_MAX_STEPS)
        return 0;
    return expr_fail(x, at, "this takes too many steps; ask for less");
}

int value_set_text(const struct expr *x, const char *at, const char *text, size_t len,
                   struct hcl_value *ret)
{
    int r = eval_account(x, at, len + 1);

    if (r < 0)
        return r;
    *ret = (struct hcl_value){.kind = HCL_STRING, .string = arena_copy(x->ev->arena, text, len)};
    return ret->string ? 0 : -ENOMEM;
}

int value_to_text(const struct expr *x, const char *at, const struct hcl_value *value,
                  const char **ret)
{
    char number[64];
    struct hcl_value text;
    int r;

    switch (value->kind) {
    case HCL_STRING:
        *ret = value->string;
        return 0;
    case HCL_BOOL:
        *ret = value->boolean ? "true" : "false";
        return 0;
    case HCL_NUMBER:
        format_real(value->number, -20, 21, number);
        r = value_set_text(x, at, number, strlen(number), &text);
        if (r == 0)
            *ret = text.string;
        return r;
    default:
        return expr_fail(x, at, "a text is wanted here, not %s", hcl_kind_name(value->kind));
    }
}

bool value_to_number(const struct hcl_value *value, double *ret)
{
    char *end;
    double number;

    if (value->kind == HCL_NUMBER) {
        *ret = value->number;
        return true;
    }
    if (value->kind != HCL_STRING || !*value->string ||
        value->string[strspn(value->string, "0123456789.+-eE")])
        return false;
    number = strtod(value->string, &end);
    if (*end || !isfinite(number))
        return false;
    *ret = number;
    return true;
}

bool value_to_bool(const struct hcl_value *value, bool *ret)
{
    bool is_true = value->kind == HCL_STRING && strcmp(value->string, "true") == 0;

    if (value->kind == HCL_BOOL)
        *ret = value->boolean;
    else if (is_true || (value->kind == HCL_STRING && strcmp(value->string, "false") == 0))
        *ret = is_true;
    else
        return false;
    return true;
}

const struct hcl_value *value_get(const struct hcl_value *map, const char *key)
{
    for (size_t i = 0; map->kind == HCL_MAP && i < map->n_items; i++)
        if (strcmp(map->keys[i], key) == 0)
            return &map->items[i];
    return NULL;
}

bool value_equal(const struct hcl_value *a, const struct hcl_value *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == HCL_BOOL)
        return a->boolean == b->boolean;
    if (a->kind == HCL_NUMBER)
        return a->number == b->number;
    if (a->kind == HCL_STRING)
        return strcmp(a->string, b->string) == 0;
    if (a->n_items != b->n_items)
        return false;
    for (size_t i = 0; i < a->n_items; i++) {
        const struct hcl_value *other =
            a->kind == HCL_MAP ? value_get(b, a->keys[i]) : &b->items[i];

        if (!other || !value_equal(&a->items[i], other))
            return false;
    }
    return true;
}

bool value_contains(const struct hcl_value *list, const struct hcl_value *item)
{
    for (size_t i = 0; i < list->n_items; i++)
        if (value_equal(&list->items[i], item))
            return true;
    return false;
}

struct pair {
    char *key;
    struct hcl_value item;
};

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct pair *)a)->key, ((const struct pair *)b)->key);
}

int value_in_order(const struct expr *x, const struct hcl_value *in, struct hcl_value *ret)
{
    const struct hcl_value from = *in; /* which may be `ret` */
    size_t n = from.n_items;
    struct pair *pairs = NULL;
    bool sorted = true;

    for (size_t i = 1; from.kind == HCL_MAP && sorted && i < n; i++)
        sorted = strcmp(from.keys[i - 1], from.keys[i]) < 0;
    *ret = from;
    if (sorted)
        return 0;
    pairs = arena_alloc(x->ev->arena, n * sizeof(*pairs));
    ret->items = arena_alloc(x->ev->arena, n * sizeof(*ret->items));
    ret->keys = arena_alloc(x->ev->arena, n * sizeof(*ret->keys));
    if (!pairs || !ret->items || !ret->keys)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        pairs[i] = (struct pair){from.keys[i], from.items[i]};
    qsort(pairs, n, sizeof(*pairs), by_key);
    for (size_t i = 0; i < n; i++) {
        ret->keys[i] = pairs[i].key;
        ret->items[i] = pairs[i].item;
    }
    return eval_account(x, x->at, n * 2 * sizeof(*pairs));
}

int value_append(const struct expr *x, struct hcl_value *list, const char *key,
                 const struct hcl_value *item)
{
    struct arena *arena = x->ev->arena;
    struct hcl_value *old = key ? (struct hcl_value *)value_get(list, key) : NULL, *items;
    char **keys = list->keys;
    int r = eval_account(x, x->at, sizeof(*item));

    if (r < 0)
        return r;
    if (old) {
        *old = *item;
        return 0;
    }
    if (key && list->n_items == HCL_MAX_KEYS)
        return expr_fail(x, x->at, "more than %d keys in one map", HCL_MAX_KEYS);
    items = arena_grow(arena, list->items, list->n_items, sizeof(*items));
    if (key)
        keys = arena_grow(arena, list->keys, list->n_items, sizeof(*keys));
    if (!items || (key && !keys))
        return -ENOMEM;
    list->items = items;
    list->keys = keys;
    if (key)
        keys[list->n_items] = (char *)key;
    items[list->n_items++] = *item;
    return 0;
}

int value_index(const struct expr *x, const char *at, const struct hcl_value *of,
                const struct hcl_value *index, struct hcl_value *ret)
{
    const struct hcl_value *found = NULL;
    const char *name;
    double number;
    int r;

    if (of->kind == HCL_LIST) {
        if (value_to_number(index, &number) && number >= 0 && number < (double)of->n_items)
            found = &of->items[(size_t)number];
        if (!found)
            return expr_fail(x, at, "the list has %zu elements, counted from 0, and not this one",
                             of->n_items);
    } else if (of->kind == HCL_MAP) {
        r = value_to_text(x, at, index, &name);
        if (r < 0)
            return r;
        found = value_get(of, name);
        if (!found)
            return expr_fail(x, at, "there is no \"%.64s\" in this map; see lookup()", name);
    } else {
        return expr_fail(x, at, "%s has no parts", hcl_kind_name(of->kind));
    }
    *ret = *found;
    return 0;
}

int value_want_number(const struct expr *x, const char *at, const struct hcl_value *value,
                      double *ret)
{
    *ret = 0;
    if (x->skip || value_to_number(value, ret))
        return 0;
    return expr_fail(x, at, "a number is wanted here, not %s", hcl_kind_name(value->kind));
}

int value_compute(const struct expr *x, const char *at, const char *mark, const struct hcl_value *a,
                  const struct hcl_value *b, struct hcl_value *ret)
{
    double l, r;

    if (*mark == '=' || *mark == '!') {
        *ret = (struct hcl_value){.kind = HCL_BOOL, .boolean = value_equal(a, b) == (*mark == '=')};
        return 0;
    }
    if (value_want_number(x, at, a, &l) < 0 || value_want_number(x, at, b, &r) < 0)
        return -EINVAL;
    *ret = (struct hcl_value){.kind = strchr("<>", *mark) ? HCL_BOOL : HCL_NUMBER};
    if (*mark == '<')
        ret->boolean = mark[1] ? l <= r : l < r;
    else if (*mark == '>')
        ret->boolean = mark[1] ? l >= r : l > r;
    else if ((*mark == '/' || *mark == '%') && r == 0)
        return expr_fail(x, at, "division by zero");
    else
        ret->number = *mark == '+'   ? l + r
                      : *mark == '-' ? l - r
                      : *mark == '*' ? l * r
                      : *mark == '/' ? l / r
                                     : fmod(l, r);
    return 0;
}
