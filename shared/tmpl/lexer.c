/* SPDX-License-Identifier: MIT
 *
 * One pass, one token per call. Positions are those of the source, whatever is trimmed.
 *
 * Odd cases: a trim marker is a minus with white space between it and the action; {{-3}} is a
 * number. A comment fills its delimiters alone. A right delimiter inside a string is text.
 */
#include "shared/tmpl/lexer.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"

const char *tmpl_token_name(enum tmpl_token_kind kind)
{
    static const char *const names[TMPL_TOKEN_KIND_N] = {
        "the end of the template",
        "text",
        "the left delimiter",
        "the right delimiter",
        "a name",
        "a field",
        "\".\"",
        "a variable",
        "a string",
        "a number",
        "a number",
        "\":=\"",
        "\"=\"",
        "\",\"",
        "\"|\"",
        "\"(\"",
        "\")\"",
    };

    return names[kind];
}

int tmpl_fail(const struct tmpl_lexer *lx, struct tmpl_pos pos, int code, const char *fmt, ...)
{
    char text[sizeof(lx->e->text)];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return err_set(lx->e, code, "%s:%u:%u: %s", lx->name, pos.line, pos.col, text);
}

void tmpl_lexer_init(struct tmpl_lexer *lx, const char *name, const char *text, size_t size,
                     const struct tmpl_options *options, struct arena *arena, struct err *e)
{
    const char *left = options ? options->left : NULL, *right = options ? options->right : NULL;

    *lx = (struct tmpl_lexer){
        .name = name,
        .at = text,
        .end = text + size,
        .pos = {.line = 1, .col = 1},
        .left = left && *left ? left : "{{",
        .right = right && *right ? right : "}}",
        .arena = arena,
        .e = e,
    };
    lx->left_size = strlen(lx->left);
    lx->right_size = strlen(lx->right);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static void advance(struct tmpl_lexer *lx, size_t n)
{
    for (; n; n--) {
        if (*lx->at++ == '\n') {
            lx->pos.line++;
            lx->pos.col = 1;
        } else {
            lx->pos.col++;
        }
    }
}

static size_t left(const struct tmpl_lexer *lx)
{
    return (size_t)(lx->end - lx->at);
}

static bool starts(const struct tmpl_lexer *lx, const char *text, size_t size)
{
    return left(lx) >= size && memcmp(lx->at, text, size) == 0;
}

static int keep(struct tmpl_lexer *lx, struct tmpl_token *token, const char *bytes, size_t size)
{
    token->text = arena_copy(lx->arena, bytes, size);
    token->size = size;
    return token->text ? 0 : -ENOMEM;
}

/* Whether the right delimiter is next; *ret_size is its length, a trim marker before it included.
 */
static bool at_right(const struct tmpl_lexer *lx, size_t *ret_size, bool *ret_trim)
{
    *ret_trim = left(lx) >= 2 && is_blank(lx->at[0]) && lx->at[1] == '-' &&
                left(lx) - 2 >= lx->right_size &&
                memcmp(lx->at + 2, lx->right, lx->right_size) == 0;
    *ret_size = lx->right_size + (*ret_trim ? 2 : 0);
    return *ret_trim || starts(lx, lx->right, lx->right_size);
}

/* ---- outside ---- */

/* Behind the left delimiter: true where it has a trim marker. */
static bool has_trim(const struct tmpl_lexer *lx, const char *at)
{
    return lx->end - at >= 2 && at[0] == '-' && is_blank(at[1]);
}

static int text(struct tmpl_lexer *lx, struct tmpl_token *token)
{
    const char *from = lx->at, *to = memmem(from, left(lx), lx->left, lx->left_size);
    const char *next = to ? to : lx->end;

    if (lx->trim_front)
        while (from < next && is_blank(*from))
            from++;
    lx->trim_front = false;
    if (to && has_trim(lx, to + lx->left_size))
        while (next > from && is_blank(next[-1]))
            next--;
    token->kind = TMPL_TOKEN_TEXT;
    advance(lx, (size_t)(from - lx->at));
    token->pos = lx->pos;
    (void)advance(lx, (size_t)((to ? to : lx->end) - lx->at));
    return keep(lx, token, from, (size_t)(next - from));
}

/* At the slash of a comment. */
static int skip_comment(struct tmpl_lexer *lx, struct tmpl_pos pos)
{
    const char *close = memmem(lx->at, left(lx), "*/", 2);
    size_t size;
    bool trim;

    if (!close)
        return tmpl_fail(lx, pos, -EINVAL, "this comment has no end; close it with */%s",
                         lx->right);
    advance(lx, (size_t)(close + 2 - lx->at));
    if (!at_right(lx, &size, &trim))
        return tmpl_fail(lx, lx->pos, -EINVAL,
                         "a comment ends before the right delimiter; write */%s or */ -%s",
                         lx->right, lx->right);
    advance(lx, size);
    lx->trim_front = trim;
    return 0;
}

/* At a left delimiter. A comment is skipped; `token` is set otherwise. */
static int open_action(struct tmpl_lexer *lx, struct tmpl_token *token, bool *ret_comment)
{
    struct tmpl_pos pos = lx->pos;

    *ret_comment = false;
    advance(lx, lx->left_size);
    if (has_trim(lx, lx->at))
        advance(lx, 2);
    if (starts(lx, "/*", 2)) {
        *ret_comment = true;
        return skip_comment(lx, pos);
    }
    lx->inside = true;
    lx->parens = 0;
    token->kind = TMPL_TOKEN_LEFT;
    token->pos = pos;
    return 0;
}

static int outside(struct tmpl_lexer *lx, struct tmpl_token *token)
{
    while (lx->at < lx->end) {
        bool comment;
        int r;

        if (!starts(lx, lx->left, lx->left_size)) {
            r = text(lx, token);
            if (r || token->size)
                return r;
            continue;
        }
        lx->trim_front = false;
        r = open_action(lx, token, &comment);
        if (r || !comment)
            return r;
    }
    token->kind = TMPL_TOKEN_END;
    token->pos = lx->pos;
    return 0;
}

/* ---- inside ---- */

/* Behind the quote at `at`: where the closing one is, or NULL. */
static const char *closing_quote(const struct tmpl_lexer *lx)
{
    const char *at = lx->at + 1;

    while (at < lx->end && *at != '"' && *at != '\n')
        at += *at == '\\' && at + 1 < lx->end ? 2 : 1;
    return at < lx->end && *at == '"' ? at : NULL;
}

/* No escape is shorter than what it stands for. */
static int quoted(struct tmpl_lexer *lx, struct tmpl_token *token)
{
    const char *at = lx->at + 1, *end = closing_quote(lx);
    char *out = arena_alloc(lx->arena, end ? (size_t)(end - at) + 1 : 1);

    if (!out)
        return -ENOMEM;
    if (!end)
        return tmpl_fail(lx, token->pos, -EINVAL,
                         "this string is not closed on its line; add a \", or use `…`");
    token->kind = TMPL_TOKEN_STRING;
    token->text = out;
    while (at < end) {
        int64_t c = (unsigned char)*at++;
        bool byte = true;

        if (c == '\\')
            c = tmpl_escape(&at, end, '"', &byte);
        if (c < 0)
            return tmpl_fail(lx, token->pos, -EINVAL,
                             "this string has an escape that Go does not know; write \\\\ for a "
                             "backslash, or use `…`");
        if (byte || c < 0x80)
            out[token->size++] = (char)c;
        else
            token->size += tmpl_utf8((uint32_t)c, out + token->size);
    }
    advance(lx, (size_t)(end + 1 - lx->at));
    return 0;
}

static int raw_string(struct tmpl_lexer *lx, struct tmpl_token *token)
{
    const char *from = lx->at + 1, *to = memchr(from, '`', left(lx) - 1);

    if (!to)
        return tmpl_fail(lx, token->pos, -EINVAL, "this string is not closed; add a `");
    token->kind = TMPL_TOKEN_STRING;
    advance(lx, (size_t)(to + 1 - lx->at));
    return keep(lx, token, from, (size_t)(to - from));
}

static size_t character_size(const struct tmpl_lexer *lx)
{
    size_t n = 1;

    while (n < left(lx) && lx->at[n] != '\'' && lx->at[n] != '\n')
        n += lx->at[n] == '\\' && n + 1 < left(lx) ? 2 : 1;
    return n < left(lx) && lx->at[n] == '\'' ? n + 1 : n;
}

static size_t number_size(const struct tmpl_lexer *lx)
{
    size_t n = lx->at[0] == '+' || lx->at[0] == '-';

    while (n < left(lx) &&
           (is_word(lx->at[n]) || lx->at[n] == '.' ||
            ((lx->at[n] == '+' || lx->at[n] == '-') && strchr("eEpP", lx->at[n - 1]))))
        n++;
    return n;
}

static int number(struct tmpl_lexer *lx, struct tmpl_token *token)
{
    size_t n = *lx->at == '\'' ? character_size(lx) : number_size(lx);
    bool real;
    int r = keep(lx, token, lx->at, n);

    if (!r)
        r = tmpl_number(token->text, &real, &token->integer, &token->real);
    if (r == -ENOMEM)
        return r;
    if (r)
        return tmpl_fail(lx, token->pos, r,
                         r == -ERANGE ? "%.40s does not fit into 64 bits"
                                      : "%.40s is neither a number nor a name",
                         token->text);
    advance(lx, n);
    token->kind = real ? TMPL_TOKEN_FLOAT : TMPL_TOKEN_INT;
    return 0;
}

/* A word of letters, digits and "_" behind `skip` bytes. */
static int word(struct tmpl_lexer *lx, struct tmpl_token *token, enum tmpl_token_kind kind,
                size_t skip, bool with_mark)
{
    const char *from = lx->at + (with_mark ? 0 : skip);

    token->kind = kind;
    advance(lx, skip);
    while (lx->at < lx->end && is_word(*lx->at))
        advance(lx, 1);
    return keep(lx, token, from, (size_t)(lx->at - from));
}

static int sign(struct tmpl_lexer *lx, struct tmpl_token *token, enum tmpl_token_kind kind,
                size_t n)
{
    token->kind = kind;
    advance(lx, n);
    return 0;
}

static bool is_digit_at(const struct tmpl_lexer *lx, size_t i)
{
    return left(lx) > i && isdigit((unsigned char)lx->at[i]);
}

static int odd_one(struct tmpl_lexer *lx, struct tmpl_token *token)
{
    if (isgraph((unsigned char)*lx->at))
        return tmpl_fail(lx, token->pos, -EINVAL, "there is no \"%c\" in templates' actions",
                         *lx->at);
    return tmpl_fail(lx, token->pos, -EINVAL, "there is a byte 0x%02x in this action",
                     (unsigned char)*lx->at);
}

static int paren(struct tmpl_lexer *lx, struct tmpl_token *token)
{
    if (*lx->at == '(') {
        if (++lx->parens > TMPL_MAX_DEPTH)
            return tmpl_fail(lx, token->pos, -EINVAL, "parentheses nest deeper than %d",
                             TMPL_MAX_DEPTH);
        return sign(lx, token, TMPL_TOKEN_OPEN, 1);
    }
    if (lx->parens == 0)
        return tmpl_fail(lx, token->pos, -EINVAL, "this \")\" closes nothing");
    lx->parens--;
    return sign(lx, token, TMPL_TOKEN_CLOSE, 1);
}

static int inside(struct tmpl_lexer *lx, struct tmpl_token *token)
{
    char c = *lx->at;

    if (c == '"')
        return quoted(lx, token);
    if (c == '`')
        return raw_string(lx, token);
    if (c == '\'' || isdigit((unsigned char)c) ||
        ((c == '+' || c == '-' || c == '.') && is_digit_at(lx, 1)) ||
        ((c == '+' || c == '-') && left(lx) > 1 && lx->at[1] == '.' && is_digit_at(lx, 2)))
        return number(lx, token);
    if (c == '.' && left(lx) > 1 && is_word(lx->at[1]))
        return word(lx, token, TMPL_TOKEN_FIELD, 1, false);
    if (c == '$')
        return word(lx, token, TMPL_TOKEN_VARIABLE, 1, true);
    if (is_word(c))
        return word(lx, token, TMPL_TOKEN_NAME, 0, false);
    if (c == ':' && starts(lx, ":=", 2))
        return sign(lx, token, TMPL_TOKEN_DECLARE, 2);
    switch (c) {
    case '.':
        return sign(lx, token, TMPL_TOKEN_DOT, 1);
    case '=':
        return sign(lx, token, TMPL_TOKEN_ASSIGN, 1);
    case ',':
        return sign(lx, token, TMPL_TOKEN_COMMA, 1);
    case '|':
        return sign(lx, token, TMPL_TOKEN_PIPE, 1);
    case '(':
    case ')':
        return paren(lx, token);
    default:
        return odd_one(lx, token);
    }
}

static int close_action(struct tmpl_lexer *lx, struct tmpl_token *token, size_t size, bool trim)
{
    if (lx->parens)
        return tmpl_fail(lx, lx->pos, -EINVAL,
                         "a \"(\" is not closed before the end of the action");
    token->kind = TMPL_TOKEN_RIGHT;
    advance(lx, size);
    lx->inside = false;
    lx->trim_front = trim;
    return 0;
}

int tmpl_lexer_next(struct tmpl_lexer *lx, struct tmpl_token *ret_token)
{
    size_t size;
    bool trim;

    *ret_token = (struct tmpl_token){.pos = lx->pos};
    if (!lx->inside)
        return outside(lx, ret_token);
    while (lx->at < lx->end && is_blank(*lx->at)) {
        if (at_right(lx, &size, &trim) && trim)
            break;
        advance(lx, 1);
        ret_token->spaced = true;
    }
    ret_token->pos = lx->pos;
    if (lx->at >= lx->end)
        return tmpl_fail(lx, lx->pos, -EINVAL, "an action is not closed; add %s", lx->right);
    if (at_right(lx, &size, &trim))
        return close_action(lx, ret_token, size, trim);
    return inside(lx, ret_token);
}
