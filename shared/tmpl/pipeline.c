/* SPDX-License-Identifier: MIT
 *
 * Pipelines: variables, operands, commands. What Go finds out while a template runs, and is wrong
 * however it runs, is found here: a wrong number of arguments, a function that is refused.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/tmpl/parser.h"

/* ---- variables ---- */

int tmpl_parser_declare(struct tmpl_parser *p, const char *name)
{
    const char **grown = reallocarray(p->vars, p->n_vars + 1, sizeof(*grown));

    if (!grown)
        return -ENOMEM;
    p->vars = grown;
    p->vars[p->n_vars++] = name;
    return 0;
}

static int check_variable(struct tmpl_parser *p, struct tmpl_pos pos, const char *name)
{
    for (size_t i = p->n_vars; i; i--)
        if (strcmp(p->vars[i - 1], name) == 0)
            return 0;
    return tmpl_fail(&p->lx, pos, -EINVAL,
                     "there is no variable %.64s here; declare it with %.64s := …", name, name);
}

/* ---- operands ---- */

static int parse_pipe(struct tmpl_parser *p, struct tmpl_node *pipe, enum tmpl_token_kind end);

static int add_field(struct tmpl_parser *p, struct tmpl_node *node)
{
    node->fields = arena_grow(&p->tmpl->arena, node->fields, node->n_fields, sizeof(*node->fields));
    if (!node->fields)
        return -ENOMEM;
    node->fields[node->n_fields++] = p->token.text;
    return tmpl_parser_next(p);
}

static bool at_field(const struct tmpl_parser *p)
{
    return p->token.kind == TMPL_TOKEN_FIELD && !p->token.spaced;
}

static int refuse_function(struct tmpl_parser *p, struct tmpl_pos pos, const char *name)
{
    const char *why = tmpl_function_refused(name), *nearest;

    if (why)
        return tmpl_fail(&p->lx, pos, -ENOTSUP, "the function \"%.64s\" is not supported: %s", name,
                         why);
    nearest = tmpl_function_nearest(name);
    return tmpl_fail(&p->lx, pos, -EINVAL, "there is no function \"%.64s\"%s%s%s", name,
                     nearest ? "; did you mean \"" : "; see cleat-template(5) for those there are",
                     nearest ? nearest : "", nearest ? "\"?" : "");
}

static int look_up_function(struct tmpl_parser *p, struct tmpl_node *node, const char *name)
{
    const char *const *denied = p->options ? p->options->denied : NULL;

    for (; denied && *denied; denied++)
        if (strcmp(*denied, name) == 0)
            return tmpl_fail(&p->lx, node->pos, -EINVAL,
                             "the function \"%.64s\" is denied by the operator of this node "
                             "(client, template, function_denylist)",
                             name);
    node->function = tmpl_function_find(name);
    if (!node->function)
        return refuse_function(p, node->pos, name);
    p->tmpl->uses |= node->function->uses;
    return 0;
}

/* "scratch.Set" is a method in Go, which is called as a function is. */
static int parse_function(struct tmpl_parser *p, struct tmpl_node *node, const char *name)
{
    char method[64];
    int r = tmpl_parser_next(p);

    if (r)
        return r;
    if (strcmp(name, "scratch") != 0)
        return look_up_function(p, node, name);
    if (!at_field(p))
        return tmpl_fail(&p->lx, node->pos, -EINVAL,
                         "\"scratch\" is used by its methods, such as scratch.Set and scratch.Get");
    (void)snprintf(method, sizeof(method), "scratch.%.40s", p->token.text);
    r = look_up_function(p, node, method);
    return r ? r : tmpl_parser_next(p);
}

static int parse_parens(struct tmpl_parser *p, struct tmpl_node *node)
{
    int r = tmpl_parser_go_deeper(p, node->pos);

    if (!r)
        r = tmpl_parser_next(p);
    if (!r)
        r = parse_pipe(p, node, TMPL_TOKEN_CLOSE);
    p->depth--;
    return r ? r : tmpl_parser_next(p); /* the ")" */
}

static int parse_name(struct tmpl_parser *p, struct tmpl_node *node)
{
    const char *name = p->token.text;

    if (strcmp(name, "true") == 0 || strcmp(name, "false") == 0) {
        node->kind = TMPL_BOOL;
        node->integer = *name == 't';
        return tmpl_parser_next(p);
    }
    if (strcmp(name, "nil") == 0) {
        node->kind = TMPL_NIL;
        return tmpl_parser_next(p);
    }
    node->kind = TMPL_FUNCTION;
    return parse_function(p, node, name);
}

/* One operand without the fields behind it. */
static int parse_term(struct tmpl_parser *p, struct tmpl_node *node)
{
    const struct tmpl_token *token = &p->token;
    int r;

    node->text = token->text;
    node->size = token->size;
    switch (token->kind) {
    case TMPL_TOKEN_NAME:
        return parse_name(p, node);
    case TMPL_TOKEN_DOT:
        node->kind = TMPL_DOT;
        break;
    case TMPL_TOKEN_FIELD:
        node->kind = TMPL_FIELD;
        return add_field(p, node);
    case TMPL_TOKEN_VARIABLE:
        node->kind = TMPL_VARIABLE;
        r = check_variable(p, token->pos, token->text);
        if (r)
            return r;
        break;
    case TMPL_TOKEN_STRING:
        node->kind = TMPL_STRING;
        break;
    case TMPL_TOKEN_INT:
        node->kind = TMPL_INT;
        node->integer = token->integer;
        break;
    case TMPL_TOKEN_FLOAT:
        node->kind = TMPL_FLOAT;
        node->real = token->real;
        break;
    case TMPL_TOKEN_OPEN:
        node->kind = TMPL_PIPE;
        return parse_parens(p, node);
    default:
        return tmpl_parser_unexpected(p, "here, where a value or a function is wanted");
    }
    return tmpl_parser_next(p);
}

static int parse_operand(struct tmpl_parser *p, struct tmpl_node **ret)
{
    struct tmpl_node *node = tmpl_parser_node(p, TMPL_DOT, p->token.pos), *chain;
    int r = node ? parse_term(p, node) : -ENOMEM;

    if (!r && at_field(p)) {
        switch (node->kind) {
        case TMPL_FIELD:
        case TMPL_VARIABLE:
            break;
        case TMPL_PIPE:
        case TMPL_FUNCTION:
            chain = tmpl_parser_node(p, TMPL_CHAIN, node->pos);
            if (!chain)
                return -ENOMEM;
            chain->first = node;
            node = chain;
            break;
        default:
            return tmpl_fail(&p->lx, p->token.pos, -EINVAL, "a constant has no field \".%.64s\"",
                             p->token.text);
        }
    }
    while (!r && at_field(p))
        r = add_field(p, node);
    *ret = node;
    return r;
}

/* ---- commands and pipelines ---- */

/* `piped`: one more argument comes from the command before. */
static int check_arguments(struct tmpl_parser *p, const struct tmpl_node *command, bool piped)
{
    const struct tmpl_node *first = command->first;
    const struct tmpl_function *fn = first->function;
    int n = piped;

    for (const struct tmpl_node *node = first->next; node; node = node->next)
        n++;
    if (first->kind != TMPL_FUNCTION) {
        if (n && first->kind == TMPL_NIL)
            return tmpl_fail(&p->lx, first->pos, -EINVAL, "nil is no function");
        if (n)
            return tmpl_fail(&p->lx, first->pos, -EINVAL,
                             "what stands here is no function and takes no arguments");
        return first->kind == TMPL_NIL
                   ? tmpl_fail(&p->lx, first->pos, -EINVAL, "nil alone is no command")
                   : 0;
    }
    if (n >= fn->least && (fn->most < 0 || n <= fn->most))
        return 0;
    return tmpl_fail(&p->lx, first->pos, -EINVAL, "\"%s\" takes %s%d argument%s, and gets %d",
                     fn->name,
                     fn->least == fn->most ? ""
                     : n < fn->least       ? "at least "
                                           : "at most ",
                     n < fn->least ? fn->least : fn->most,
                     (n < fn->least ? fn->least : fn->most) == 1 ? "" : "s", n);
}

/* A function among the arguments of another, without parentheses, has none itself. */
static int check_bare(struct tmpl_parser *p, const struct tmpl_node *operand)
{
    const struct tmpl_function *fn = operand->function;

    if (operand->kind == TMPL_CHAIN)
        return check_bare(p, operand->first);
    if (operand->kind != TMPL_FUNCTION || fn->least == 0)
        return 0;
    return tmpl_fail(&p->lx, operand->pos, -EINVAL,
                     "\"%s\" takes at least %d argument%s, and gets none here; put it and its "
                     "arguments in parentheses",
                     fn->name, fn->least, fn->least == 1 ? "" : "s");
}

static int parse_command(struct tmpl_parser *p, struct tmpl_node **ret, bool piped,
                         enum tmpl_token_kind end)
{
    struct tmpl_node *command = tmpl_parser_node(p, TMPL_COMMAND, p->token.pos), **tail;
    int r = command ? 0 : -ENOMEM;

    if (r)
        return r;
    tail = &command->first;
    while (p->token.kind != end && p->token.kind != TMPL_TOKEN_PIPE) {
        if (command->first && !p->token.spaced)
            return tmpl_parser_unexpected(p, "here without white space before it");
        r = parse_operand(p, tail);
        if (!r && tail != &command->first)
            r = check_bare(p, *tail);
        if (!r && tail == &command->first && (*tail)->kind == TMPL_CHAIN)
            r = check_bare(p, *tail);
        if (r)
            return r;
        tail = &(*tail)->next;
    }
    if (!command->first)
        return tmpl_parser_unexpected(p, "here, where a value or a function is wanted");
    *ret = command;
    return check_arguments(p, command, piped);
}

/* Whether the second command or a later one can begin with it. */
static bool is_executable(const struct tmpl_node *node)
{
    switch (node->kind) {
    case TMPL_BOOL:
    case TMPL_DOT:
    case TMPL_NIL:
    case TMPL_INT:
    case TMPL_FLOAT:
    case TMPL_STRING:
        return false;
    default:
        return true;
    }
}

static int parse_commands(struct tmpl_parser *p, struct tmpl_node *pipe, enum tmpl_token_kind end)
{
    struct tmpl_node **tail = &pipe->first;
    int r;

    for (;;) {
        r = parse_command(p, tail, tail != &pipe->first, end);
        if (r)
            return r;
        if (tail != &pipe->first && !is_executable((*tail)->first))
            return tmpl_fail(&p->lx, (*tail)->pos, -EINVAL,
                             "behind a \"|\" there must be a function");
        tail = &(*tail)->next;
        if (p->token.kind == end)
            return 0;
        r = tmpl_parser_next(p); /* the "|" */
        if (r)
            return r;
    }
}

/* A variable as the next token, which may be a declaration: *ret_node is it as an operand if not.
 * Only a look at the token behind it can tell. */
struct mark {
    struct tmpl_lexer lx;
    struct tmpl_token token;
};

static struct mark mark(const struct tmpl_parser *p)
{
    return (struct mark){.lx = p->lx, .token = p->token};
}

static void go_back(struct tmpl_parser *p, const struct mark *to)
{
    p->lx = to->lx;
    p->token = to->token;
}

static int take_sign(struct tmpl_parser *p, struct tmpl_node *pipe, bool *ret_taken)
{
    *ret_taken = p->token.kind == TMPL_TOKEN_DECLARE || p->token.kind == TMPL_TOKEN_ASSIGN;
    if (!*ret_taken)
        return 0;
    pipe->assigns = p->token.kind == TMPL_TOKEN_ASSIGN;
    return tmpl_parser_next(p);
}

/* `$x :=`, `$x =`, and in a range `$i, $x :=`. */
static int parse_declaration(struct tmpl_parser *p, struct tmpl_node *pipe, bool range)
{
    struct mark start = mark(p);
    const char *name = p->token.text;
    bool taken;
    int r;

    if (p->token.kind != TMPL_TOKEN_VARIABLE)
        return 0;
    r = tmpl_parser_next(p);
    if (!r)
        r = take_sign(p, pipe, &taken);
    if (r)
        return r;
    pipe->vars[pipe->n_vars++] = name;
    if (taken)
        return 0;
    if (p->token.kind != TMPL_TOKEN_COMMA) {
        pipe->n_vars = 0;
        go_back(p, &start);
        return 0;
    }
    if (!range)
        return tmpl_parser_unexpected(p, "here: only {{range}} declares two variables");
    r = tmpl_parser_next(p);
    if (r)
        return r;
    if (p->token.kind != TMPL_TOKEN_VARIABLE)
        return tmpl_parser_unexpected(p, "here, where a second variable is wanted");
    pipe->vars[pipe->n_vars++] = p->token.text;
    r = tmpl_parser_next(p);
    if (!r)
        r = take_sign(p, pipe, &taken);
    return r ? r : taken ? 0 : tmpl_parser_unexpected(p, "here, where := is wanted");
}

/* What is assigned must be there before the pipeline; what is declared is there after it. */
static int finish_declaration(struct tmpl_parser *p, const struct tmpl_node *pipe)
{
    int r = 0;

    for (size_t i = 0; !r && i < pipe->n_vars; i++)
        r = pipe->assigns ? check_variable(p, pipe->pos, pipe->vars[i])
                          : tmpl_parser_declare(p, pipe->vars[i]);
    return r;
}

static int parse_pipe(struct tmpl_parser *p, struct tmpl_node *pipe, enum tmpl_token_kind end)
{
    size_t scope = p->n_vars;
    int r = parse_declaration(p, pipe, false);

    if (!r)
        r = parse_commands(p, pipe, end);
    if (!r)
        r = finish_declaration(p, pipe);
    if (end == TMPL_TOKEN_CLOSE)
        p->n_vars = scope;
    return r;
}

int tmpl_parse_pipeline(struct tmpl_parser *p, struct tmpl_node *owner, bool range)
{
    struct tmpl_node *pipe = tmpl_parser_node(p, TMPL_PIPE, p->token.pos);
    int r = pipe ? parse_declaration(p, pipe, range) : -ENOMEM;

    if (!r)
        r = parse_commands(p, pipe, TMPL_TOKEN_RIGHT);
    if (!r)
        r = finish_declaration(p, pipe);
    owner->first = pipe;
    return r ? r : tmpl_parser_next(p);
}
