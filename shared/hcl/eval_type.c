/* SPDX-License-Identifier: MIT
 *
 * Types of variables: string, number, bool, any, list(T), set(T), map(T), and object({ … }) and
 * tuple([ … ]), of which only the kind is looked at.
 */
#include <errno.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/hcl/eval_internal.h"

static int fail_type(const struct expr *x, const char *type, const struct hcl_value *value)
{
    return expr_fail(x, x->at, "%s is no %.40s", hcl_kind_name(value->kind), type);
}

/* Whether `type` is WORD or WORD(…); what is in the brackets goes to `inner`. */
static bool is_type(const char *type, const char *word, char *inner, size_t size)
{
    size_t n = strlen(word), len;

    if (strncmp(type, word, n) != 0)
        return false;
    type += n;
    len = strlen(type);
    while (len && strchr(" \t\r\n", type[len - 1]))
        len--;
    inner[0] = '\0';
    if (!len)
        return true;
    if (*type != '(' || type[len - 1] != ')' || len - 2 >= size)
        return false;
    memcpy(inner, type + 1, len - 2);
    inner[len - 2] = '\0';
    return true;
}

static int convert_items(const struct expr *x, const char *inner, struct hcl_value *value)
{
    struct hcl_value out = {.kind = value->kind, .pos = value->pos};
    int r = 0;

    for (size_t i = 0; r == 0 && i < value->n_items; i++) {
        struct hcl_value item = value->items[i];

        r = *inner ? type_convert(x, inner, &item) : 0;
        if (r == 0)
            r = value_append(x, &out, value->kind == HCL_MAP ? value->keys[i] : NULL, &item);
    }
    if (r == 0)
        *value = out;
    return r;
}

static int convert_scalar(const struct expr *x, const char *type, struct hcl_value *value)
{
    const struct hcl_pos pos = value->pos;
    const char *text;
    double number;
    bool boolean;
    int r = 0;

    if (*type == 's') {
        if (value->kind == HCL_LIST || value->kind == HCL_MAP)
            return fail_type(x, type, value);
        r = value_to_text(x, x->at, value, &text);
        if (r == 0)
            *value = (struct hcl_value){.kind = HCL_STRING, .string = (char *)text};
    } else if (*type == 'n') {
        if (!value_to_number(value, &number))
            return fail_type(x, type, value);
        *value = (struct hcl_value){.kind = HCL_NUMBER, .number = number};
    } else {
        if (!value_to_bool(value, &boolean))
            return fail_type(x, type, value);
        *value = (struct hcl_value){.kind = HCL_BOOL, .boolean = boolean};
    }
    value->pos = pos;
    return r;
}

int type_convert(const struct expr *x, const char *type, struct hcl_value *value)
{
    static const struct {
        const char *word;
        enum hcl_kind kind;
        bool items; /* what is in brackets is their type */
    } types[] = {
        {"list", HCL_LIST, true},   {"set", HCL_LIST, true},    {"map", HCL_MAP, true},
        {"object", HCL_MAP, false}, {"tuple", HCL_LIST, false},
    };
    static const char *const scalars[] = {"string", "number", "bool"};
    char inner[512];

    if (value->kind == HCL_NULL || is_type(type, "any", inner, sizeof(inner)))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(scalars); i++)
        if (is_type(type, scalars[i], inner, sizeof(inner)) && !*inner)
            return convert_scalar(x, scalars[i], value);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (!is_type(type, types[i].word, inner, sizeof(inner)))
            continue;
        if (value->kind != types[i].kind)
            return fail_type(x, type, value);
        return types[i].items ? convert_items(x, inner, value) : 0;
    }
    return expr_fail(x, x->at,
                     "there is no type \"%.40s\"; write string, number, bool, any, list(string), "
                     "map(string) …",
                     type);
}
