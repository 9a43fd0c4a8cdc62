/* SPDX-License-Identifier: MIT
 *
 * Expressions are evaluated while they are read, from left to right, with no tree between. The side
 * of a condition that is not taken is read over (`skip`); the body of a `for` is read once for each
 * element. Each step is counted, so that no text of the allowed size takes more than a moment.
 *
 *   cond    = or [ "?" cond ":" cond ]       or, and, equality, comparison, sum, product: as in C
 *   unary   = ( "!" | "-" ) unary | primary { "." name | "." number | "[" cond "]" | "[*]" | ".*" }
 *   primary = number | text | name | name "(" args ")" | "(" cond ")" | list | map | for
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/hcl/eval_internal.h"
#include "shared/hcl/lexer.h"

static int cond(struct expr *x, struct hcl_value *ret);

static struct hcl_pos pos_at(const struct expr *x, const char *at)
{
    struct hcl_pos pos = x->pos;

    for (const char *p = x->start; x->exact && p < at; p++) {
        pos.col++;
        if (*p == '\n')
            pos = (struct hcl_pos){.line = pos.line + 1, .col = 1};
    }
    return pos;
}

int expr_fail(const struct expr *x, const char *at, const char *fmt, ...)
{
    char text[240];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return hcl_error(x->ev->e, x->ev->file, pos_at(x, at), "%s", text);
}

/* ---- reading ---- */

static void blanks(struct expr *x)
{
    for (;;) {
        x->at += strspn(x->at, " \t\r\n");
        if (*x->at != '#' && strncmp(x->at, "//", 2) != 0)
            return;
        x->at += strcspn(x->at, "\n");
    }
}

static bool is_name_start(char c)
{
    return isalpha((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static size_t name_length(const char *p)
{
    size_t n = 0;

    if (is_name_start(*p))
        while (is_name_start(p[n]) || isdigit((unsigned char)p[n]) || p[n] == '-')
            n++;
    return n;
}

/* Goes over `mark`, which is no part of a longer one. */
static bool take(struct expr *x, const char *mark)
{
    size_t n = strlen(mark);

    blanks(x);
    if (strncmp(x->at, mark, n) != 0)
        return false;
    if (n == 1 && strchr("=!<>", *mark) && x->at[1] == '=')
        return false;
    if (n == 1 && *mark == '=' && x->at[1] == '>')
        return false;
    x->at += n;
    return true;
}

static bool take_word(struct expr *x, const char *word)
{
    blanks(x);
    if (name_length(x->at) != strlen(word) || strncmp(x->at, word, strlen(word)) != 0)
        return false;
    x->at += strlen(word);
    return true;
}

static int want(struct expr *x, const char *mark)
{
    if (take(x, mark))
        return 0;
    return expr_fail(x, x->at, "expected \"%s\" here", mark);
}

/* ---- texts, lists, maps ---- */

/* The closing quote of the text whose first byte is at `p`; NULL: it is not closed. */
static const char *text_end(const char *p)
{
    while (p && *p != '"') {
        if (!*p || *p == '\n')
            return NULL;
        if (lexer_is_escaped_interpolation(p))
            p += 3;
        else if (lexer_opens_interpolation(p))
            p = lexer_interpolation_end(p);
        else
            p += *p == '\\' && p[1] ? 2 : 1;
    }
    return p;
}

static int text(struct expr *x, struct hcl_value *ret)
{
    const char *start = x->at + 1, *end = text_end(start);
    char *copy;

    if (!end)
        return expr_fail(x, x->at, "this text is not closed; add the closing quote");
    x->at = end + 1;
    if (x->skip)
        return 0;
    copy = arena_copy(x->ev->arena, start, (size_t)(end - start));
    return copy ? template_eval(x->ev, x->scope, copy, pos_at(x, start), true, ret) : -ENOMEM;
}

static int number(struct expr *x, struct hcl_value *ret)
{
    char *end;

    *ret = (struct hcl_value){.kind = HCL_NUMBER, .number = strtod(x->at, &end)};
    if (end == x->at || !isfinite(ret->number) || is_name_start(*end))
        return expr_fail(x, x->at, "this is not a decimal number");
    x->at = end;
    return 0;
}

static int key(struct expr *x, const char **ret)
{
    size_t n = (blanks(x), name_length(x->at));
    const char *after = x->at + n + strspn(x->at + n, " \t\r\n"), *at = x->at;
    struct hcl_value value = {0};
    int r;

    if (n && (*after == ':' || (*after == '=' && after[1] != '=' && after[1] != '>'))) {
        *ret = arena_copy(x->ev->arena, x->at, n);
        x->at += n;
        return *ret ? 0 : -ENOMEM;
    }
    r = cond(x, &value);
    if (r < 0 || x->skip)
        return r;
    return value_to_text(x, at, &value, ret);
}

/* Goes through a `for`, whose first element begins at `body`: reads it with the names set. */
struct loop {
    const char *first, *second; /* the names; second NULL: none */
    const char *body;
    bool is_map, groups;
};

static int loop_item(struct expr *x, const struct loop *loop, struct hcl_value *ret)
{
    struct hcl_value value = {0}, condition = {.kind = HCL_BOOL, .boolean = true};
    const char *name = NULL, *at;
    bool groups, holds = true;
    int r = 0;

    x->at = loop->body;
    if (loop->is_map) {
        r = key(x, &name);
        if (r == 0)
            r = want(x, "=>");
    }
    if (r == 0)
        r = cond(x, &value);
    if (r < 0)
        return r;
    groups = loop->is_map && take(x, "...");
    at = x->at;
    if (take_word(x, "if"))
        r = cond(x, &condition);
    if (r < 0 || x->skip)
        return r;
    if (!value_to_bool(&condition, &holds))
        return expr_fail(x, at, "the condition of a \"for\" is true or false, not %s",
                         hcl_kind_name(condition.kind));
    if (!holds)
        return 0;
    if (groups) {
        const struct hcl_value *old = value_get(ret, name);
        struct hcl_value group = old ? *old : (struct hcl_value){.kind = HCL_LIST};

        r = value_append(x, &group, NULL, &value);
        return r < 0 ? r : value_append(x, ret, name, &group);
    }
    if (name && value_get(ret, name))
        return expr_fail(x, at, "two elements have the key \"%.64s\"; group them with \"...\"",
                         name);
    return value_append(x, ret, name, &value);
}

static int loop_items(struct expr *x, const struct loop *loop, const struct hcl_value *over,
                      struct hcl_value *ret)
{
    const struct scope *outer = x->scope;

    for (size_t i = 0; i < over->n_items; i++) {
        struct hcl_value index = {.kind = HCL_NUMBER, .number = (double)i};
        struct scope first, second;
        int r;

        if (over->kind == HCL_MAP)
            index = (struct hcl_value){.kind = HCL_STRING, .string = over->keys[i]};
        first = (struct scope){loop->first, loop->second ? &index : &over->items[i], outer};
        second = (struct scope){loop->second, &over->items[i], &first};
        x->scope = loop->second ? &second : &first;
        r = eval_step(x, x->at);
        if (r == 0)
            r = loop_item(x, loop, ret);
        x->scope = outer;
        if (r < 0)
            return r;
    }
    return 0;
}

static int take_name(struct expr *x, const char **ret)
{
    size_t n = (blanks(x), name_length(x->at));

    if (!n)
        return expr_fail(x, x->at, "expected a name here");
    *ret = arena_copy(x->ev->arena, x->at, n);
    x->at += n;
    return *ret ? 0 : -ENOMEM;
}

/* Behind "[" or "{", at "for". */
static int for_expr(struct expr *x, bool is_map, struct hcl_value *ret)
{
    struct loop loop = {.is_map = is_map};
    struct hcl_value over = {0};
    const char *at, *start = x->at;
    bool skip = x->skip;
    int r;

    (void)take_word(x, "for");
    r = take_name(x, &loop.first);
    if (r == 0 && take(x, ","))
        r = take_name(x, &loop.second);
    if (r == 0 && !take_word(x, "in"))
        r = expr_fail(x, x->at, "expected \"in\" here: for NAME in LIST : VALUE");
    at = x->at;
    if (r == 0)
        r = cond(x, &over);
    if (r == 0)
        r = want(x, ":");
    if (r < 0)
        return r;
    if (!skip && over.kind != HCL_LIST && over.kind != HCL_MAP)
        return expr_fail(x, at, "\"for\" goes through a list or a map, not %s",
                         hcl_kind_name(over.kind));
    loop.body = x->at;
    *ret = (struct hcl_value){.kind = is_map ? HCL_MAP : HCL_LIST};
    if (!skip)
        r = value_in_order(x, &over, &over);
    if (r == 0 && !skip)
        r = loop_items(x, &loop, &over, ret);
    if (r < 0)
        return r;
    x->skip = true; /* to its end, however many elements there were */
    x->at = loop.body;
    r = loop_item(x, &loop, ret);
    x->skip = skip;
    if (r == 0 && !take(x, is_map ? "}" : "]"))
        r = expr_fail(x, start, "this \"for\" is never closed; add the bracket");
    return r;
}

static int collection(struct expr *x, bool is_map, struct hcl_value *ret)
{
    const char *close = is_map ? "}" : "]";
    const char *open = x->at++;

    blanks(x);
    if (strncmp(x->at, "for", 3) == 0 && name_length(x->at) == 3 &&
        isspace((unsigned char)x->at[3]))
        return for_expr(x, is_map, ret);
    *ret = (struct hcl_value){.kind = is_map ? HCL_MAP : HCL_LIST};
    while (!take(x, close)) {
        struct hcl_value item = {0};
        const char *name = NULL;
        int r = eval_step(x, x->at);

        if (!*x->at)
            return expr_fail(x, open, "this is never closed; add \"%s\"", close);
        if (r == 0 && is_map)
            r = key(x, &name);
        if (r == 0 && is_map && !take(x, "=") && !take(x, ":"))
            r = expr_fail(x, x->at, "expected \"=\" behind the key");
        if (r == 0)
            r = cond(x, &item);
        if (r == 0 && !x->skip)
            r = value_append(x, ret, name, &item);
        if (r < 0)
            return r;
        if (!take(x, ",") && !is_map && (blanks(x), *x->at != ']'))
            return expr_fail(x, x->at, "expected \",\" or \"]\" in the list");
    }
    return 0;
}

/* ---- names and calls ---- */

/* Evaluates one argument and goes behind it, whatever comes of that: 1 and `e` when it is an error.
 * What cannot even be read is no error to be tried. */
static int attempt(struct expr *x, struct hcl_value *ret, struct err *e)
{
    const char *start = x->at;
    unsigned int depth = x->ev->depth;
    struct err *before = x->ev->e;
    bool skip = x->skip;
    int r;

    x->ev->e = e;
    r = cond(x, ret);
    x->ev->e = before;
    if (r != -EINVAL || skip)
        return r;
    x->at = start;
    x->ev->depth = depth;
    x->skip = true;
    r = cond(x, &(struct hcl_value){0});
    x->skip = skip;
    return r < 0 ? r : 1;
}

/* The first argument of try() that can be evaluated; whether the one of can() can be. */
static int try_call(struct expr *x, const char *at, bool can, struct hcl_value *ret)
{
    struct err e = ERR_INIT;
    bool found = false, skip = x->skip;
    size_t n = 0;

    while (!take(x, ")")) {
        struct hcl_value item = {0};
        int r;

        x->skip = skip || found;
        r = attempt(x, &item, &e);
        x->skip = skip;
        if (r < 0)
            return r;
        if (r == 0 && !found) {
            *ret = item;
            found = true;
        }
        n++;
        if (!take(x, ",") && (blanks(x), *x->at != ')'))
            return expr_fail(x, x->at, "expected \",\" or \")\" in the call of \"%s\"",
                             can ? "can" : "try");
    }
    if (n == 0 || (can && n > 1))
        return expr_fail(x, at, can ? "can() takes 1 argument" : "try() takes 1 or more arguments");
    if (can)
        *ret = (struct hcl_value){.kind = HCL_BOOL, .boolean = found};
    if (can || found || skip)
        return 0;
    return expr_fail(x, at, "nothing in this try() can be had; the last of it: %.150s", e.text);
}

/* convert(value, list(string)): what a variable's type is. */
static int convert_call(struct expr *x, const char *at, struct hcl_value *ret)
{
    const char *start, *end;
    char *type;
    int depth = 0, r = cond(x, ret);

    if (r == 0)
        r = want(x, ",");
    if (r < 0)
        return r;
    blanks(x);
    start = end = x->at;
    while (*end && (depth || *end != ')')) {
        depth += (*end == '(') - (*end == ')');
        end++;
    }
    x->at = end;
    if (!take(x, ")"))
        return expr_fail(x, at, "write convert(VALUE, TYPE)");
    type = arena_copy(x->ev->arena, start, (size_t)(end - start));
    if (!type)
        return -ENOMEM;
    return x->skip ? 0 : type_convert(x, type, ret);
}

static int call(struct expr *x, const char *name, size_t len, struct hcl_value *ret)
{
    struct hcl_value args = {.kind = HCL_LIST};
    const char *at = x->at - len;

    (void)take(x, "(");
    if (len == 3 && (strncmp(name, "try", 3) == 0 || strncmp(name, "can", 3) == 0))
        return try_call(x, at, *name == 'c', ret);
    if (len == 7 && strncmp(name, "convert", 7) == 0)
        return convert_call(x, at, ret);
    while (!take(x, ")")) {
        struct hcl_value item = {0};
        int r = cond(x, &item);

        if (r < 0)
            return r;
        if (take(x, "...")) {
            if (!x->skip && item.kind != HCL_LIST)
                return expr_fail(x, at, "\"...\" goes behind a list");
            for (size_t i = 0; r == 0 && i < item.n_items; i++)
                r = value_append(x, &args, NULL, &item.items[i]);
        } else if (!x->skip) {
            r = value_append(x, &args, NULL, &item);
        }
        if (r < 0)
            return r;
        if (!take(x, ",") && (blanks(x), *x->at != ')'))
            return expr_fail(x, x->at, "expected \",\" or \")\" in the call of \"%.*s\"",
                             len > 40 ? 40 : (int)len, name);
    }
    return x->skip ? 0 : function_call(x, at, name, len, args.items, args.n_items, ret);
}

/* "var.NAME" or "local.NAME", of which the first word was read. */
static int named(struct expr *x, const char *at, const char *root, struct hcl_value *ret)
{
    struct named *found;
    const char *name;
    size_t n;
    int r;

    if (!take(x, ".") || !(n = name_length(x->at)))
        return expr_fail(x, at, "write %s.NAME", root);
    name = x->at;
    x->at += n;
    if (x->skip)
        return 0;
    found = eval_find(x->ev, root, name, n);
    if (!found)
        return expr_fail(x, at, "there is no %s \"%.*s\"; add %s",
                         *root == 'v' ? "variable" : "local", n > 64 ? 64 : (int)n, name,
                         *root == 'v' ? "variable \"NAME\" { }" : "it to locals { }");
    r = eval_need(x->ev, found);
    if (r == 0)
        *ret = found->value;
    return r;
}

static int name_expr(struct expr *x, struct hcl_value *ret)
{
    const char *at = x->at;
    size_t n = name_length(at);

    x->at += n;
    if (n == 4 && strncmp(at, "true", 4) == 0)
        *ret = (struct hcl_value){.kind = HCL_BOOL, .boolean = true};
    else if (n == 5 && strncmp(at, "false", 5) == 0)
        *ret = (struct hcl_value){.kind = HCL_BOOL};
    else if (n == 4 && strncmp(at, "null", 4) == 0)
        *ret = (struct hcl_value){.kind = HCL_NULL};
    else if (*x->at == '(')
        return call(x, at, n, ret);
    else if (n == 3 && strncmp(at, "var", 3) == 0)
        return named(x, at, "var", ret);
    else if (n == 5 && strncmp(at, "local", 5) == 0)
        return named(x, at, "local", ret);
    else {
        for (const struct scope *s = x->scope; s; s = s->outer)
            if (strlen(s->name) == n && strncmp(s->name, at, n) == 0) {
                *ret = *s->value;
                return 0;
            }
        if (x->skip)
            return 0;
        return expr_fail(x, at,
                         "\"%.*s\" is not known while a job file is read; text goes in quotes, and "
                         "what is known once a task runs in \"${…}\" of its own",
                         n > 64 ? 64 : (int)n, at);
    }
    return 0;
}

/* ---- operators ---- */

static int primary(struct expr *x, struct hcl_value *ret)
{
    const char *at;
    int r = eval_step(x, x->at);

    blanks(x);
    at = x->at;
    if (r < 0)
        return r;
    if (*at == '"')
        return text(x, ret);
    if (isdigit((unsigned char)*at))
        return number(x, ret);
    if (*at == '[' || *at == '{')
        return collection(x, *at == '{', ret);
    if (is_name_start(*at))
        return name_expr(x, ret);
    if (!take(x, "("))
        return expr_fail(x, at, *at ? "expected a value here" : "a value is missing here");
    r = cond(x, ret);
    return r < 0 ? r : want(x, ")");
}

/* Of every element of a list the part that follows. */
static int splat(struct expr *x, const struct hcl_value *of, struct hcl_value *ret)
{
    struct hcl_value list = *of;
    const char *rest = x->at;

    if (of->kind != HCL_LIST)
        list = (struct hcl_value){
            .kind = HCL_LIST, .items = (struct hcl_value *)of, .n_items = of->kind != HCL_NULL};
    *ret = (struct hcl_value){.kind = HCL_LIST};
    for (size_t i = 0; i < list.n_items; i++) {
        struct hcl_value item = list.items[i];

        for (x->at = rest; *x->at == '.' && name_length(x->at + 1);) {
            struct hcl_value name;
            size_t n = name_length(x->at + 1);
            int r = value_set_text(x, x->at, x->at + 1, n, &name);

            if (r == 0)
                r = value_index(x, x->at, &item, &name, &item);
            if (r < 0)
                return r;
            x->at += 1 + n;
        }
        if (value_append(x, ret, NULL, &item) < 0)
            return -ENOMEM;
    }
    while (!list.n_items && *x->at == '.' && name_length(x->at + 1))
        x->at += 1 + name_length(x->at + 1);
    return 0;
}

static int postfix(struct expr *x, struct hcl_value *ret)
{
    int r = primary(x, ret);

    while (r == 0 && (*x->at == '[' || (*x->at == '.' && x->at[1] != '.'))) {
        const char *at = x->at;
        struct hcl_value of = *ret, index = {0};

        if (strncmp(at, "[*]", 3) == 0 || strncmp(at, ".*", 2) == 0) {
            x->at += *at == '[' ? 3 : 2;
            r = splat(x, &of, ret);
            continue;
        }
        x->at++;
        if (*at == '[') {
            r = cond(x, &index);
            if (r == 0)
                r = want(x, "]");
        } else if (isdigit((unsigned char)*x->at)) {
            index = (struct hcl_value){.kind = HCL_NUMBER, .number = atoi(x->at)};
            x->at += strspn(x->at, "0123456789");
        } else if (name_length(x->at)) {
            r = value_set_text(x, at, x->at, name_length(x->at), &index);
            x->at += name_length(x->at);
        } else {
            r = expr_fail(x, at, "expected a name behind \".\"");
        }
        if (r == 0 && !x->skip)
            r = value_index(x, at, &of, &index, ret);
    }
    return r;
}

static int want_bool(struct expr *x, const char *at, const struct hcl_value *value, bool *ret)
{
    *ret = false;
    if (x->skip || value_to_bool(value, ret))
        return 0;
    return expr_fail(x, at, "true or false is wanted here, not %s", hcl_kind_name(value->kind));
}

static int enter(struct expr *x)
{
    if (++x->ev->depth > HCL_EVAL_MAX_DEPTH)
        return expr_fail(x, x->at, "nested deeper than %d levels; flatten it", HCL_EVAL_MAX_DEPTH);
    return 0;
}

static int unary(struct expr *x, struct hcl_value *ret)
{
    const char *at = (blanks(x), x->at);
    int r = enter(x);
    double n;
    bool b;

    if (r < 0)
        return r;
    if (take(x, "!")) {
        r = unary(x, ret);
        if (r == 0)
            r = want_bool(x, at, ret, &b);
        if (r == 0)
            *ret = (struct hcl_value){.kind = HCL_BOOL, .boolean = !b};
    } else if (take(x, "-")) {
        r = unary(x, ret);
        if (r == 0)
            r = value_want_number(x, at, ret, &n);
        if (r == 0)
            *ret = (struct hcl_value){.kind = HCL_NUMBER, .number = -n};
    } else {
        r = postfix(x, ret);
    }
    x->ev->depth--;
    return r;
}

static const struct operator_ {
    const char *mark;
    unsigned int level; /* higher binds tighter */
} operators[] = {
    {"||", 1}, {"&&", 2}, {"==", 3}, {"!=", 3}, {"<=", 4}, {">=", 4}, {"<", 4},
    {">", 4},  {"+", 5},  {"-", 5},  {"*", 6},  {"/", 6},  {"%", 6},
};

static const struct operator_ *next_operator(struct expr *x)
{
    blanks(x);
    for (size_t i = 0; i < ARRAY_LEN(operators); i++)
        if (strncmp(x->at, operators[i].mark, strlen(operators[i].mark)) == 0)
            return &operators[i];
    return NULL;
}

/* && and || look at their right side only if they need it. */
static int logic(struct expr *x, const struct operator_ *op, struct hcl_value *ret);

static int binary(struct expr *x, unsigned int level, struct hcl_value *ret)
{
    int r = level > 6 ? unary(x, ret) : binary(x, level + 1, ret);
    const struct operator_ *op;

    while (r == 0 && level <= 6 && (op = next_operator(x)) && op->level == level) {
        struct hcl_value left = *ret, right = {0};
        const char *at = x->at;

        if (level <= 2) {
            r = logic(x, op, ret);
            continue;
        }
        x->at += strlen(op->mark);
        r = binary(x, level + 1, &right);
        if (r == 0 && !x->skip)
            r = value_compute(x, at, op->mark, &left, &right, ret);
    }
    return r;
}

static int logic(struct expr *x, const struct operator_ *op, struct hcl_value *ret)
{
    const char *at = x->at;
    bool left, right = false, skip = x->skip;
    bool is_or = *op->mark == '|';
    int r = want_bool(x, at, ret, &left);

    x->at += strlen(op->mark);
    x->skip = skip || left == is_or;
    if (r == 0)
        r = binary(x, op->level + 1, ret);
    if (r == 0)
        r = want_bool(x, at, ret, &right);
    x->skip = skip;
    if (r == 0)
        *ret =
            (struct hcl_value){.kind = HCL_BOOL, .boolean = is_or ? left || right : left && right};
    return r;
}

static int cond(struct expr *x, struct hcl_value *ret)
{
    bool skip = x->skip, holds;
    struct hcl_value other = {0};
    const char *at = (blanks(x), x->at);
    int r = enter(x);

    if (r == 0)
        r = binary(x, 1, ret);
    if (r < 0)
        return r;
    if (!take(x, "?")) {
        x->ev->depth--;
        return 0;
    }
    r = want_bool(x, at, ret, &holds);
    x->skip = skip || !holds;
    if (r == 0)
        r = cond(x, ret);
    if (r == 0)
        r = want(x, ":");
    x->skip = skip || holds;
    if (r == 0)
        r = cond(x, &other);
    x->skip = skip;
    if (r == 0 && !holds)
        *ret = other;
    x->ev->depth--;
    return r;
}

int expr_eval(struct eval *ev, const struct scope *scope, const char *text_, struct hcl_pos pos,
              bool exact, struct hcl_value *ret)
{
    struct expr x = {
        .ev = ev, .scope = scope, .start = text_, .at = text_, .pos = pos, .exact = exact};
    unsigned int depth = ev->depth;
    int r = cond(&x, ret);

    blanks(&x);
    if (r == 0 && *x.at)
        r = expr_fail(&x, x.at, "this does not belong behind the value before it");
    ev->depth = depth;
    return r;
}
