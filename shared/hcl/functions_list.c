/* SPDX-License-Identifier: MIT
 *
 * Functions on lists and maps, and conversions.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/hcl/functions.h"
#include "shared/hcl/json.h"

static int f_length(struct call *c)
{
    const char *text;

    if (c->args[0].kind == HCL_LIST || c->args[0].kind == HCL_MAP)
        return call_give_number(c, (double)c->args[0].n_items);
    return call_text(c, 0, &text) < 0 ? -EINVAL
                                      : call_give_number(c, (double)call_characters(text));
}

static int f_concat(struct call *c)
{
    int r = 0;

    call_give_list(c);
    for (size_t k = 0; r == 0 && k < c->n; k++) {
        r = call_kind(c, k, HCL_LIST);
        for (size_t i = 0; r == 0 && i < c->args[k].n_items; i++)
            r = call_add(c, NULL, &c->args[k].items[i]);
    }
    return r;
}

static int f_merge(struct call *c)
{
    int r = 0;

    *c->ret = (struct hcl_value){.kind = HCL_MAP};
    for (size_t k = 0; r == 0 && k < c->n; k++) {
        if (c->args[k].kind == HCL_NULL)
            continue;
        r = call_kind(c, k, HCL_MAP);
        for (size_t i = 0; r == 0 && i < c->args[k].n_items; i++)
            r = call_add(c, c->args[k].keys[i], &c->args[k].items[i]);
    }
    return r;
}

static int f_lookup(struct call *c)
{
    const struct hcl_value *found;
    const char *key;
    int r = call_kind(c, 0, HCL_MAP);

    if (r == 0)
        r = call_text(c, 1, &key);
    if (r < 0)
        return r;
    found = value_get(&c->args[0], key);
    if (!found && c->n < 3)
        return call_fail(c, "there is no \"%.64s\" in this map, and no default", key);
    *c->ret = found ? *found : c->args[2];
    return 0;
}

static int f_keys(struct call *c)
{
    struct hcl_value map = {0};
    int r = call_kind(c, 0, HCL_MAP);

    if (r == 0)
        r = value_in_order(c->x, &c->args[0], &map);
    call_give_list(c);
    for (size_t i = 0; r == 0 && i < map.n_items; i++)
        r = call_add_text(c, map.keys[i], strlen(map.keys[i]));
    return r;
}

static int f_values(struct call *c)
{
    struct hcl_value map = {0};
    int r = call_kind(c, 0, HCL_MAP);

    if (r == 0)
        r = value_in_order(c->x, &c->args[0], &map);
    call_give_list(c);
    for (size_t i = 0; r == 0 && i < map.n_items; i++)
        r = call_add(c, NULL, &map.items[i]);
    return r;
}

static int f_element(struct call *c)
{
    double index;
    int r = call_kind(c, 0, HCL_LIST);

    if (r == 0)
        r = call_number(c, 1, &index);
    if (r < 0)
        return r;
    if (!c->args[0].n_items || index < 0 || index != floor(index) || index > 1e15)
        return call_fail(c, "element() of an empty list, or before its start");
    *c->ret = c->args[0].items[(size_t)index % c->args[0].n_items];
    return 0;
}

static int f_contains(struct call *c)
{
    int r = call_kind(c, 0, HCL_LIST);

    return r < 0 ? r : call_give_bool(c, value_contains(&c->args[0], &c->args[1]));
}

/* As LIST[N], MAP[KEY]; elsewhere a function of this name tells where something is. */
static int f_index(struct call *c)
{
    return value_index(c->x, c->at, &c->args[0], &c->args[1], c->ret);
}

static int f_distinct(struct call *c)
{
    int r = call_kind(c, 0, HCL_LIST);

    call_give_list(c);
    if (r == 0 && c->args[0].n_items > 4096)
        r = call_fail(c, "%s() of more than 4096 elements", c->name);
    for (size_t i = 0; r == 0 && i < c->args[0].n_items; i++)
        if (!value_contains(c->ret, &c->args[0].items[i]))
            r = call_add(c, NULL, &c->args[0].items[i]);
    return r;
}

static int flatten(struct call *c, const struct hcl_value *list, unsigned int depth)
{
    int r = depth == HCL_EVAL_MAX_DEPTH ? call_fail(c, "flatten(): nested too deeply") : 0;

    for (size_t i = 0; r == 0 && i < list->n_items; i++)
        r = list->items[i].kind == HCL_LIST ? flatten(c, &list->items[i], depth + 1)
                                            : call_add(c, NULL, &list->items[i]);
    return r;
}

static int f_flatten(struct call *c)
{
    int r = call_kind(c, 0, HCL_LIST);

    call_give_list(c);
    return r < 0 ? r : flatten(c, &c->args[0], 0);
}

static int f_compact(struct call *c)
{
    int r = call_kind(c, 0, HCL_LIST);

    call_give_list(c);
    for (size_t i = 0; r == 0 && i < c->args[0].n_items; i++) {
        const struct hcl_value *item = &c->args[0].items[i];

        if (item->kind != HCL_NULL && (item->kind != HCL_STRING || *item->string))
            r = call_add(c, NULL, item);
    }
    return r;
}

static int f_reverse(struct call *c)
{
    int r = c->args[0].kind == HCL_LIST ? 0 : call_reverse_text(c);

    if (r < 0 || c->args[0].kind != HCL_LIST)
        return r;
    call_give_list(c);
    for (size_t i = c->args[0].n_items; r == 0 && i > 0; i--)
        r = call_add(c, NULL, &c->args[0].items[i - 1]);
    return r;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct hcl_value *)a)->string, ((const struct hcl_value *)b)->string);
}

static int f_sort(struct call *c)
{
    int r = call_kind(c, 0, HCL_LIST);

    call_give_list(c);
    for (size_t i = 0; r == 0 && i < c->args[0].n_items; i++) {
        const char *text;

        r = value_to_text(c->x, c->at, &c->args[0].items[i], &text);
        if (r == 0)
            r = call_add_text(c, text, strlen(text));
    }
    if (r == 0 && c->ret->n_items)
        qsort(c->ret->items, c->ret->n_items, sizeof(*c->ret->items), by_text);
    return r;
}

static int f_slice(struct call *c)
{
    double from, to;
    int r = call_kind(c, 0, HCL_LIST);

    if (r == 0)
        r = call_number(c, 1, &from);
    if (r == 0)
        r = call_number(c, 2, &to);
    call_give_list(c);
    if (r == 0 && (from < 0 || to < from || to > (double)c->args[0].n_items))
        r = call_fail(c, "slice(): the list has %zu elements, counted from 0", c->args[0].n_items);
    for (size_t i = (size_t)(r < 0 ? 0 : from); r == 0 && i < (size_t)to; i++)
        r = call_add(c, NULL, &c->args[0].items[i]);
    return r;
}

static int f_zipmap(struct call *c)
{
    int r = call_kind(c, 0, HCL_LIST);

    if (r == 0)
        r = call_kind(c, 1, HCL_LIST);
    if (r == 0 && c->args[0].n_items != c->args[1].n_items)
        r = call_fail(c, "the lists of zipmap() are not of one length");
    *c->ret = (struct hcl_value){.kind = HCL_MAP};
    for (size_t i = 0; r == 0 && i < c->args[0].n_items; i++) {
        const char *key;

        r = value_to_text(c->x, c->at, &c->args[0].items[i], &key);
        if (r == 0)
            r = call_add(c, key, &c->args[1].items[i]);
    }
    return r;
}

/* The first that is not null; a text if texts are among them. */
static int f_coalesce(struct call *c)
{
    const struct hcl_value *found = NULL;
    bool text = false;

    for (size_t i = 0; i < c->n; i++) {
        found = found || c->args[i].kind == HCL_NULL ? found : &c->args[i];
        text = text || c->args[i].kind == HCL_STRING;
    }
    if (!found)
        return call_fail(c, "coalesce(): all of them are null");
    *c->ret = *found;
    if (!text || (found->kind != HCL_NUMBER && found->kind != HCL_BOOL))
        return 0;
    c->ret->kind = HCL_STRING;
    return value_to_text(c->x, c->at, found, (const char **)&c->ret->string);
}

static int f_coalescelist(struct call *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->args[i].kind == HCL_LIST && c->args[i].n_items) {
            *c->ret = c->args[i];
            return 0;
        }
    return call_fail(c, "coalescelist(): all of them are empty");
}

/* ---- conversions ---- */

static int f_convert(struct call *c)
{
    *c->ret = c->args[0];
    return type_convert(c->x, c->name + 2, c->ret); /* "tostring": "string" */
}

static int f_tolist(struct call *c)
{
    int r = call_kind(c, 0, HCL_LIST);

    *c->ret = c->args[0];
    return r;
}

static int f_toset(struct call *c)
{
    return f_distinct(c);
}

static int f_tomap(struct call *c)
{
    int r = call_kind(c, 0, HCL_MAP);

    *c->ret = c->args[0];
    return r;
}

const struct function functions_list[] = {
    {"coalesce", 1, 0, f_coalesce},
    {"coalescelist", 1, 0, f_coalescelist},
    {"compact", 1, 1, f_compact},
    {"concat", 1, 0, f_concat},
    {"contains", 2, 2, f_contains},
    {"distinct", 1, 1, f_distinct},
    {"element", 2, 2, f_element},
    {"flatten", 1, 1, f_flatten},
    {"index", 2, 2, f_index},
    {"keys", 1, 1, f_keys},
    {"length", 1, 1, f_length},
    {"lookup", 2, 3, f_lookup},
    {"merge", 1, 0, f_merge},
    {"reverse", 1, 1, f_reverse},
    {"slice", 3, 3, f_slice},
    {"sort", 1, 1, f_sort},
    {"tobool", 1, 1, f_convert},
    {"tolist", 1, 1, f_tolist},
    {"tomap", 1, 1, f_tomap},
    {"tonumber", 1, 1, f_convert},
    {"toset", 1, 1, f_toset},
    {"tostring", 1, 1, f_convert},
    {"values", 1, 1, f_values},
    {"zipmap", 2, 2, f_zipmap},
    {0},
};
