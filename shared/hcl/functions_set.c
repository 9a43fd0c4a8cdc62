/* SPDX-License-Identifier: MIT
 *
 * Functions on sets, which are lists in order with no two alike, and other ways to cut up lists.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/hcl/functions.h"

enum {
    MAX_ELEMENTS = 4096
};

static int by_value(const void *left, const void *right)
{
    const struct hcl_value *a = left, *b = right;

    if (a->kind == HCL_STRING)
        return strcmp(a->string, b->string);
    if (a->kind == HCL_NUMBER)
        return (a->number > b->number) - (a->number < b->number);
    return (int)a->boolean - (int)b->boolean;
}

/* Argument `i` with no two alike. */
static int take_set(struct call *c, size_t i, struct hcl_value *ret)
{
    int r = call_kind(c, i, HCL_LIST);

    *ret = (struct hcl_value){.kind = HCL_LIST};
    if (r == 0 && c->args[i].n_items > MAX_ELEMENTS)
        r = call_fail(c, "%s() of more than %d elements", c->name, MAX_ELEMENTS);
    for (size_t k = 0; r == 0 && k < c->args[i].n_items; k++)
        if (!value_contains(ret, &c->args[i].items[k]))
            r = value_append(c->x, ret, NULL, &c->args[i].items[k]);
    return r;
}

/* Scalars of several kinds become texts, and scalars get an order. */
static int give_set(struct call *c)
{
    struct hcl_value mixed = *c->ret;
    bool alike = true, scalar = true;
    int r = 0;

    for (size_t i = 0; i < mixed.n_items; i++) {
        alike = alike && mixed.items[i].kind == mixed.items[0].kind;
        scalar = scalar && mixed.items[i].kind >= HCL_BOOL && mixed.items[i].kind <= HCL_STRING;
    }
    if (!scalar)
        return 0;
    if (!alike)
        call_give_list(c);
    for (size_t i = 0; !alike && r == 0 && i < mixed.n_items; i++) {
        struct hcl_value item = {.kind = HCL_STRING};

        r = value_to_text(c->x, c->at, &mixed.items[i], (const char **)&item.string);
        if (r == 0 && !value_contains(c->ret, &item))
            r = call_add(c, NULL, &item);
    }
    if (r == 0 && c->ret->n_items)
        qsort(c->ret->items, c->ret->n_items, sizeof(*c->ret->items), by_value);
    return r;
}

static int f_setunion(struct call *c)
{
    struct hcl_value set;
    int r = 0;

    call_give_list(c);
    for (size_t i = 0; r == 0 && i < c->n; i++) {
        r = take_set(c, i, &set);
        if (r == 0 && c->ret->n_items + set.n_items > MAX_ELEMENTS)
            r = call_fail(c, "%s() of more than %d elements", c->name, MAX_ELEMENTS);
        for (size_t k = 0; r == 0 && k < set.n_items; k++)
            if (!value_contains(c->ret, &set.items[k]))
                r = call_add(c, NULL, &set.items[k]);
    }
    return r < 0 ? r : give_set(c);
}

static int f_setintersection(struct call *c)
{
    struct hcl_value first, other;
    int r = take_set(c, 0, &first);

    call_give_list(c);
    for (size_t k = 0; r == 0 && k < first.n_items; k++) {
        bool everywhere = true;

        r = eval_step(c->x, c->at);
        for (size_t i = 1; r == 0 && everywhere && i < c->n; i++) {
            r = k == 0 ? take_set(c, i, &other) : 0; /* that it is a list, once */
            everywhere = r == 0 && value_contains(&c->args[i], &first.items[k]);
        }
        if (r == 0 && everywhere)
            r = call_add(c, NULL, &first.items[k]);
    }
    return r < 0 ? r : give_set(c);
}

/* Every combination of an element of each, the last changing first. */
static int f_setproduct(struct call *c)
{
    struct hcl_value *ret = c->ret;
    size_t n = 1;
    int r = c->n < 2 ? call_fail(c, "setproduct() takes two lists or more") : 0;

    for (size_t i = 0; r == 0 && i < c->n; i++) {
        r = call_kind(c, i, HCL_LIST);
        n *= c->args[i].n_items;
        if (r == 0 && n > 65536)
            r = call_fail(c, "setproduct() of more than 65536 combinations");
    }
    *ret = (struct hcl_value){.kind = HCL_LIST};
    for (size_t k = 0; r == 0 && k < n; k++) {
        struct hcl_value row = {.kind = HCL_LIST};
        size_t rest = n, at = k;

        for (size_t i = 0; r == 0 && i < c->n; i++) {
            rest /= c->args[i].n_items;
            r = value_append(c->x, &row, NULL, &c->args[i].items[at / rest]);
            at %= rest;
        }
        if (r == 0)
            r = value_append(c->x, ret, NULL, &row);
    }
    return r;
}

static int f_chunklist(struct call *c)
{
    struct hcl_value chunk = {.kind = HCL_LIST};
    double size;
    int r = call_kind(c, 0, HCL_LIST);

    if (r == 0)
        r = call_number(c, 1, &size);
    if (r == 0 && (size < 0 || size != floor(size)))
        r = call_fail(c, "the size of chunklist() is 0 or more");
    call_give_list(c);
    for (size_t i = 0; r == 0 && i < c->args[0].n_items; i++) {
        r = value_append(c->x, &chunk, NULL, &c->args[0].items[i]);
        if (r == 0 && ((double)chunk.n_items == size || i + 1 == c->args[0].n_items)) {
            r = call_add(c, NULL, &chunk);
            chunk = (struct hcl_value){.kind = HCL_LIST};
        }
    }
    return r;
}

const struct function functions_set[] = {
    {"chunklist", 2, 2, f_chunklist},
    {"setintersection", 1, 0, f_setintersection},
    {"setproduct", 1, 0, f_setproduct},
    {"setunion", 1, 0, f_setunion},
    {0},
};
