/* SPDX-License-Identifier: MIT
 *
 * A parser by recursive descent, one token ahead, and a walk over what it made. "not" binds more
 * than "and", that more than "or". How deep parentheses go is limited; how long an expression is,
 * is by the request's head.
 */
#include "manager/api/filter.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/job/value.h"
#include "shared/text/regex.h"

enum {
    DEPTH_MAX = 64,
};

enum token {
    TOKEN_END,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_EQUAL,
    TOKEN_UNEQUAL,
    TOKEN_WORD,
    TOKEN_TEXT, /* was in quotes */
};

enum node_kind {
    NODE_AND,
    NODE_OR,
    NODE_NOT,
    NODE_EQUALS,
    NODE_CONTAINS,
    NODE_MATCHES,
    NODE_EMPTY,
};

struct filter {
    enum node_kind kind;
    struct filter *left, *right; /* of NODE_NOT: left */
    json_t *path;                /* the selector's names */
    char *value;
    struct regex *regex; /* of NODE_MATCHES: the value */
};

struct parser {
    const char *start, *at, *token_at;
    enum token token;
    char *text;   /* of a word or text */
    json_t *path; /* of a word */
    int depth;
    struct err *e;
};

/* ---- making and freeing ---- */

struct filter *filter_free(struct filter *f)
{
    if (!f)
        return NULL;
    filter_free(f->left);
    filter_free(f->right);
    json_decref(f->path);
    free(f->value);
    regex_free(f->regex);
    free(f);
    return NULL;
}

static struct filter *node_new(enum node_kind kind, struct filter *left, struct filter *right)
{
    struct filter *f = calloc(1, sizeof(*f));

    if (!f)
        abort();
    *f = (struct filter){.kind = kind, .left = left, .right = right};
    return f;
}

static struct filter *negate(struct filter *f, bool negated)
{
    return f && negated ? node_new(NODE_NOT, f, NULL) : f;
}

/* ---- tokens ---- */

static int fail(struct parser *p, const char *at, const char *what)
{
    return err_set(p->e, -EINVAL, "the filter is wrong at its character %zu: %s",
                   (size_t)(at - p->start) + 1, what);
}

static void token_forget(struct parser *p)
{
    free(take_ptr(p->text));
    json_decref(p->path);
    p->path = NULL;
}

/* From the quote on; malloc'ed. NULL after an error. In `…` there are no escapes. */
static char *read_quoted(struct parser *p)
{
    const char *begin = p->at;
    char quote = *p->at++, *text = malloc(strlen(p->at) + 1), *out = text;

    if (!text)
        abort();
    for (; *p->at && *p->at != quote; p->at++) {
        char c = *p->at;

        if (c == '\\' && quote == '"' && p->at[1]) {
            c = *++p->at;
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        *out++ = c;
    }
    *out = '\0';
    if (*p->at++)
        return text;
    p->at--;
    free(text);
    (void)fail(p, begin, "a quote that does not end");
    return NULL;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("_-./:*+", c)) || (unsigned char)c >= 0x80;
}

/* ["name"] */
static int read_bracket(struct parser *p)
{
    const char *begin = p->at++;
    autofree char *name = *p->at == '"' || *p->at == '`' ? read_quoted(p) : NULL;

    if (!name || *p->at != ']')
        return fail(p, begin, "brackets are for a name in quotes, as in Meta[\"a.b\"]");
    p->at++;
    return json_array_append_new(p->path, json_string(name))
               ? fail(p, begin, "the name is no UTF-8")
               : 0;
}

/* Names with dots between them. */
static int read_names(struct parser *p)
{
    const char *begin = p->at;

    while (is_word(*p->at))
        p->at++;
    autofree char *names = strndup(begin, (size_t)(p->at - begin));
    char *rest = names, *name;
    if (!names)
        abort();
    while ((name = strsep(&rest, ".")))
        if (json_array_append_new(p->path, json_string(name)))
            return fail(p, begin, "the name is no UTF-8");
    return 0;
}

static int read_word(struct parser *p)
{
    const char *begin = p->at;

    p->path = json_array();
    int r = read_names(p);
    while (!r && *p->at == '[') {
        r = read_bracket(p);
        if (!r && *p->at == '.') {
            p->at++;
            r = read_names(p);
        }
    }
    p->text = strndup(begin, (size_t)(p->at - begin));
    if (!p->text)
        abort();
    return r;
}

static int next(struct parser *p)
{
    token_forget(p);
    while (isspace((unsigned char)*p->at))
        p->at++;
    p->token_at = p->at;
    if (!*p->at)
        p->token = TOKEN_END;
    else if (*p->at == '(' || *p->at == ')')
        p->token = *p->at++ == '(' ? TOKEN_OPEN : TOKEN_CLOSE;
    else if ((*p->at == '=' || *p->at == '!') && p->at[1] == '=') {
        p->token = *p->at == '=' ? TOKEN_EQUAL : TOKEN_UNEQUAL;
        p->at += 2;
    } else if (*p->at == '"' || *p->at == '`') {
        p->token = TOKEN_TEXT;
        p->text = read_quoted(p);
        return p->text ? 0 : -EINVAL;
    } else if (is_word(*p->at)) {
        p->token = TOKEN_WORD;
        return read_word(p);
    } else
        return fail(p, p->at, "neither a name nor an operator can begin so");
    return 0;
}

static bool at_word(const struct parser *p, const char *word)
{
    return p->token == TOKEN_WORD && strcmp(p->text, word) == 0;
}

/* Steps over the word if it is there. Negative: an error behind it. */
static int skip(struct parser *p, const char *word)
{
    if (!at_word(p, word))
        return 0;
    return next(p) ? -EINVAL : 1;
}

/* ---- grammar ---- */

static struct filter *parse_or(struct parser *p);

/* The value of an operator, or the selector of "in". */
static int take_value(struct parser *p, struct filter *f)
{
    struct err e = ERR_INIT;

    if (p->token != TOKEN_WORD && p->token != TOKEN_TEXT)
        return fail(p, p->token_at, "a value is missing here");
    f->value = take_ptr(p->text);
    if (f->kind == NODE_MATCHES &&
        regex_new(f->value, strlen(f->value), REGEX_STEPS_IN_LOOP, &f->regex, &e))
        return fail(p, p->token_at, e.text);
    return next(p);
}

static int take_selector(struct parser *p, struct filter *f)
{
    if (p->token != TOKEN_WORD)
        return fail(p, p->token_at, "the name of a field is missing here");
    f->path = take_ptr(p->path);
    return next(p);
}

/* SELECTOR is [not] empty */
static int parse_is(struct parser *p, struct filter *f, bool *ret_not)
{
    int r = next(p);

    if (r)
        return r;
    r = skip(p, "not");
    if (r < 0)
        return r;
    *ret_not = r;
    f->kind = NODE_EMPTY;
    return at_word(p, "empty") ? next(p) : fail(p, p->token_at, "\"empty\" must be here");
}

/* What is between selector and value, or value and selector: steps over it and sets the kind.
 * *ret_turned: the value is what stands to the left. */
static int parse_operator(struct parser *p, struct filter *f, bool *ret_not, bool *ret_turned)
{
    static const char none[] =
        "an operator must be here: ==, !=, in, contains, matches or is empty";
    int r;

    if (p->token == TOKEN_EQUAL || p->token == TOKEN_UNEQUAL) {
        f->kind = NODE_EQUALS;
        *ret_not = p->token == TOKEN_UNEQUAL;
        return next(p);
    }
    r = skip(p, "not");
    if (r < 0)
        return r;
    *ret_not = r;
    if (at_word(p, "in"))
        *ret_turned = true;
    f->kind = at_word(p, "matches") ? NODE_MATCHES : NODE_CONTAINS;
    if (f->kind == NODE_CONTAINS && !*ret_turned && !at_word(p, "contains"))
        return fail(p, p->token_at, none);
    return next(p);
}

static int parse_match_into(struct parser *p, struct filter *f, bool *ret_not)
{
    autofree char *text = take_ptr(p->text);
    autojson json_t *path = take_ptr(p->path);
    const char *begin = p->token_at;
    bool turned = false;
    int r = next(p);

    if (!r && path && at_word(p, "is")) {
        f->path = take_ptr(path);
        return parse_is(p, f, ret_not);
    }
    if (!r)
        r = parse_operator(p, f, ret_not, &turned);
    if (r)
        return r;
    if (turned) {
        f->value = take_ptr(text);
        return take_selector(p, f);
    }
    if (!path)
        return fail(p, begin, "the name of a field must be here, without quotes");
    f->path = take_ptr(path);
    return take_value(p, f);
}

static struct filter *parse_match(struct parser *p)
{
    struct filter *f = node_new(NODE_EQUALS, NULL, NULL);
    bool negated = false;

    if (parse_match_into(p, f, &negated))
        return filter_free(f);
    return negate(f, negated);
}

static struct filter *parse_in_parentheses(struct parser *p)
{
    struct filter *f = next(p) ? NULL : parse_or(p);

    if (!f)
        return NULL;
    if (p->token != TOKEN_CLOSE) {
        (void)fail(p, p->token_at, "a closing parenthesis is missing here");
        return filter_free(f);
    }
    return next(p) ? filter_free(f) : f;
}

static struct filter *parse_not(struct parser *p)
{
    struct filter *f = NULL;
    bool negated = false;
    int r;

    while ((r = skip(p, "not")) > 0)
        negated = !negated;
    if (r < 0)
        return NULL;
    if (++p->depth > DEPTH_MAX)
        (void)fail(p, p->token_at, "this is nested too deeply");
    else if (p->token == TOKEN_OPEN)
        f = parse_in_parentheses(p);
    else if (p->token == TOKEN_WORD || p->token == TOKEN_TEXT)
        f = parse_match(p);
    else
        (void)fail(p, p->token_at, "the name of a field must be here");
    p->depth--;
    return negate(f, negated);
}

static struct filter *parse_joined(struct parser *p, const char *word, enum node_kind kind,
                                   struct filter *(*parse)(struct parser *p))
{
    struct filter *left = parse(p);
    int r = 0;

    while (left && (r = skip(p, word)) > 0) {
        struct filter *right = parse(p);

        left = right ? node_new(kind, left, right) : filter_free(left);
    }
    return r < 0 ? filter_free(left) : left;
}

static struct filter *parse_and(struct parser *p)
{
    return parse_joined(p, "and", NODE_AND, parse_not);
}

static struct filter *parse_or(struct parser *p)
{
    return parse_joined(p, "or", NODE_OR, parse_and);
}

int filter_parse(const char *text, struct filter **ret_filter, struct err *e)
{
    struct parser p = {.start = text, .at = text, .e = e};
    struct filter *f = next(&p) ? NULL : parse_or(&p);

    if (f && p.token != TOKEN_END) {
        (void)fail(&p, p.token_at, "\"and\", \"or\" or the end must be here");
        f = filter_free(f);
    }
    token_forget(&p);
    if (!f)
        return -EINVAL;
    *ret_filter = f;
    return 0;
}

/* ---- matching ---- */

/* NULL: it is not there. */
static const json_t *resolve(const json_t *value, const json_t *path)
{
    for (size_t i = 0; value && i < json_array_size(path); i++) {
        const char *name = json_string_value(json_array_get(path, i));

        value = json_is_array(value) ? json_array_get(value, strtoul(name, NULL, 10))
                                     : json_object_get(value, name);
    }
    return value;
}

static bool equals(const json_t *value, const char *text)
{
    char *end;

    if (json_is_string(value))
        return strcmp(json_string_value(value), text) == 0;
    if (json_is_boolean(value))
        return strcmp(text, json_is_true(value) ? "true" : "false") == 0;
    return json_is_number(value) && json_number_value(value) == strtod(text, &end) && *text &&
           !*end;
}

static bool contains(const json_t *value, const char *text)
{
    if (json_is_string(value))
        return strstr(json_string_value(value), text);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (equals(json_array_get(value, i), text))
            return true;
    return json_object_get(value, text);
}

static bool is_empty(const json_t *value)
{
    return json_is_string(value) ? !json_string_length(value)
           : json_is_object(value) || json_is_array(value)
               ? !json_object_size(value) && !json_array_size(value)
               : !value || json_is_null(value);
}

static int matches(const struct filter *f, const json_t *value, struct err *e)
{
    int r = json_is_string(value)
                ? regex_match(f->regex, json_string_value(value), json_string_length(value), 0)
                : 0;

    return r < 0 ? err_set(e, -EINVAL, "the filter's \"%.64s\": %s", f->value, REGEX_TOO_LONG) : r;
}

static int holds(const struct filter *f, const json_t *value, struct err *e)
{
    switch (f->kind) {
    case NODE_EQUALS:
        return equals(value, f->value);
    case NODE_CONTAINS:
        return contains(value, f->value);
    case NODE_MATCHES:
        return matches(f, value, e);
    default:
        return is_empty(value);
    }
}

int filter_match(const struct filter *f, const json_t *object, struct err *e)
{
    int r;

    if (f->path) {
        const char *name = json_string_value(json_array_get(f->path, 0));

        if (!json_object_get(object, name))
            return err_set(e, -EINVAL, "the filter is wrong: there is no field \"%.64s\" here",
                           name);
        return holds(f, resolve(object, f->path), e);
    }
    r = filter_match(f->left, object, e);
    if (r < 0 || f->kind == NODE_NOT)
        return r < 0 ? r : !r;
    if (r == (f->kind == NODE_OR))
        return r;
    return filter_match(f->right, object, e);
}
