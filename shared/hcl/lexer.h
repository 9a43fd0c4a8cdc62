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
    TOKEN_KIND_N
};

struct token {
    enum token_kind kind;
    struct hcl_pos pos;
    char *text; /* in the arena */
    double number;
};

struct lexer {
    const struct hcl_file *file; /* its source is NUL-terminated valid UTF-8 with no NUL inside */
    struct arena *arena;
    const char *at;
    const char *line_start;
    unsigned int line;
};

void lexer_init(struct lexer *lx, const struct hcl_file *file, struct arena *arena);

/* The next token. -EINVAL with the place and the mend in `e`; -ENOMEM. */
int lexer_next(struct lexer *lx, struct token *ret, struct err *e);

/* "a name", "\"{\"" … for messages. */
const char *token_kind_name(enum token_kind kind);
