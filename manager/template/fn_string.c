/* SPDX-License-Identifier: MIT
 *
 * Functions on strings. The order of arguments is consul-template's: the one that a pipe delivers
 * comes last.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager/template/engine.h"
#include "shared/cleanup.h"
#include "shared/text/letters.h"
#include "shared/text/regex.h"
#include "shared/tmpl/lexer.h"

enum {
    MAX_INDENT = 1000,
};

struct bytes {
    const char *at;
    size_t size;
};

static int argument(struct call *c, size_t i, struct bytes *ret)
{
    return call_string(c, i, &ret->at, &ret->size);
}

static const char *find(struct bytes in, struct bytes what)
{
    return in.size < what.size ? NULL : memmem(in.at, in.size, what.at, what.size);
}

static struct bytes behind(struct bytes in, const char *at)
{
    return (struct bytes){at, in.size - (size_t)(at - in.at)};
}

/* ---- trimming ---- */

/* What Unicode calls white space, as far as Latin 1 goes. */
static bool is_space(uint32_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 || c == 0xa0;
}

static bool is_in(struct bytes set, uint32_t c)
{
    const char *end = set.at + set.size;
    size_t n;

    for (const char *at = set.at; at < end; at += n)
        if (tmpl_utf8_next(at, end, &n) == c)
            return true;
    return false;
}

static size_t last_rune(struct bytes s)
{
    size_t n = 1, step;

    while (n < s.size && n < 4 && ((unsigned char)s.at[s.size - n] & 0xc0) == 0x80)
        n++;
    (void)tmpl_utf8_next(s.at + s.size - n, s.at + s.size, &step);
    return step == n ? n : 1;
}

/* `set`: NULL for white space. */
static struct bytes trim(struct bytes s, const struct bytes *set)
{
    size_t n;

    while (s.size) {
        uint32_t c = tmpl_utf8_next(s.at, s.at + s.size, &n);

        if (set ? !is_in(*set, c) : !is_space(c))
            break;
        s.at += n;
        s.size -= n;
    }
    while (s.size) {
        size_t last = last_rune(s);
        uint32_t c = tmpl_utf8_next(s.at + s.size - last, s.at + s.size, &n);

        if (set ? !is_in(*set, c) : !is_space(c))
            break;
        s.size -= last;
    }
    return s;
}

static int give(struct call *c, struct bytes s, json_t **ret)
{
    return eval_string(c->ev, s.at, s.size, ret);
}

static int fn_trim_space(struct call *c, json_t **ret)
{
    struct bytes s;
    int r = argument(c, 0, &s);

    return r ? r : give(c, trim(s, NULL), ret);
}

static int two(struct call *c, struct bytes *a, struct bytes *b)
{
    int r = argument(c, 0, a);

    return r ? r : argument(c, 1, b);
}

static int fn_trim(struct call *c, json_t **ret)
{
    struct bytes set, s;
    int r = two(c, &set, &s);

    if (!r) /* each character is looked for in the set */
        r = eval_step(c->ev, set.size / 16 * (s.size / 16));
    return r ? r : give(c, trim(s, &set), ret);
}

static int fn_trim_prefix(struct call *c, json_t **ret)
{
    struct bytes prefix, s;
    int r = two(c, &prefix, &s);

    if (!r && s.size >= prefix.size && memcmp(s.at, prefix.at, prefix.size) == 0)
        s = behind(s, s.at + prefix.size);
    return r ? r : give(c, s, ret);
}

static int fn_trim_suffix(struct call *c, json_t **ret)
{
    struct bytes suffix, s;
    int r = two(c, &suffix, &s);

    if (!r && s.size >= suffix.size &&
        memcmp(s.at + s.size - suffix.size, suffix.at, suffix.size) == 0)
        s.size -= suffix.size;
    return r ? r : give(c, s, ret);
}

/* ---- upper and lower case ---- */

static int fn_case(struct call *c, json_t **ret)
{
    autofree char *made = NULL;
    struct bytes s;
    int r = argument(c, 0, &s);

    if (r)
        return r;
    made = letters_map(s.at, s.size,
                       c->fn->id == TMPL_FN_TO_TITLE   ? LETTERS_TITLE
                       : c->fn->id == TMPL_FN_TO_UPPER ? LETTERS_UPPER
                                                       : LETTERS_LOWER,
                       &s.size);
    return made ? eval_string(c->ev, made, s.size, ret) : -ENOMEM;
}

/* ---- split, join, replace ---- */

static int add_part(struct call *c, json_t *list, struct bytes part)
{
    int r = eval_spend(c->ev, part.size + 64);

    if (r)
        return r;
    return json_array_append_new(list, json_stringn_nocheck(part.at, part.size)) ? -ENOMEM : 0;
}

/* The part before the separator; what is behind it stays in *rest. An empty separator stands behind
 * each character. False: this was the last part. */
static bool cut(struct bytes *rest, struct bytes separator, struct bytes *ret_part)
{
    const char *at = separator.size ? find(*rest, separator) : NULL;
    size_t n;

    *ret_part = *rest;
    if (!separator.size && rest->size) {
        (void)tmpl_utf8_next(rest->at, rest->at + rest->size, &n);
        if (n < rest->size)
            at = rest->at + n;
    }
    if (!at)
        return false;
    ret_part->size = (size_t)(at - rest->at);
    *rest = behind(*rest, at + separator.size);
    return true;
}

static int fn_split(struct call *c, json_t **ret)
{
    struct bytes separator, rest, part;
    json_t *list = NULL;
    int r = two(c, &separator, &rest);
    bool more;

    if (!r)
        r = eval_keep(c->ev, json_array(), &list);
    if (r)
        return r;
    *ret = list;
    rest = trim(rest, NULL);
    if (!rest.size)
        return 0;
    do {
        more = cut(&rest, separator, &part);
        r = add_part(c, list, part);
    } while (more && !r);
    return r;
}

static int add_pair(struct call *c, json_t *map, struct bytes part, struct bytes between)
{
    const char *at = find(part, between);
    autofree char *key = at ? strndup(part.at, (size_t)(at - part.at)) : NULL;
    struct bytes value;
    int r;

    if (!at)
        return 0;
    value = behind(part, at + between.size);
    r = key ? eval_spend(c->ev, part.size + 128) : -ENOMEM;
    if (r)
        return r;
    return json_object_set_new_nocheck(map, key, json_stringn_nocheck(value.at, value.size))
               ? -ENOMEM
               : 0;
}

static int fn_split_to_map(struct call *c, json_t **ret)
{
    struct bytes separator, between, rest, part;
    json_t *map = NULL;
    int r = two(c, &separator, &between);
    bool more;

    if (!r)
        r = argument(c, 2, &rest);
    if (!r)
        r = eval_keep(c->ev, json_object(), &map);
    if (r)
        return r;
    *ret = map;
    rest = trim(rest, NULL);
    if (!rest.size)
        return 0;
    do {
        more = cut(&rest, separator, &part);
        r = add_pair(c, map, part, between);
    } while (more && !r);
    return r;
}

static int fn_join(struct call *c, json_t **ret)
{
    struct bytes separator;
    struct text out;
    json_t *list;
    int r = argument(c, 0, &separator);

    if (!r)
        r = call_list(c, 1, &list);
    text_init(&out, c->ev);
    for (size_t i = 0; !r && i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);

        if (!json_is_string(item))
            r = call_fail(c, "the list has a value of the type %s; only strings are joined",
                          value_type(item));
        if (!r && i)
            r = text_add(&out, separator.at, separator.size);
        if (!r)
            r = text_add(&out, json_string_value(item), json_string_length(item));
    }
    return text_finish(&out, r, ret);
}

/* An empty `from` is before each character and at the end. */
static int fn_replace_all(struct call *c, json_t **ret)
{
    struct bytes from, to, rest, part;
    struct text out;
    int r = two(c, &from, &to);

    if (!r)
        r = argument(c, 2, &rest);
    text_init(&out, c->ev);
    if (!r && !from.size)
        r = text_add(&out, to.at, to.size);
    while (!r) {
        bool more = cut(&rest, from, &part);

        r = text_add(&out, part.at, part.size);
        if (!r && (more || (!from.size && part.size)))
            r = text_add(&out, to.at, to.size);
        if (!more)
            break;
    }
    return text_finish(&out, r, ret);
}

static int fn_indent(struct call *c, json_t **ret)
{
    bool at_start = true;
    struct text out;
    struct bytes s;
    int64_t n = 0;
    int r = call_int(c, 0, &n);

    if (!r)
        r = argument(c, 1, &s);
    if (!r && (n < 0 || n > MAX_INDENT))
        r = call_fail(c, "%lld is no number of spaces from 0 to %d", (long long)n, MAX_INDENT);
    text_init(&out, c->ev);
    for (size_t i = 0; !r && i < s.size; i++) {
        if (at_start && s.at[i] != '\n')
            r = text_repeat(&out, ' ', (size_t)n);
        if (!r)
            r = text_add(&out, &s.at[i], 1);
        at_start = s.at[i] == '\n';
    }
    return text_finish(&out, r, ret);
}

/* ---- regular expressions ---- */

static int new_regex(struct call *c, struct bytes pattern, struct regex **ret)
{
    struct err e = ERR_INIT;
    int r = regex_new(pattern.at, pattern.size, REGEX_STEPS, ret, &e);

    return r == -EINVAL ? call_fail(c, "%s", e.text) : r;
}

/* `r`: what came of matching. */
static int matched(struct call *c, int r)
{
    return r == -ETIME ? call_fail(c, REGEX_TOO_LONG) : r;
}

static int fn_regex_match(struct call *c, json_t **ret)
{
    struct regex *re = NULL;
    struct bytes pattern, s;
    int r = two(c, &pattern, &s);

    if (!r)
        r = new_regex(c, pattern, &re);
    if (!r)
        r = matched(c, regex_match(re, s.at, s.size, 0));
    re = regex_free(re);
    return r < 0 ? r : eval_keep(c->ev, json_boolean(r), ret);
}

static int step(void *context, const char *bytes, size_t size)
{
    const struct text *out = context;

    (void)bytes;
    (void)size;
    return eval_step(out->ev, 16);
}

static int sink(void *context, const char *bytes, size_t size)
{
    return text_add(context, bytes, size);
}

static int fn_regex_replace(struct call *c, json_t **ret)
{
    struct bytes pattern, to, s;
    struct regex *re = NULL;
    struct text out;
    int r = two(c, &pattern, &to);

    if (!r)
        r = argument(c, 2, &s);
    if (r)
        return r;
    text_init(&out, c->ev);
    r = new_regex(c, pattern, &re);
    if (!r)
        r = matched(c, regex_replace(re, s.at, s.size, to.at, to.size, step, sink, &out));
    re = regex_free(re);
    return text_finish(&out, r, ret);
}

const function functions_string[TMPL_FN_N] = {
    [TMPL_FN_TRIM] = fn_trim,
    [TMPL_FN_TRIM_PREFIX] = fn_trim_prefix,
    [TMPL_FN_TRIM_SUFFIX] = fn_trim_suffix,
    [TMPL_FN_TRIM_SPACE] = fn_trim_space,
    [TMPL_FN_TO_LOWER] = fn_case,
    [TMPL_FN_TO_UPPER] = fn_case,
    [TMPL_FN_TO_TITLE] = fn_case,
    [TMPL_FN_SPLIT] = fn_split,
    [TMPL_FN_SPLIT_TO_MAP] = fn_split_to_map,
    [TMPL_FN_JOIN] = fn_join,
    [TMPL_FN_REPLACE_ALL] = fn_replace_all,
    [TMPL_FN_INDENT] = fn_indent,
    [TMPL_FN_REGEX_MATCH] = fn_regex_match,
    [TMPL_FN_REGEX_REPLACE_ALL] = fn_regex_replace,
};
