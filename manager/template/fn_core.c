/* SPDX-License-Identifier: MIT
 *
 * The functions Go's templates have of themselves ("Functions" in the documentation of
 * text/template), but for `and` and `or`, which are no calls; and what all functions use to look at
 * their arguments.
 */
#include <errno.h>
#include <string.h>

#include "manager/template/engine.h"
#include "shared/tmpl/lexer.h"

/* ---- arguments ---- */

static int wrong_type(struct call *c, size_t i, const char *wanted)
{
    return call_fail(c, "argument %zu is to be of the type %s, and is %s", i + 1, wanted,
                     value_type(c->args[i]));
}

int call_string(struct call *c, size_t i, const char **ret_bytes, size_t *ret_size)
{
    if (!json_is_string(c->args[i]))
        return wrong_type(c, i, "string");
    *ret_bytes = json_string_value(c->args[i]);
    *ret_size = json_string_length(c->args[i]);
    return eval_step(c->ev, *ret_size / 64);
}

int call_int(struct call *c, size_t i, int64_t *ret)
{
    if (!json_is_integer(c->args[i]))
        return wrong_type(c, i, "int");
    *ret = json_integer_value(c->args[i]);
    return 0;
}

int call_map(struct call *c, size_t i, json_t **ret)
{
    if (!json_is_object(c->args[i]))
        return wrong_type(c, i, "map");
    *ret = c->args[i];
    return eval_step(c->ev, json_object_size(*ret));
}

int call_list(struct call *c, size_t i, json_t **ret)
{
    if (!json_is_array(c->args[i]))
        return wrong_type(c, i, "list");
    *ret = c->args[i];
    return eval_step(c->ev, json_array_size(*ret));
}

static int give_bool(struct call *c, int r, bool value, json_t **ret)
{
    return r ? r : eval_keep(c->ev, json_boolean(value), ret);
}

/* Comparing strings costs by their length. */
static int charge(struct call *c)
{
    int r = 0;

    for (size_t i = 0; i < c->n && !r; i++)
        if (json_is_string(c->args[i]))
            r = eval_step(c->ev, json_string_length(c->args[i]) / 64);
    return r;
}

/* ---- comparison ---- */

static int fn_not(struct call *c, json_t **ret)
{
    return give_bool(c, 0, !value_is_true(c->args[0]), ret);
}

static int fn_eq(struct call *c, json_t **ret)
{
    bool equal = false;
    int r = charge(c);

    for (size_t i = 1; i < c->n && !r && !equal; i++)
        r = value_equal(c, c->args[0], c->args[i], &equal);
    return give_bool(c, r, equal, ret);
}

static int fn_ne(struct call *c, json_t **ret)
{
    bool equal = false;
    int r = charge(c);

    if (!r)
        r = value_equal(c, c->args[0], c->args[1], &equal);
    return give_bool(c, r, !equal, ret);
}

static int fn_lt(struct call *c, json_t **ret)
{
    bool less = false;
    int r = charge(c);

    if (!r)
        r = value_less(c, c->args[0], c->args[1], &less);
    return give_bool(c, r, less, ret);
}

static int less_or_equal(struct call *c, bool *ret)
{
    bool equal = false;
    int r = charge(c);

    if (!r)
        r = value_less(c, c->args[0], c->args[1], ret);
    if (!r && !*ret)
        r = value_equal(c, c->args[0], c->args[1], &equal);
    *ret = *ret || equal;
    return r;
}

static int fn_le(struct call *c, json_t **ret)
{
    bool le = false;
    int r = less_or_equal(c, &le);

    return give_bool(c, r, le, ret);
}

static int fn_gt(struct call *c, json_t **ret)
{
    bool le = false;
    int r = less_or_equal(c, &le);

    return give_bool(c, r, !le, ret);
}

static int fn_ge(struct call *c, json_t **ret)
{
    bool less = false;
    int r = charge(c);

    if (!r)
        r = value_less(c, c->args[0], c->args[1], &less);
    return give_bool(c, r, !less, ret);
}

/* ---- index, slice, len ---- */

static int index_list(struct call *c, json_t *of, size_t i, json_t **ret)
{
    int64_t at = 0;
    int r = call_int(c, i, &at);

    if (!r && (at < 0 || (uint64_t)at >= json_array_size(of)))
        return call_fail(c, "the index %lld is out of range, the list has %zu elements",
                         (long long)at, json_array_size(of));
    if (!r)
        *ret = json_array_get(of, (size_t)at);
    return r;
}

static int index_string(struct call *c, json_t *of, size_t i, json_t **ret)
{
    int64_t at = 0;
    int r = call_int(c, i, &at);

    if (!r && (at < 0 || (uint64_t)at >= json_string_length(of)))
        return call_fail(c, "the index %lld is out of range, the string has %zu bytes",
                         (long long)at, json_string_length(of));
    return r ? r : eval_keep(c->ev, json_integer((unsigned char)json_string_value(of)[at]), ret);
}

static int index_map(struct call *c, json_t *of, size_t i, json_t **ret)
{
    const char *key;
    size_t size;
    int r = call_string(c, i, &key, &size);

    if (!r)
        *ret = strlen(key) == size ? json_object_get(of, key) : NULL; /* no key has a NUL */
    return r;
}

static int fn_index(struct call *c, json_t **ret)
{
    json_t *of = c->args[0];
    int r = 0;

    if (value_is_nil(of))
        return call_fail(c, "there is nothing (nil) to look into");
    for (size_t i = 1; i < c->n && !r; i++) {
        if (json_is_array(of))
            r = index_list(c, of, i, &of);
        else if (json_is_object(of))
            r = index_map(c, of, i, &of);
        else if (json_is_string(of))
            r = index_string(c, of, i, &of);
        else
            r = call_fail(c, "a value of the type %s has no elements", value_type(of));
    }
    *ret = of;
    return r;
}

static int slice_list(struct call *c, int64_t from, int64_t to, json_t **ret)
{
    json_t *list = json_array();
    int r = eval_step(c->ev, (size_t)(to - from));

    for (int64_t i = from; list && i < to && !r; i++)
        if (json_array_append(list, json_array_get(c->args[0], (size_t)i)))
            r = -ENOMEM;
    if (!r)
        r = eval_spend(c->ev, (size_t)(to - from) * 8);
    if (!r)
        return eval_keep(c->ev, list, ret);
    json_decref(list);
    return r;
}

static int fn_slice(struct call *c, json_t **ret)
{
    const json_t *of = c->args[0];
    int64_t size, from = 0, to;
    int r = 0;

    if (!json_is_array(of) && !json_is_string(of))
        return call_fail(c, "a value of the type %s has no slices", value_type(of));
    if (json_is_string(of) && c->n > 3)
        return call_fail(c, "a string takes two indexes at most");
    size = (int64_t)(json_is_array(of) ? json_array_size(of) : json_string_length(of));
    to = size;
    if (c->n > 1)
        r = call_int(c, 1, &from);
    if (!r && c->n > 2)
        r = call_int(c, 2, &to);
    if (r)
        return r;
    if (from < 0 || from > size || to < from || to > size)
        return call_fail(c, "the slice %lld:%lld is out of range, there are %lld elements",
                         (long long)from, (long long)to, (long long)size);
    if (json_is_array(of))
        return slice_list(c, from, to, ret);
    return eval_string(c->ev, json_string_value(of) + from, (size_t)(to - from), ret);
}

static int fn_len(struct call *c, json_t **ret)
{
    const json_t *of = c->args[0];
    size_t n;

    if (json_is_array(of))
        n = json_array_size(of);
    else if (json_is_object(of))
        n = json_object_size(of);
    else if (json_is_string(of))
        n = json_string_length(of);
    else
        return call_fail(c, "a value of the type %s has no length", value_type(of));
    return eval_keep(c->ev, json_integer((json_int_t)n), ret);
}

/* ---- printing, escaping ---- */

static int fn_print(struct call *c, json_t **ret)
{
    struct text out;

    text_init(&out, c->ev);
    return text_finish(&out, format_print(c, &out, c->fn->id == TMPL_FN_PRINTLN), ret);
}

static int fn_printf(struct call *c, json_t **ret)
{
    struct text out;

    text_init(&out, c->ev);
    return text_finish(&out, format_printf(c, &out), ret);
}

static int put_html(struct text *out, uint32_t c, const char *bytes, size_t n)
{
    switch (c) {
    case '&':
        return text_puts(out, "&amp;");
    case '<':
        return text_puts(out, "&lt;");
    case '>':
        return text_puts(out, "&gt;");
    case '"':
        return text_puts(out, "&#34;");
    case '\'':
        return text_puts(out, "&#39;");
    case 0:
        return text_rune(out, 0xfffd);
    default:
        return text_add(out, bytes, n);
    }
}

static int put_js(struct text *out, uint32_t c, const char *bytes, size_t n)
{
    if (c && c < 0x80 && strchr("\\'\"", (int)c))
        return text_printf(out, "\\%c", (int)c);
    if (c < 0x20 || (c < 0x80 && strchr("<>&=", (int)c)))
        return text_printf(out, "\\u%04X", c);
    return text_add(out, bytes, n);
}

static int put_query(struct text *out, uint32_t c, const char *bytes, size_t n)
{
    int r = 0;

    if (c == ' ')
        return text_puts(out, "+");
    if (c && c < 0x80 &&
        strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~", (int)c))
        return text_add(out, bytes, n);
    for (size_t i = 0; i < n && !r; i++)
        r = text_printf(out, "%%%02X", (unsigned char)bytes[i]);
    return r;
}

static int fn_escape(struct call *c, json_t **ret)
{
    int (*put)(struct text *, uint32_t, const char *, size_t) = c->fn->id == TMPL_FN_HTML ? put_html
                                                                : c->fn->id == TMPL_FN_JS
                                                                    ? put_js
                                                                    : put_query;
    struct text plain, out;
    size_t n;
    int r;

    text_init(&plain, c->ev);
    text_init(&out, c->ev);
    r = c->n == 1 && value_is_nil(c->args[0]) ? text_puts(&plain, "<no value>")
                                              : format_print(c, &plain, false);
    for (const char *at = plain.data ? plain.data : "", *end = at + plain.size; !r && at < end;
         at += n) {
        uint32_t rune = tmpl_utf8_next(at, end, &n);

        r = put(&out, rune, at, n);
    }
    text_deinit(&plain);
    return text_finish(&out, r, ret);
}

const function functions_core[TMPL_FN_N] = {
    [TMPL_FN_NOT] = fn_not,         [TMPL_FN_EQ] = fn_eq,       [TMPL_FN_NE] = fn_ne,
    [TMPL_FN_LT] = fn_lt,           [TMPL_FN_LE] = fn_le,       [TMPL_FN_GT] = fn_gt,
    [TMPL_FN_GE] = fn_ge,           [TMPL_FN_INDEX] = fn_index, [TMPL_FN_SLICE] = fn_slice,
    [TMPL_FN_LEN] = fn_len,         [TMPL_FN_PRINT] = fn_print, [TMPL_FN_PRINTLN] = fn_print,
    [TMPL_FN_PRINTF] = fn_printf,   [TMPL_FN_HTML] = fn_escape, [TMPL_FN_JS] = fn_escape,
    [TMPL_FN_URLQUERY] = fn_escape,
};
