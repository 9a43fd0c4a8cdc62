/* SPDX-License-Identifier: MIT
 *
 * Templates in the language of Go's text/template, as consul-template and Nomad use it: read into a
 * tree and checked. What the functions do is not known here (template/), only which there are. So
 * whoever takes a job can refuse what the renderer would.
 *
 * Sources: the documentation of Go's package text/template, and of consul-template's language.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"
#include "shared/hcl/arena.h"
#include "shared/tmpl/functions.h"

struct tmpl_pos {
    unsigned int line; /* from 1 */
    unsigned int col;  /* from 1, in bytes */
};

enum tmpl_kind {
    /* what a body is made of */
    TMPL_TEXT,
    TMPL_ACTION,
    TMPL_IF,
    TMPL_RANGE,
    TMPL_WITH,
    TMPL_CALL, /* {{template "name" pipeline}}, and a {{block}} after its definition */
    TMPL_BREAK,
    TMPL_CONTINUE,
    /* what stands between the delimiters */
    TMPL_PIPE,    /* `first`: commands; `vars` */
    TMPL_COMMAND, /* `first`: operands, the first of which is what is done */
    TMPL_DOT,
    TMPL_NIL,
    TMPL_BOOL,
    TMPL_INT,
    TMPL_FLOAT,
    TMPL_STRING,
    TMPL_FIELD,    /* .a.b: `fields` */
    TMPL_VARIABLE, /* $x.a.b: `text`, `fields` */
    TMPL_CHAIN,    /* (…).a.b: `first`, `fields` */
    TMPL_FUNCTION,
    TMPL_KIND_N
};

struct tmpl_node {
    enum tmpl_kind kind;
    struct tmpl_pos pos;
    struct tmpl_node *next; /* the sibling after it */
    const char *text;       /* NUL-terminated; TEXT and STRING may have NULs inside too */
    size_t size;
    const char **fields;
    size_t n_fields;
    int64_t integer; /* INT, BOOL */
    double real;     /* FLOAT */
    const struct tmpl_function *function;
    struct tmpl_node *first; /* see above; ACTION, IF, RANGE, WITH, CALL: their pipe, or NULL */
    struct tmpl_node *body;  /* IF, RANGE, WITH */
    struct tmpl_node *other; /* … else */
    const char *vars[2];     /* of a PIPE: what it declares, "$x" */
    size_t n_vars;
    bool assigns; /* "=" instead of ":=" */
};

struct tmpl_define {
    const char *name;
    struct tmpl_node *body;
    struct tmpl_define *next;
};

struct tmpl {
    struct arena arena;
    const char *name; /* for messages */
    struct tmpl_node *body;
    struct tmpl_define *defines;
    unsigned int uses; /* TMPL_USES_* of all functions in it */
};

struct tmpl_options {
    const char *left, *right;  /* delimiters; NULL or "": {{ and }} */
    const char *const *denied; /* functions that the operator denies, NULL-terminated; or NULL */
};

enum {
    TMPL_MAX_BYTES = 1 << 20,
    TMPL_MAX_DEPTH = 100, /* of blocks and parentheses */
};

/* -EINVAL with "NAME:LINE:COLUMN: what and how to mend it"; -ENOTSUP the same, for a function there
 * is in consul-template and not here; -ENOMEM. */
int tmpl_parse(const char *name, const char *text, size_t size, const struct tmpl_options *options,
               struct tmpl **ret_tmpl, struct err *e);

/* NULL is fine; returns NULL. */
struct tmpl *tmpl_free(struct tmpl *tmpl);

const struct tmpl_node *tmpl_find(const struct tmpl *tmpl, const char *name);
