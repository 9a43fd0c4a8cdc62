/* SPDX-License-Identifier: MIT
 *
 * From a template's text to tokens. Text outside the delimiters is one token, already trimmed where
 * the markers {{- and -}} ask for it; comments are gone.
 */
#pragma once

#include <stdbool.h>

#include "shared/tmpl/tmpl.h"

enum tmpl_token_kind {
    TMPL_TOKEN_END,
    TMPL_TOKEN_TEXT,
    TMPL_TOKEN_LEFT,
    TMPL_TOKEN_RIGHT,
    TMPL_TOKEN_NAME,     /* a function or keyword */
    TMPL_TOKEN_FIELD,    /* .a: `text` is without the dot */
    TMPL_TOKEN_DOT,      /* . alone */
    TMPL_TOKEN_VARIABLE, /* $x or $ */
    TMPL_TOKEN_STRING,   /* unquoted */
    TMPL_TOKEN_INT,
    TMPL_TOKEN_FLOAT,
    TMPL_TOKEN_DECLARE, /* := */
    TMPL_TOKEN_ASSIGN,  /* = */
    TMPL_TOKEN_COMMA,
    TMPL_TOKEN_PIPE,
    TMPL_TOKEN_OPEN,
    TMPL_TOKEN_CLOSE,
    TMPL_TOKEN_KIND_N
};

struct tmpl_token {
    enum tmpl_token_kind kind;
    struct tmpl_pos pos;
    bool spaced; /* there is white space before it */
    char *text;  /* in the arena */
    size_t size;
    int64_t integer;
    double real;
};

struct tmpl_lexer {
    const char *name;
    const char *at, *end;
    struct tmpl_pos pos; /* of `at` */
    const char *left, *right;
    size_t left_size, right_size;
    bool inside;     /* between delimiters */
    bool trim_front; /* of the text that follows */
    unsigned int parens;
    struct arena *arena;
    struct err *e;
};

/* `options` as of tmpl_parse(); its strings outlive the lexer. */
void tmpl_lexer_init(struct tmpl_lexer *lx, const char *name, const char *text, size_t size,
                     const struct tmpl_options *options, struct arena *arena, struct err *e);

int tmpl_lexer_next(struct tmpl_lexer *lx, struct tmpl_token *ret_token);

/* "NAME:LINE:COLUMN: …" into lx->e. Returns `code`. */
int tmpl_fail(const struct tmpl_lexer *lx, struct tmpl_pos pos, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* How a token is named in messages. */
const char *tmpl_token_name(enum tmpl_token_kind kind);

/* number.c: a number, or a character in quotes, as Go writes them. -EINVAL, -ERANGE. */
int tmpl_number(const char *text, bool *ret_is_real, int64_t *ret_integer, double *ret_real);

/* number.c: the bytes of a Unicode character. Returns how many, at most 4. */
size_t tmpl_utf8(uint32_t c, char out[4]);

/* number.c: the character at `at`, which ends before `end`, and in *ret_size its length. 0xfffd and
 * 1 for what is no UTF-8. */
uint32_t tmpl_utf8_next(const char *at, const char *end, size_t *ret_size);

/* number.c: the escape behind a backslash: *at is moved behind it. `quote` may be escaped too.
 * Returns the character or byte; -1: there is no such escape. *ret_byte: it is one byte as is. */
int64_t tmpl_escape(const char **at, const char *end, char quote, bool *ret_byte);
