/* SPDX-License-Identifier: MIT
 *
 * Between parser.c, which reads blocks, and pipeline.c, which reads what is in an action.
 */
#pragma once

#include "shared/tmpl/lexer.h"

struct tmpl_parser {
    struct tmpl_lexer lx;
    struct tmpl *tmpl;
    const struct tmpl_options *options;
    struct tmpl_token token; /* the next one */
    const char **vars;       /* those in scope */
    size_t n_vars;
    unsigned int depth;  /* of blocks and parentheses */
    unsigned int ranges; /* around this place */
};

/* Takes the next token. */
int tmpl_parser_next(struct tmpl_parser *p);

/* -EINVAL: the next token "cannot stand `where`". */
int tmpl_parser_unexpected(struct tmpl_parser *p, const char *where);

/* One in the template's arena; NULL: no memory. */
struct tmpl_node *tmpl_parser_node(struct tmpl_parser *p, enum tmpl_kind kind, struct tmpl_pos pos);

/* Counts a block or parenthesis that is open; who calls it takes it off p->depth afterwards, also
 * after an error. -EINVAL: too many. */
int tmpl_parser_go_deeper(struct tmpl_parser *p, struct tmpl_pos pos);

/* `name` is a variable from here on, until p->n_vars is set back; kept, not copied. */
int tmpl_parser_declare(struct tmpl_parser *p, const char *name);

/* The pipeline of an action into owner->first, up to the right delimiter and past it. `range`: it
 * may declare two variables. */
int tmpl_parse_pipeline(struct tmpl_parser *p, struct tmpl_node *owner, bool range);
