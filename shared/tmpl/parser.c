/* SPDX-License-Identifier: MIT
 *
 * Recursive descent, one token ahead. What Go finds out while a template runs, and is wrong however
 * it runs, is found here: a wrong number of arguments, a function that is refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/tmpl/lexer.h"

struct parser {
    struct tmpl_lexer lx;
    struct tmpl *tmpl;
    const struct tmpl_options *options;
    struct tmpl_token token; /* the next one */
    const char **vars;       /* those in scope */
    size_t n_vars;
    unsigned int depth;  /* of blocks and parentheses */
    unsigned int ranges; /* around this place */
};

/* How a body ended. */
enum end_kind {
    END_OF_FILE,
    END_END,
    END_ELSE,
};

struct body_end {
    enum end_kind kind;
    struct tmpl_pos pos;
};

static int next(struct parser *p)
{
    return tmpl_lexer_next(&p->lx, &p->token);
}

static int unexpected(struct parser *p, const char *where)
{
    const struct tmpl_token *token = &p->token;

    if (token->kind == TMPL_TOKEN_NAME || token->kind == TMPL_TOKEN_VARIABLE)
        return tmpl_fail(&p->lx, token->pos, -EINVAL, "\"%.64s\" cannot stand %s", token->text,
                         where);
    return tmpl_fail(&p->lx, token->pos, -EINVAL, "%s cannot stand %s",
                     tmpl_token_name(token->kind), where);
}

static struct tmpl_node *node_new(struct parser *p, enum tmpl_kind kind, struct tmpl_pos pos)
{
    struct tmpl_node *node = arena_alloc(&p->tmpl->arena, sizeof(*node));

    if (node) {
        node->kind = kind;
        node->pos = pos;
    }
    return node;
}

static int go_deeper(struct parser *p, struct tmpl_pos pos)
{
    if (++p->depth > TMPL_MAX_DEPTH)
        return tmpl_fail(&p->lx, pos, -EINVAL, "blocks and parentheses nest deeper than %d",
                         TMPL_MAX_DEPTH);
    return 0;
}

static bool is_word(const struct tmpl_token *token, const char *word)
{
    return token->kind == TMPL_TOKEN_NAME && strcmp(token->text, word) == 0;
}

/* ---- variables ---- */

static int declare(struct parser *p, const char *name)
{
    const char **grown = reallocarray(p->vars, p->n_vars + 1, sizeof(*grown));

    if (!grown)
        return -ENOMEM;
    p->vars = grown;
    p->vars[p->n_vars++] = name;
    return 0;
}

static int check_variable(struct parser *p, struct tmpl_pos pos, const char *name)
{
    for (size_t i = p->n_vars; i; i--)
        if (strcmp(p->vars[i - 1], name) == 0)
            return 0;
    return tmpl_fail(&p->lx, pos, -EINVAL,
                     "there is no variable %.64s here; declare it with %.64s := …", name, name);
}

/* ---- operands ---- */

static int parse_pipe(struct parser *p, struct tmpl_node *pipe, enum tmpl_token_kind end);

static int add_field(struct parser *p, struct tmpl_node *node)
{
    node->fields = arena_grow(&p->tmpl->arena, node->fields, node->n_fields, sizeof(*node->fields));
    if (!node->fields)
        return -ENOMEM;
    node->fields[node->n_fields++] = p->token.text;
    return next(p);
}

static bool at_field(const struct parser *p)
{
    return p->token.kind == TMPL_TOKEN_FIELD && !p->token.spaced;
}

static int refuse_function(struct parser *p, struct tmpl_pos pos, const char *name)
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

static int look_up_function(struct parser *p, struct tmpl_node *node, const char *name)
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
static int parse_function(struct parser *p, struct tmpl_node *node, const char *name)
{
    char method[64];
    int r = next(p);

    if (r)
        return r;
    if (strcmp(name, "scratch") != 0)
        return look_up_function(p, node, name);
    if (!at_field(p))
        return tmpl_fail(&p->lx, node->pos, -EINVAL,
                         "\"scratch\" is used by its methods, such as scratch.Set and scratch.Get");
    (void)snprintf(method, sizeof(method), "scratch.%.40s", p->token.text);
    r = look_up_function(p, node, method);
    return r ? r : next(p);
}

static int parse_parens(struct parser *p, struct tmpl_node *node)
{
    int r = go_deeper(p, node->pos);

    if (!r)
        r = next(p);
    if (!r)
        r = parse_pipe(p, node, TMPL_TOKEN_CLOSE);
    p->depth--;
    return r ? r : next(p); /* the ")" */
}

static int parse_name(struct parser *p, struct tmpl_node *node)
{
    const char *name = p->token.text;

    if (strcmp(name, "true") == 0 || strcmp(name, "false") == 0) {
        node->kind = TMPL_BOOL;
        node->integer = *name == 't';
        return next(p);
    }
    if (strcmp(name, "nil") == 0) {
        node->kind = TMPL_NIL;
        return next(p);
    }
    node->kind = TMPL_FUNCTION;
    return parse_function(p, node, name);
}

/* One operand without the fields behind it. */
static int parse_term(struct parser *p, struct tmpl_node *node)
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
        return unexpected(p, "here, where a value or a function is wanted");
    }
    return next(p);
}

static int parse_operand(struct parser *p, struct tmpl_node **ret)
{
    struct tmpl_node *node = node_new(p, TMPL_DOT, p->token.pos), *chain;
    int r = node ? parse_term(p, node) : -ENOMEM;

    if (!r && at_field(p)) {
        switch (node->kind) {
        case TMPL_FIELD:
        case TMPL_VARIABLE:
            break;
        case TMPL_PIPE:
        case TMPL_FUNCTION:
            chain = node_new(p, TMPL_CHAIN, node->pos);
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
static int check_arguments(struct parser *p, const struct tmpl_node *command, bool piped)
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
static int check_bare(struct parser *p, const struct tmpl_node *operand)
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

static int parse_command(struct parser *p, struct tmpl_node **ret, bool piped,
                         enum tmpl_token_kind end)
{
    struct tmpl_node *command = node_new(p, TMPL_COMMAND, p->token.pos), **tail;
    int r = command ? 0 : -ENOMEM;

    if (r)
        return r;
    tail = &command->first;
    while (p->token.kind != end && p->token.kind != TMPL_TOKEN_PIPE) {
        if (command->first && !p->token.spaced)
            return unexpected(p, "here without white space before it");
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
        return unexpected(p, "here, where a value or a function is wanted");
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

static int parse_commands(struct parser *p, struct tmpl_node *pipe, enum tmpl_token_kind end)
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
        r = next(p); /* the "|" */
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

static struct mark mark(const struct parser *p)
{
    return (struct mark){.lx = p->lx, .token = p->token};
}

static void go_back(struct parser *p, const struct mark *to)
{
    p->lx = to->lx;
    p->token = to->token;
}

static int take_sign(struct parser *p, struct tmpl_node *pipe, bool *ret_taken)
{
    *ret_taken = p->token.kind == TMPL_TOKEN_DECLARE || p->token.kind == TMPL_TOKEN_ASSIGN;
    if (!*ret_taken)
        return 0;
    pipe->assigns = p->token.kind == TMPL_TOKEN_ASSIGN;
    return next(p);
}

/* `$x :=`, `$x =`, and in a range `$i, $x :=`. */
static int parse_declaration(struct parser *p, struct tmpl_node *pipe, bool range)
{
    struct mark start = mark(p);
    const char *name = p->token.text;
    bool taken;
    int r;

    if (p->token.kind != TMPL_TOKEN_VARIABLE)
        return 0;
    r = next(p);
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
        return unexpected(p, "here: only {{range}} declares two variables");
    r = next(p);
    if (r)
        return r;
    if (p->token.kind != TMPL_TOKEN_VARIABLE)
        return unexpected(p, "here, where a second variable is wanted");
    pipe->vars[pipe->n_vars++] = p->token.text;
    r = next(p);
    if (!r)
        r = take_sign(p, pipe, &taken);
    return r ? r : taken ? 0 : unexpected(p, "here, where := is wanted");
}

/* What is assigned must be there before the pipeline; what is declared is there after it. */
static int finish_declaration(struct parser *p, const struct tmpl_node *pipe)
{
    int r = 0;

    for (size_t i = 0; !r && i < pipe->n_vars; i++)
        r = pipe->assigns ? check_variable(p, pipe->pos, pipe->vars[i]) : declare(p, pipe->vars[i]);
    return r;
}

static int parse_pipe(struct parser *p, struct tmpl_node *pipe, enum tmpl_token_kind end)
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

/* The pipeline of an action, up to the right delimiter and past it. */
static int parse_action_pipe(struct parser *p, struct tmpl_node *owner, bool range)
{
    struct tmpl_node *pipe = node_new(p, TMPL_PIPE, p->token.pos);
    int r = pipe ? parse_declaration(p, pipe, range) : -ENOMEM;

    if (!r)
        r = parse_commands(p, pipe, TMPL_TOKEN_RIGHT);
    if (!r)
        r = finish_declaration(p, pipe);
    owner->first = pipe;
    return r ? r : next(p);
}

/* ---- blocks ---- */

static int parse_body(struct parser *p, struct tmpl_node **ret, struct body_end *ret_end);

static int want_right(struct parser *p, const char *behind)
{
    if (p->token.kind != TMPL_TOKEN_RIGHT)
        return unexpected(p, behind);
    return next(p);
}

static int parse_control(struct parser *p, struct tmpl_node *node);

/* Behind {{else: nothing, or another if or with in place of the rest. */
static int parse_else(struct parser *p, struct tmpl_node *node, struct body_end *ret_end)
{
    const char *again = node->kind == TMPL_IF ? "if" : node->kind == TMPL_WITH ? "with" : NULL;
    int r;

    if (again && is_word(&p->token, again)) {
        struct tmpl_node *inner = node_new(p, node->kind, p->token.pos);

        r = inner ? next(p) : -ENOMEM;
        node->other = inner;
        ret_end->kind = END_END; /* its end is ours */
        return r ? r : parse_control(p, inner);
    }
    r = want_right(p, "behind {{else");
    return r ? r : parse_body(p, &node->other, ret_end);
}

static const char *control_name(const struct tmpl_node *node)
{
    return node->kind == TMPL_IF ? "if" : node->kind == TMPL_WITH ? "with" : "range";
}

static int want_end(struct parser *p, const struct tmpl_node *node, const struct body_end *end)
{
    if (end->kind == END_END)
        return 0;
    if (end->kind == END_ELSE)
        return tmpl_fail(&p->lx, end->pos, -EINVAL, "this {{else}} follows another one");
    return tmpl_fail(&p->lx, node->pos, -EINVAL, "this {{%s}} has no {{end}}", control_name(node));
}

/* Behind the keyword of if, range and with. */
static int parse_control(struct parser *p, struct tmpl_node *node)
{
    struct body_end end = {0};
    size_t scope = p->n_vars;
    int r = go_deeper(p, node->pos);

    if (!r)
        r = parse_action_pipe(p, node, node->kind == TMPL_RANGE);
    p->ranges += node->kind == TMPL_RANGE;
    if (!r)
        r = parse_body(p, &node->body, &end);
    p->ranges -= node->kind == TMPL_RANGE;
    if (!r && end.kind == END_ELSE)
        r = parse_else(p, node, &end);
    p->n_vars = scope;
    p->depth--;
    return r ? r : want_end(p, node, &end);
}

static int parse_loop_exit(struct parser *p, struct tmpl_node *node)
{
    if (p->ranges == 0)
        return tmpl_fail(&p->lx, node->pos, -EINVAL, "{{%s}} stands outside of any {{range}}",
                         node->kind == TMPL_BREAK ? "break" : "continue");
    return want_right(p, "behind {{break or {{continue");
}

static int want_name(struct parser *p, const char *what, const char **ret)
{
    if (p->token.kind != TMPL_TOKEN_STRING)
        return unexpected(p, what);
    *ret = p->token.text;
    return next(p);
}

static int parse_call(struct parser *p, struct tmpl_node *node)
{
    int r = want_name(p, "here, where a template's name in quotes is wanted", &node->text);

    if (r)
        return r;
    return p->token.kind == TMPL_TOKEN_RIGHT ? next(p) : parse_action_pipe(p, node, false);
}

const struct tmpl_node *tmpl_find(const struct tmpl *tmpl, const char *name)
{
    for (const struct tmpl_define *define = tmpl->defines; define; define = define->next)
        if (strcmp(define->name, name) == 0)
            return define->body;
    return NULL;
}

static int add_define(struct parser *p, struct tmpl_pos pos, const char *name,
                      struct tmpl_define **ret)
{
    struct tmpl_define *define = arena_alloc(&p->tmpl->arena, sizeof(*define));

    for (const struct tmpl_define *d = p->tmpl->defines; d; d = d->next)
        if (strcmp(d->name, name) == 0)
            return tmpl_fail(&p->lx, pos, -EINVAL, "there is a template \"%.64s\" already", name);
    if (!define)
        return -ENOMEM;
    *define = (struct tmpl_define){.name = name, .next = p->tmpl->defines};
    p->tmpl->defines = define;
    *ret = define;
    return 0;
}

/* A template of its own: it sees no variables but $. */
static int parse_definition(struct parser *p, struct tmpl_pos pos, const char *name)
{
    const char **outer = take_ptr(p->vars);
    size_t n_outer = p->n_vars;
    unsigned int ranges = p->ranges;
    struct tmpl_define *define = NULL;
    struct body_end end = {0};
    int r = add_define(p, pos, name, &define);

    p->n_vars = 0;
    p->ranges = 0;
    if (!r)
        r = go_deeper(p, pos);
    if (!r)
        r = declare(p, "$");
    if (!r)
        r = parse_body(p, &define->body, &end);
    if (!r && end.kind == END_ELSE)
        r = tmpl_fail(&p->lx, end.pos, -EINVAL, "this {{else}} belongs to no if, range or with");
    if (!r && end.kind == END_OF_FILE)
        r = tmpl_fail(&p->lx, pos, -EINVAL, "the template \"%.64s\" has no {{end}}", name);
    p->depth--;
    free(p->vars);
    p->vars = outer;
    p->n_vars = n_outer;
    p->ranges = ranges;
    return r;
}

/* {{define}} leaves nothing in its place. */
static int parse_define(struct parser *p, struct tmpl_pos pos)
{
    const char *name = NULL;
    int r = want_name(p, "here, where a name in quotes is wanted", &name);

    if (!r && p->depth)
        r = tmpl_fail(&p->lx, pos, -EINVAL, "{{define}} stands inside of another block");
    if (!r)
        r = want_right(p, "behind a {{define \"name\"");
    return r ? r : parse_definition(p, pos, name);
}

static int parse_block(struct parser *p, struct tmpl_node *node)
{
    int r = want_name(p, "here, where a name in quotes is wanted", &node->text);

    if (!r && p->token.kind == TMPL_TOKEN_RIGHT)
        r = unexpected(p, "here: {{block \"name\" pipeline}} needs a pipeline");
    if (!r)
        r = parse_action_pipe(p, node, false);
    return r ? r : parse_definition(p, node->pos, node->text);
}

/* Behind a left delimiter; a keyword is next, or a pipeline. *ret stays NULL for what leaves no
 * node, and ret_end->kind END_OF_FILE for what ends no body. */
static int parse_action(struct parser *p, struct tmpl_pos pos, struct tmpl_node **ret,
                        struct body_end *ret_end)
{
    static const struct {
        const char *word;
        enum tmpl_kind kind;
        int (*parse)(struct parser *p, struct tmpl_node *node);
    } keywords[] = {
        {"if", TMPL_IF, parse_control},
        {"range", TMPL_RANGE, parse_control},
        {"with", TMPL_WITH, parse_control},
        {"template", TMPL_CALL, parse_call},
        {"block", TMPL_CALL, parse_block},
        {"break", TMPL_BREAK, parse_loop_exit},
        {"continue", TMPL_CONTINUE, parse_loop_exit},
    };
    struct tmpl_node *node;
    int r;

    *ret_end = (struct body_end){.kind = END_OF_FILE, .pos = pos};
    if (is_word(&p->token, "end") || is_word(&p->token, "else")) {
        ret_end->kind = is_word(&p->token, "end") ? END_END : END_ELSE;
        r = next(p);
        return r || ret_end->kind == END_ELSE ? r : want_right(p, "behind {{end");
    }
    if (is_word(&p->token, "define")) {
        r = next(p);
        return r ? r : parse_define(p, pos);
    }
    node = node_new(p, TMPL_ACTION, pos);
    if (!node)
        return -ENOMEM;
    *ret = node;
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
        if (is_word(&p->token, keywords[i].word)) {
            node->kind = keywords[i].kind;
            r = next(p);
            return r ? r : keywords[i].parse(p, node);
        }
    return parse_action_pipe(p, node, false);
}

static int parse_text(struct parser *p, struct tmpl_node **ret)
{
    struct tmpl_node *node = node_new(p, TMPL_TEXT, p->token.pos);

    if (!node)
        return -ENOMEM;
    node->text = p->token.text;
    node->size = p->token.size;
    *ret = node;
    return next(p);
}

/* Up to an {{end}}, which is taken, an {{else, which is taken, or the end of the file. */
static int parse_body(struct parser *p, struct tmpl_node **ret, struct body_end *ret_end)
{
    struct tmpl_node **tail = ret;
    int r = 0;

    *ret = NULL;
    while (!r) {
        struct tmpl_pos pos = p->token.pos;

        *ret_end = (struct body_end){.kind = END_OF_FILE, .pos = pos};
        if (p->token.kind == TMPL_TOKEN_END)
            return 0;
        if (p->token.kind == TMPL_TOKEN_TEXT) {
            r = parse_text(p, tail);
        } else {
            r = next(p);
            if (!r)
                r = parse_action(p, pos, tail, ret_end);
            if (!r && ret_end->kind != END_OF_FILE)
                return 0;
        }
        if (*tail)
            tail = &(*tail)->next;
    }
    return r;
}

/* Every {{template}} must name one there is. */
static int check_calls(struct parser *p, const struct tmpl_node *node)
{
    int r = 0;

    for (; node && !r; node = node->next) {
        if (node->kind == TMPL_CALL && !tmpl_find(p->tmpl, node->text))
            return tmpl_fail(&p->lx, node->pos, -EINVAL, "there is no template \"%.64s\"",
                             node->text);
        r = check_calls(p, node->body);
        if (!r)
            r = check_calls(p, node->other);
    }
    return r;
}

static int parse_all(struct parser *p)
{
    struct body_end end = {0};
    int r = declare(p, "$");

    if (!r)
        r = next(p);
    if (!r)
        r = parse_body(p, &p->tmpl->body, &end);
    if (!r && end.kind != END_OF_FILE)
        r = tmpl_fail(&p->lx, end.pos, -EINVAL, "this {{%s}} belongs to nothing",
                      end.kind == END_END ? "end" : "else");
    if (!r)
        r = check_calls(p, p->tmpl->body);
    for (const struct tmpl_define *d = p->tmpl->defines; d && !r; d = d->next)
        r = check_calls(p, d->body);
    return r;
}

int tmpl_parse(const char *name, const char *text, size_t size, const struct tmpl_options *options,
               struct tmpl **ret_tmpl, struct err *e)
{
    struct tmpl *tmpl = calloc(1, sizeof(*tmpl));
    struct parser p = {.tmpl = tmpl, .options = options};
    struct err dropped;
    int r = -ENOMEM;

    if (!e)
        e = &dropped;
    if (tmpl)
        tmpl->name = arena_copy(&tmpl->arena, name, strlen(name));
    if (tmpl && tmpl->name && size > TMPL_MAX_BYTES) {
        r = err_set(e, -EINVAL, "%s: the template is larger than %d bytes", name, TMPL_MAX_BYTES);
    } else if (tmpl && tmpl->name) {
        tmpl_lexer_init(&p.lx, tmpl->name, text, size, options, &tmpl->arena, e);
        r = parse_all(&p);
    }
    free(p.vars);
    if (r == -ENOMEM)
        err_set(e, r, "%s: no memory to read the template", name);
    if (r) {
        tmpl_free(tmpl);
        return r;
    }
    *ret_tmpl = tmpl;
    return 0;
}

struct tmpl *tmpl_free(struct tmpl *tmpl)
{
    if (!tmpl)
        return NULL;
    arena_deinit(&tmpl->arena);
    free(tmpl);
    return NULL;
}
