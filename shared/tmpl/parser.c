/* SPDX-License-Identifier: MIT
 *
 * Recursive descent, one token ahead: texts, blocks and definitions.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/tmpl/parser.h"

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

int tmpl_parser_next(struct tmpl_parser *p)
{
    return tmpl_lexer_next(&p->lx, &p->token);
}

int tmpl_parser_unexpected(struct tmpl_parser *p, const char *where)
{
    const struct tmpl_token *token = &p->token;

    if (token->kind == TMPL_TOKEN_NAME || token->kind == TMPL_TOKEN_VARIABLE)
        return tmpl_fail(&p->lx, token->pos, -EINVAL, "\"%.64s\" cannot stand %s", token->text,
                         where);
    return tmpl_fail(&p->lx, token->pos, -EINVAL, "%s cannot stand %s",
                     tmpl_token_name(token->kind), where);
}

struct tmpl_node *tmpl_parser_node(struct tmpl_parser *p, enum tmpl_kind kind, struct tmpl_pos pos)
{
    struct tmpl_node *node = arena_alloc(&p->tmpl->arena, sizeof(*node));

    if (node) {
        node->kind = kind;
        node->pos = pos;
    }
    return node;
}

int tmpl_parser_go_deeper(struct tmpl_parser *p, struct tmpl_pos pos)
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

static int parse_body(struct tmpl_parser *p, struct tmpl_node **ret, struct body_end *ret_end);

static int want_right(struct tmpl_parser *p, const char *behind)
{
    if (p->token.kind != TMPL_TOKEN_RIGHT)
        return tmpl_parser_unexpected(p, behind);
    return tmpl_parser_next(p);
}

static int parse_control(struct tmpl_parser *p, struct tmpl_node *node);

/* Behind {{else: nothing, or another if or with in place of the rest. */
static int parse_else(struct tmpl_parser *p, struct tmpl_node *node, struct body_end *ret_end)
{
    const char *again = node->kind == TMPL_IF ? "if" : node->kind == TMPL_WITH ? "with" : NULL;
    int r;

    if (again && is_word(&p->token, again)) {
        struct tmpl_node *inner = tmpl_parser_node(p, node->kind, p->token.pos);

        r = inner ? tmpl_parser_next(p) : -ENOMEM;
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

static int want_end(struct tmpl_parser *p, const struct tmpl_node *node, const struct body_end *end)
{
    if (end->kind == END_END)
        return 0;
    if (end->kind == END_ELSE)
        return tmpl_fail(&p->lx, end->pos, -EINVAL, "this {{else}} follows another one");
    return tmpl_fail(&p->lx, node->pos, -EINVAL, "this {{%s}} has no {{end}}", control_name(node));
}

/* Behind the keyword of if, range and with. */
static int parse_control(struct tmpl_parser *p, struct tmpl_node *node)
{
    struct body_end end = {0};
    size_t scope = p->n_vars;
    int r = tmpl_parser_go_deeper(p, node->pos);

    if (!r)
        r = tmpl_parse_pipeline(p, node, node->kind == TMPL_RANGE);
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

static int parse_loop_exit(struct tmpl_parser *p, struct tmpl_node *node)
{
    if (p->ranges == 0)
        return tmpl_fail(&p->lx, node->pos, -EINVAL, "{{%s}} stands outside of any {{range}}",
                         node->kind == TMPL_BREAK ? "break" : "continue");
    return want_right(p, "behind {{break or {{continue");
}

static int want_name(struct tmpl_parser *p, const char *what, const char **ret)
{
    if (p->token.kind != TMPL_TOKEN_STRING)
        return tmpl_parser_unexpected(p, what);
    *ret = p->token.text;
    return tmpl_parser_next(p);
}

static int parse_call(struct tmpl_parser *p, struct tmpl_node *node)
{
    int r = want_name(p, "here, where a template's name in quotes is wanted", &node->text);

    if (r)
        return r;
    return p->token.kind == TMPL_TOKEN_RIGHT ? tmpl_parser_next(p)
                                             : tmpl_parse_pipeline(p, node, false);
}

const struct tmpl_node *tmpl_find(const struct tmpl *tmpl, const char *name)
{
    for (const struct tmpl_define *define = tmpl->defines; define; define = define->next)
        if (strcmp(define->name, name) == 0)
            return define->body;
    return NULL;
}

static int add_define(struct tmpl_parser *p, struct tmpl_pos pos, const char *name,
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
static int parse_definition(struct tmpl_parser *p, struct tmpl_pos pos, const char *name)
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
        r = tmpl_parser_go_deeper(p, pos);
    if (!r)
        r = tmpl_parser_declare(p, "$");
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
static int parse_define(struct tmpl_parser *p, struct tmpl_pos pos)
{
    const char *name = NULL;
    int r = want_name(p, "here, where a name in quotes is wanted", &name);

    if (!r && p->depth)
        r = tmpl_fail(&p->lx, pos, -EINVAL, "{{define}} stands inside of another block");
    if (!r)
        r = want_right(p, "behind a {{define \"name\"");
    return r ? r : parse_definition(p, pos, name);
}

static int parse_block(struct tmpl_parser *p, struct tmpl_node *node)
{
    int r = want_name(p, "here, where a name in quotes is wanted", &node->text);

    if (!r && p->token.kind == TMPL_TOKEN_RIGHT)
        r = tmpl_parser_unexpected(p, "here: {{block \"name\" pipeline}} needs a pipeline");
    if (!r)
        r = tmpl_parse_pipeline(p, node, false);
    return r ? r : parse_definition(p, node->pos, node->text);
}

/* Behind a left delimiter; a keyword is next, or a pipeline. *ret stays NULL for what leaves no
 * node, and ret_end->kind END_OF_FILE for what ends no body. */
static int parse_action(struct tmpl_parser *p, struct tmpl_pos pos, struct tmpl_node **ret,
                        struct body_end *ret_end)
{
    static const struct {
        const char *word;
        enum tmpl_kind kind;
        int (*parse)(struct tmpl_parser *p, struct tmpl_node *node);
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
        r = tmpl_parser_next(p);
        return r || ret_end->kind == END_ELSE ? r : want_right(p, "behind {{end");
    }
    if (is_word(&p->token, "define")) {
        r = tmpl_parser_next(p);
        return r ? r : parse_define(p, pos);
    }
    node = tmpl_parser_node(p, TMPL_ACTION, pos);
    if (!node)
        return -ENOMEM;
    *ret = node;
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
        if (is_word(&p->token, keywords[i].word)) {
            node->kind = keywords[i].kind;
            r = tmpl_parser_next(p);
            return r ? r : keywords[i].parse(p, node);
        }
    return tmpl_parse_pipeline(p, node, false);
}

static int parse_text(struct tmpl_parser *p, struct tmpl_node **ret)
{
    struct tmpl_node *node = tmpl_parser_node(p, TMPL_TEXT, p->token.pos);

    if (!node)
        return -ENOMEM;
    node->text = p->token.text;
    node->size = p->token.size;
    *ret = node;
    return tmpl_parser_next(p);
}

/* Up to an {{end}}, which is taken, an {{else, which is taken, or the end of the file. */
static int parse_body(struct tmpl_parser *p, struct tmpl_node **ret, struct body_end *ret_end)
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
            r = tmpl_parser_next(p);
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
static int check_calls(struct tmpl_parser *p, const struct tmpl_node *node)
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

static int parse_all(struct tmpl_parser *p)
{
    struct body_end end = {0};
    int r = tmpl_parser_declare(p, "$");

    if (!r)
        r = tmpl_parser_next(p);
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
    struct tmpl_parser p = {.tmpl = tmpl, .options = options};
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
