/* SPDX-License-Identifier: MIT
 *
 * Functions on strings. The order of arguments is consul-template's: the one that a pipe delivers
 * comes last.
 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include <errno.h>
#include <locale.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

#include "manager/template/engine.h"
#include "shared/cleanup.h"
#include "shared/tmpl/lexer.h"

enum {
    MATCH_LIMIT = 1000000,
    MATCH_HEAP_KIB = 16 << 10,
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

static uint32_t to_case(uint32_t c, bool upper)
{
    static locale_t unicode;

    if (!unicode)
        unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
    if (!unicode)
        return (uint32_t)(upper ? towupper(c) : towlower(c));
    return (uint32_t)(upper ? towupper_l(c, unicode) : towlower_l(c, unicode));
}

/* Go's strings.Title: a letter behind one of these begins a word. */
static bool is_separator(uint32_t c)
{
    return c < 0x80 ? !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                        (c >= 'A' && c <= 'Z') || c == '_')
                    : is_space(c);
}

static int fn_case(struct call *c, json_t **ret)
{
    bool title = c->fn->id == TMPL_FN_TO_TITLE, upper = c->fn->id == TMPL_FN_TO_UPPER;
    uint32_t before = ' ';
    struct text out;
    struct bytes s;
    size_t n;
    int r = argument(c, 0, &s);

    text_init(&out, c->ev);
    for (const char *at = s.at, *end = r ? at : at + s.size; !r && at < end; at += n) {
        uint32_t rune = tmpl_utf8_next(at, end, &n);

        if (title)
            r = text_rune(&out, is_separator(before) ? to_case(rune, true) : rune);
        else
            r = text_rune(&out, to_case(rune, upper));
        before = rune;
    }
    return text_finish(&out, r, ret);
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

struct regex {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
};

static void regex_deinit(struct regex *re)
{
    pcre2_match_data_free(re->data);
    pcre2_match_context_free(re->context);
    pcre2_code_free(re->code);
}

/* Go's "$" is the very end of the text. */
static int regex_init(struct call *c, struct bytes pattern, struct regex *re)
{
    char message[128];
    PCRE2_SIZE offset;
    int code;

    *re = (struct regex){0};
    if (pattern.size > 16384)
        return call_fail(c, "the regular expression is longer than 16384 bytes");
    re->code = pcre2_compile((PCRE2_SPTR)pattern.at, pattern.size,
                             PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_DOLLAR_ENDONLY |
                                 PCRE2_NEVER_BACKSLASH_C,
                             &code, &offset, NULL);
    if (!re->code) {
        (void)pcre2_get_error_message(code, (PCRE2_UCHAR *)message, sizeof(message));
        return call_fail(c, "the regular expression is wrong at byte %zu: %s", (size_t)offset + 1,
                         message);
    }
    re->data = pcre2_match_data_create_from_pattern(re->code, NULL);
    re->context = pcre2_match_context_create(NULL);
    if (!re->data || !re->context)
        return -ENOMEM;
    (void)pcre2_set_match_limit(re->context, MATCH_LIMIT);
    (void)pcre2_set_heap_limit(re->context, MATCH_HEAP_KIB);
    return 0;
}

/* 1: it matches from `from` on; 0: it does not. */
static int regex_match(struct call *c, const struct regex *re, struct bytes s, size_t from)
{
    int r = eval_step(c->ev, 16);

    if (r)
        return r;
    r = pcre2_match(re->code, (PCRE2_SPTR)s.at, s.size, from, 0, re->data, re->context);
    if (r == PCRE2_ERROR_NOMATCH)
        return 0;
    if (r < 0)
        return call_fail(c, "the regular expression takes too long or too much on this text");
    return 1;
}

static int fn_regex_match(struct call *c, json_t **ret)
{
    struct bytes pattern, s;
    struct regex re;
    int r = two(c, &pattern, &s);

    if (r)
        return r;
    r = regex_init(c, pattern, &re);
    if (!r)
        r = regex_match(c, &re, s, 0);
    regex_deinit(&re);
    return r < 0 ? r : eval_keep(c->ev, json_boolean(r), ret);
}

static int put_group(struct text *out, const struct regex *re, struct bytes s, struct bytes name)
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(re->data);
    uint32_t n = pcre2_get_ovector_count(re->data), group = 0;
    char text[40];

    if (!name.size || name.size >= sizeof(text))
        return 0;
    memcpy(text, name.at, name.size);
    text[name.size] = '\0';
    if (strspn(text, "0123456789") == name.size) {
        group = name.size > 4 ? n : (uint32_t)atoi(text);
    } else {
        int number = pcre2_substring_number_from_name(re->code, (PCRE2_SPTR)text);

        group = number > 0 ? (uint32_t)number : n;
    }
    if (group >= n || at[2 * group] == PCRE2_UNSET)
        return 0;
    return text_add(out, s.at + at[2 * group], at[2 * group + 1] - at[2 * group]);
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* The name behind the "$" that `rest` begins with, and what follows it. False: there is none. */
static bool take_group(struct bytes *rest, struct bytes *ret_name)
{
    bool braced = rest->size > 1 && rest->at[1] == '{';
    size_t from = braced ? 2 : 1, to = from;

    while (to < rest->size && is_word(rest->at[to]))
        to++;
    if (to == from || (braced && (to >= rest->size || rest->at[to] != '}')))
        return false;
    *ret_name = (struct bytes){rest->at + from, to - from};
    *rest = behind(*rest, rest->at + to + braced);
    return true;
}

/* Go's regexp.Expand: $1, ${1}, $name, $$. */
static int put_expanded(struct text *out, const struct regex *re, struct bytes s, struct bytes to)
{
    int r = 0;

    while (to.size && !r) {
        const char *dollar = memchr(to.at, '$', to.size);
        struct bytes name;

        r = text_add(out, to.at, dollar ? (size_t)(dollar - to.at) : to.size);
        if (!dollar || r)
            break;
        to = behind(to, dollar);
        if (to.size > 1 && to.at[1] == '$') {
            to = behind(to, to.at + 2);
            r = text_puts(out, "$");
        } else if (take_group(&to, &name)) {
            r = put_group(out, re, s, name);
        } else {
            to = behind(to, to.at + 1);
            r = text_puts(out, "$");
        }
    }
    return r;
}

/* An empty match right behind a match counts for nothing. */
static int replace_matches(struct call *c, struct text *out, const struct regex *re, struct bytes s,
                           struct bytes to)
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(re->data);
    size_t done = 0, from = 0, n;
    bool first = true;
    int r;

    while (from <= s.size && (r = regex_match(c, re, s, from)) == 1) {
        size_t start = at[0] < from ? from : at[0], end = at[1] < start ? start : at[1];

        if (first || end > start || start > done) {
            r = text_add(out, s.at + done, start - done);
            if (!r)
                r = put_expanded(out, re, s, to);
            if (r)
                return r;
            done = end;
        }
        first = false;
        from = end;
        if (end == start) {
            if (from >= s.size)
                break;
            (void)tmpl_utf8_next(s.at + from, s.at + s.size, &n);
            from += n;
        }
    }
    return r < 0 ? r : text_add(out, s.at + done, s.size - done);
}

static int fn_regex_replace(struct call *c, json_t **ret)
{
    struct bytes pattern, to, s;
    struct regex re;
    struct text out;
    int r = two(c, &pattern, &to);

    if (!r)
        r = argument(c, 2, &s);
    if (r)
        return r;
    text_init(&out, c->ev);
    r = regex_init(c, pattern, &re);
    if (!r)
        r = replace_matches(c, &out, &re, s, to);
    regex_deinit(&re);
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
