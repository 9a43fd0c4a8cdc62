/* SPDX-License-Identifier: MIT
 *
 * HCL text to tokens. Blanks and comments are gone; line ends are tokens, because they end
 * attributes.
 */
#pragma once

#include "shared/err.h"
#include "shared/hcl/arena.h"
#include "shared/hcl/hcl.h"

enum token_kind {
    TOKEN_END,
    TOKEN_NEWLINE,
    TOKEN_NAME,   /* text: the name; letters, digits, "_", "-", "." */
    TOKEN_STRING, /* text: the value, escapes resolved, `${…}` as written */
    TOKEN_NUMBER, /* number */
    TOKEN_OPEN_BRACE,
    TOKEN_CLOSE_BRACE,
    TOKEN_OPEN_BRACKET,
    TOKEN_CLOSE_BRACKET,
    TOKEN_EQUALS,
    TOKEN_COLON,
    TOKEN_COMMA,
    TOKEN_OTHER, /* begins an expression, or nothing at all; only with lexer->expressions */
    TOKEN_KIND_N
};

struct token {
    enum token_kind kind;
    struct hcl_pos pos;
    const char *at; /* where it begins */
    char *text;     /* in the arena */
    double number;
};

struct lexer {
    const struct hcl_file *file; /* its source is NUL-terminated valid UTF-8 with no NUL inside */
    struct arena *arena;
    const char *at;
    const char *line_start;
    unsigned int line;
    bool expressions;
};

void lexer_init(struct lexer *lx, const struct hcl_file *file, struct arena *arena);

/* The next token. -EINVAL with the place and the mend in `e`; -ENOMEM. */
int lexer_next(struct lexer *lx, struct token *ret, struct err *e);

/* The end of the expression at `start`, on the same line but for what stands in brackets: before a
 * comma, a closing bracket, a comment or the end of the line. `lx` goes there. */
int lexer_skip_expression(struct lexer *lx, const struct token *start, const char **ret_end,
                          struct err *e);

/* The end of the interpolation at `open` ("${…}" or "%{…}"), behind its closing brace; NULL if it
 * does not close on its line or nests too deep. */
const char *lexer_interpolation_end(const char *open);

/* "${" or "%{"; "$${" or "%%{". */
bool lexer_opens_interpolation(const char *p);
bool lexer_is_escaped_interpolation(const char *p);

/* "a name", "\"{\"" … for messages. */
const char *token_kind_name(enum token_kind kind);
