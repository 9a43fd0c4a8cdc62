/* SPDX-License-Identifier: MIT
 *
 * Recursive descent with one token of look-ahead (`tok`). Every function that parses something
 * starts with `tok` at its first token and leaves `tok` at the first one behind it.
 *
 *   body  = { item ends-line }           item  = name "=" value | name { label } "{" body "}"
 *   value = literal | list | map         list  = "[" [ value { "," value } [ "," ] ] "]"
 *   map   = "{" { name ( "=" | ":" ) value ( "," | line end ) } "}"
 *
 * With expressions, a value that is none of these, or goes on behind one, is kept as its text, to
 * its end (HCL_EXPR). Names and labels may be quoted. Inside braces a comma separates items as well
 * as a line end does, as HCL 1 allowed. Depth and the number of items are bounded, so that no input
 * of the allowed size costs more than a few megabytes and a second.
 */
#include "shared/hcl/parser.h"

#include <errno.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/hcl/lexer.h"

struct parser {
    const struct hcl_file *file;
    struct arena *arena;
    struct lexer lx;
    struct token tok;
    bool expressions;
    bool one_line; /* in a block whose items begin on the line of its brace */
    unsigned int depth;
    size_t n_items;
    struct err *e;
};

static int parse_value(struct parser *p, struct hcl_value *ret);
static int parse_body(struct parser *p, enum token_kind end, struct hcl_body **ret);

#define fail_at(p, pos, ...) hcl_error((p)->e, (p)->file, pos, __VA_ARGS__)

static int advance(struct parser *p)
{
    return lexer_next(&p->lx, &p->tok, p->e);
}

static int skip_lines(struct parser *p)
{
    while (p->tok.kind == TOKEN_NEWLINE) {
        int r = advance(p);

        if (r < 0)
            return r;
    }
    return 0;
}

static int enter(struct parser *p)
{
    if (++p->depth > HCL_MAX_DEPTH)
        return fail_at(p, p->tok.pos, "nested deeper than %d levels; flatten it", HCL_MAX_DEPTH);
    return 0;
}

static int count_item(struct parser *p, struct hcl_pos pos)
{
    if (++p->n_items > HCL_MAX_ITEMS)
        return fail_at(p, pos, "more than %d values in one file; split it", HCL_MAX_ITEMS);
    return 0;
}

/* ---- values ---- */

static int parse_word(struct parser *p, struct hcl_value *ret)
{
    const char *word = p->tok.text;

    if (strcmp(word, "true") == 0 || strcmp(word, "false") == 0) {
        ret->kind = HCL_BOOL;
        ret->boolean = word[0] == 't';
    } else if (strcmp(word, "null") == 0) {
        ret->kind = HCL_NULL;
    } else {
        return fail_at(p, p->tok.pos,
                       "\"%.64s\" is no value; put text in double quotes, or write true, false or "
                       "null (variables and functions are not evaluated)",
                       word);
    }
    return 0;
}

/* ---- expressions ---- */

static bool is_literal_word(const char *word)
{
    return strcmp(word, "true") == 0 || strcmp(word, "false") == 0 || strcmp(word, "null") == 0;
}

/* Whether what stands behind a value makes it part of an expression. */
static bool goes_on(const struct parser *p)
{
    const char *at = p->lx.at + strspn(p->lx.at, " \t");

    if (!p->expressions || !*at || strncmp(at, "//", 2) == 0 || strncmp(at, "/*", 2) == 0)
        return false;
    return strchr("+-*/%?<>!&|.([", *at) || strncmp(at, "==", 2) == 0;
}

static bool starts_for(const struct parser *p)
{
    const char *at = p->lx.at + strspn(p->lx.at, " \t\r\n");

    return p->expressions && strncmp(at, "for", 3) == 0 && strchr(" \t\r\n", at[3]);
}

static bool starts_expression(const struct parser *p)
{
    switch (p->tok.kind) {
    case TOKEN_OTHER:
        return true;
    case TOKEN_NAME:
        return p->expressions && (!is_literal_word(p->tok.text) || goes_on(p));
    case TOKEN_OPEN_BRACKET:
    case TOKEN_OPEN_BRACE:
        return starts_for(p);
    default:
        return false;
    }
}

static int parse_expression(struct parser *p, const struct token *start, struct hcl_value *ret)
{
    const char *end;
    int r = lexer_skip_expression(&p->lx, start, &end, p->e);

    if (r < 0)
        return r;
    *ret = (struct hcl_value){.kind = HCL_EXPR, .pos = start->pos};
    ret->string = arena_copy(p->arena, start->at, (size_t)(end - start->at));
    return ret->string ? 0 : -ENOMEM;
}

/* After an element: a comma, or the end of the list. */
static int end_element(struct parser *p, struct hcl_pos open)
{
    int r = skip_lines(p);

    if (r < 0 || p->tok.kind == TOKEN_CLOSE_BRACKET)
        return r;
    if (p->tok.kind == TOKEN_END)
        return fail_at(p, open, "this list is never closed; add \"]\"");
    if (p->tok.kind != TOKEN_COMMA)
        return fail_at(p, p->tok.pos, "expected \",\" or \"]\" in the list, not %s",
                       token_kind_name(p->tok.kind));
    return advance(p);
}

static int parse_list(struct parser *p, struct hcl_value *ret)
{
    struct hcl_pos open = p->tok.pos;
    int r = enter(p);

    if (r < 0)
        return r;
    ret->kind = HCL_LIST;
    r = advance(p);
    for (;;) {
        struct hcl_value *items;

        if (r >= 0)
            r = skip_lines(p);
        if (r < 0)
            return r;
        if (p->tok.kind == TOKEN_CLOSE_BRACKET)
            break;
        if (p->tok.kind == TOKEN_END)
            return fail_at(p, open, "this list is never closed; add \"]\"");
        items = arena_grow(p->arena, ret->items, ret->n_items, sizeof(*items));
        if (!items)
            return -ENOMEM;
        ret->items = items;
        items[ret->n_items] = (struct hcl_value){0};
        r = parse_value(p, &items[ret->n_items]);
        if (r < 0)
            return r;
        ret->n_items++;
        r = end_element(p, open);
    }
    p->depth--;
    return 0;
}

/* What begins on the line of its brace ends on it, as HCL 2 wants it. */
static int check_one_line(struct parser *p)
{
    if (!p->one_line || p->tok.kind != TOKEN_NEWLINE)
        return 0;
    return fail_at(p, p->tok.pos,
                   "a block that begins on the line of its \"{\" ends on that line; put a line end "
                   "behind the \"{\", or the \"}\" here");
}

/* After an item inside braces: a line end, a comma, or the closing brace. */
static int end_item(struct parser *p, const char *what)
{
    int r = check_one_line(p);

    if (r < 0)
        return r;
    if (p->tok.kind == TOKEN_NEWLINE || p->tok.kind == TOKEN_COMMA)
        return advance(p);
    if (p->tok.kind == TOKEN_CLOSE_BRACE || p->tok.kind == TOKEN_END)
        return 0;
    return fail_at(p, p->tok.pos, "unexpected %s behind %s; put it on a line of its own",
                   token_kind_name(p->tok.kind), what);
}

static int check_new_key(struct parser *p, const struct hcl_value *map)
{
    for (size_t i = 0; i < map->n_items; i++)
        if (strcmp(map->keys[i], p->tok.text) == 0)
            return fail_at(p, p->tok.pos,
                           "\"%.64s\" is in this map already, with its value at line %u column %u; "
                           "keep one",
                           p->tok.text, map->items[i].pos.line, map->items[i].pos.col);
    if (map->n_items == HCL_MAX_KEYS)
        return fail_at(p, p->tok.pos, "more than %d keys in one map", HCL_MAX_KEYS);
    return 0;
}

static int parse_map_item(struct parser *p, struct hcl_value *map)
{
    struct hcl_value *items;
    char **keys;
    int r;

    if (p->tok.kind != TOKEN_NAME && p->tok.kind != TOKEN_STRING)
        return fail_at(p, p->tok.pos, "expected a key or \"}\" in the map, not %s",
                       token_kind_name(p->tok.kind));
    r = check_new_key(p, map);
    if (r < 0)
        return r;
    keys = arena_grow(p->arena, map->keys, map->n_items, sizeof(*keys));
    items = arena_grow(p->arena, map->items, map->n_items, sizeof(*items));
    if (!keys || !items)
        return -ENOMEM;
    map->keys = keys;
    map->items = items;
    keys[map->n_items] = p->tok.text;
    items[map->n_items] = (struct hcl_value){0};
    r = advance(p);
    if (r < 0)
        return r;
    if (p->tok.kind != TOKEN_EQUALS && p->tok.kind != TOKEN_COLON)
        return fail_at(p, p->tok.pos, "expected \"=\" behind the key \"%.64s\", not %s",
                       keys[map->n_items], token_kind_name(p->tok.kind));
    r = advance(p);
    if (r < 0)
        return r;
    r = parse_value(p, &items[map->n_items]);
    if (r < 0)
        return r;
    map->n_items++;
    return end_item(p, "a value");
}

static int parse_map(struct parser *p, struct hcl_value *ret)
{
    struct hcl_pos open = p->tok.pos;
    bool one_line = p->one_line;
    int r = enter(p);

    if (r < 0)
        return r;
    ret->kind = HCL_MAP;
    p->one_line = false; /* inside brackets lines may end */
    r = advance(p);
    for (;;) {
        if (r >= 0)
            r = skip_lines(p);
        if (r < 0)
            return r;
        if (p->tok.kind == TOKEN_CLOSE_BRACE)
            break;
        if (p->tok.kind == TOKEN_END)
            return fail_at(p, open, "this map is never closed; add \"}\"");
        r = parse_map_item(p, ret);
    }
    p->one_line = one_line;
    p->depth--;
    return 0;
}

/* `tok` stays at the last token of the literal. */
static int parse_literal(struct parser *p, struct hcl_value *ret)
{
    switch (p->tok.kind) {
    case TOKEN_STRING:
        ret->kind = HCL_STRING;
        ret->string = p->tok.text;
        return 0;
    case TOKEN_NUMBER:
        ret->kind = HCL_NUMBER;
        ret->number = p->tok.number;
        return 0;
    case TOKEN_NAME:
        return parse_word(p, ret);
    case TOKEN_OPEN_BRACKET:
        return parse_list(p, ret);
    case TOKEN_OPEN_BRACE:
        return parse_map(p, ret);
    default:
        return fail_at(p, p->tok.pos, "expected a value, not %s", token_kind_name(p->tok.kind));
    }
}

static int parse_value(struct parser *p, struct hcl_value *ret)
{
    const struct token start = p->tok;
    unsigned int depth = p->depth;
    int r = count_item(p, start.pos);

    if (r < 0)
        return r;
    ret->pos = start.pos;
    r = starts_expression(p) ? 1 : parse_literal(p, ret);
    if (r == 0 && goes_on(p))
        r = 1;
    p->depth = depth;
    if (r == 1)
        r = parse_expression(p, &start, ret);
    return r < 0 ? r : advance(p);
}

/* ---- bodies ---- */

static int check_new_attr(struct parser *p, const struct hcl_body *body, const struct token *name)
{
    for (size_t i = 0; i < body->n_attrs; i++)
        if (strcmp(body->attrs[i].name, name->text) == 0)
            return fail_at(p, name->pos, "\"%.64s\" is set already at line %u column %u; keep one",
                           name->text, body->attrs[i].pos.line, body->attrs[i].pos.col);
    if (body->n_attrs == HCL_MAX_KEYS)
        return fail_at(p, name->pos, "more than %d attributes in one block", HCL_MAX_KEYS);
    return 0;
}

/* `tok` is at the "=". */
static int parse_attr(struct parser *p, struct hcl_body *body, const struct token *name)
{
    struct hcl_attr *attrs;
    int r = check_new_attr(p, body, name);

    if (r < 0)
        return r;
    attrs = arena_grow(p->arena, body->attrs, body->n_attrs, sizeof(*attrs));
    if (!attrs)
        return -ENOMEM;
    body->attrs = attrs;
    attrs[body->n_attrs] = (struct hcl_attr){.name = name->text, .pos = name->pos};
    r = advance(p);
    if (r < 0)
        return r;
    r = parse_value(p, &attrs[body->n_attrs].value);
    if (r < 0)
        return r;
    body->n_attrs++;
    return 0;
}

static int parse_labels(struct parser *p, struct hcl_block *block)
{
    while (p->tok.kind == TOKEN_NAME || p->tok.kind == TOKEN_STRING) {
        int r = count_item(p, p->tok.pos);
        char **labels;

        if (r < 0)
            return r;
        labels = arena_grow(p->arena, block->labels, block->n_labels, sizeof(*labels));
        if (!labels)
            return -ENOMEM;
        block->labels = labels;
        labels[block->n_labels++] = p->tok.text;
        r = advance(p);
        if (r < 0)
            return r;
    }
    if (p->tok.kind == TOKEN_OPEN_BRACE)
        return 0;
    return fail_at(p, p->tok.pos,
                   "expected \"=\" and a value, or \"{\" to open a block, behind \"%.64s\", not %s",
                   block->n_labels ? block->labels[block->n_labels - 1] : block->type,
                   token_kind_name(p->tok.kind));
}

static int parse_block(struct parser *p, struct hcl_body *body, const struct token *name)
{
    struct hcl_block block = {.type = name->text, .pos = name->pos};
    bool one_line = p->one_line;
    struct hcl_block *blocks;
    int r = count_item(p, name->pos);

    if (r < 0)
        return r;
    r = parse_labels(p, &block);
    if (r < 0)
        return r;
    r = enter(p);
    if (r < 0)
        return r;
    r = advance(p);
    if (r < 0)
        return r;
    p->one_line = p->tok.kind != TOKEN_NEWLINE;
    r = parse_body(p, TOKEN_CLOSE_BRACE, &block.body);
    p->one_line = one_line;
    if (r < 0)
        return r;
    if (p->tok.kind == TOKEN_END)
        return fail_at(p, name->pos, "the block \"%.64s\" is never closed; add \"}\"", name->text);
    p->depth--;
    blocks = arena_grow(p->arena, body->blocks, body->n_blocks, sizeof(*blocks));
    if (!blocks)
        return -ENOMEM;
    body->blocks = blocks;
    blocks[body->n_blocks++] = block;
    return advance(p);
}

static int parse_item(struct parser *p, struct hcl_body *body)
{
    struct token name = p->tok;
    bool is_attr;
    int r;

    if (name.kind != TOKEN_NAME && name.kind != TOKEN_STRING)
        return fail_at(p, name.pos, "expected the name of an attribute or block, not %s",
                       token_kind_name(name.kind));
    r = advance(p);
    if (r < 0)
        return r;
    is_attr = p->tok.kind == TOKEN_EQUALS;
    r = is_attr ? parse_attr(p, body, &name) : parse_block(p, body, &name);
    return r < 0 ? r : end_item(p, is_attr ? "a value" : "a block");
}

/* Stops at `end` or the end of the file, whichever comes first. */
static int parse_body(struct parser *p, enum token_kind end, struct hcl_body **ret)
{
    struct hcl_body *body = arena_alloc(p->arena, sizeof(*body));

    if (!body)
        return -ENOMEM;
    for (;;) {
        int r = check_one_line(p);

        if (r == 0)
            r = skip_lines(p);
        if (r < 0)
            return r;
        if (p->tok.kind == end || p->tok.kind == TOKEN_END)
            break;
        r = parse_item(p, body);
        if (r < 0)
            return r;
    }
    *ret = body;
    return 0;
}

int parser_run(const struct hcl_file *file, struct arena *arena, bool expressions,
               struct hcl_body **ret_body, struct err *e)
{
    struct parser p = {.file = file, .arena = arena, .expressions = expressions, .e = e};
    int r;

    lexer_init(&p.lx, file, arena);
    p.lx.expressions = expressions;
    r = advance(&p);
    if (r < 0)
        return r;
    return parse_body(&p, TOKEN_END, ret_body);
}
