/* SPDX-License-Identifier: MIT
 *
 * One pass over the text, one token per call, no look-ahead. The source ends with a NUL and has
 * none inside (hcl.c checks), so reading one byte further than a test allows is always safe.
 *
 * Odd cases: `${…}` and `%{…}` inside a quoted string are copied untouched, with the quotes and
 * braces nested in them, and must close on their line; `$${` and `%%{` stay as written and open
 * nothing. In a heredoc nothing is special but its closing line.
 */
#include "shared/hcl/lexer.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "shared/cleanup.h"

const char *token_kind_name(enum token_kind kind)
{
    static const char *const names[TOKEN_KIND_N] = {
        "the end of the file",
        "the end of the line",
        "a name",
        "a string",
        "a number",
        "\"{\"",
        "\"}\"",
        "\"[\"",
        "\"]\"",
        "\"=\"",
        "\":\"",
        "\",\"",
        "this",
    };

    return names[kind];
}

void lexer_init(struct lexer *lx, const struct hcl_file *file, struct arena *arena)
{
    *lx = (struct lexer){.file = file, .arena = arena, .at = file->source, .line = 1};
    if (strncmp(lx->at, "\xEF\xBB\xBF", 3) == 0)
        lx->at += 3;
    lx->line_start = lx->at;
}

static struct hcl_pos pos_of(const struct lexer *lx, const char *at)
{
    return (struct hcl_pos){.line = lx->line, .col = (unsigned int)(at - lx->line_start) + 1};
}

static void next_line(struct lexer *lx)
{
    lx->at++;
    lx->line++;
    lx->line_start = lx->at;
}

/* ---- names, numbers, blanks ---- */

static bool is_name_start(char c)
{
    return isalpha((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_name(char c)
{
    return is_name_start(c) || isdigit((unsigned char)c) || c == '-' || c == '.';
}

static int skip_block_comment(struct lexer *lx, struct err *e)
{
    struct hcl_pos start = pos_of(lx, lx->at);

    for (lx->at += 2; strncmp(lx->at, "*/", 2) != 0;) {
        if (*lx->at == '\0')
            return hcl_error(e, lx->file, start, "this comment is never closed; add \"*/\"");
        if (*lx->at == '\n')
            next_line(lx);
        else
            lx->at++;
    }
    lx->at += 2;
    return 0;
}

static int skip_blanks(struct lexer *lx, struct err *e)
{
    for (;;) {
        if (*lx->at == ' ' || *lx->at == '\t' || *lx->at == '\r') {
            lx->at++;
        } else if (*lx->at == '#' || strncmp(lx->at, "//", 2) == 0) {
            lx->at += strcspn(lx->at, "\n");
        } else if (strncmp(lx->at, "/*", 2) == 0) {
            int r = skip_block_comment(lx, e);

            if (r < 0)
                return r;
        } else {
            return 0;
        }
    }
}

static int lex_name(struct lexer *lx, struct token *tok)
{
    const char *start = lx->at;

    while (is_name(*lx->at))
        lx->at++;
    tok->kind = TOKEN_NAME;
    tok->text = arena_copy(lx->arena, start, (size_t)(lx->at - start));
    return tok->text ? 0 : -ENOMEM;
}

static const char *skip_digits(const char *p)
{
    return p + strspn(p, "0123456789");
}

static int lex_number(struct lexer *lx, struct token *tok, struct err *e)
{
    const char *start = lx->at, *p = start + (*start == '-');
    const char *whole = p;
    bool ok = isdigit((unsigned char)*p);

    p = skip_digits(p);
    ok = ok && !(whole[0] == '0' && p - whole > 1);
    if (*p == '.') {
        ok = ok && isdigit((unsigned char)p[1]);
        p = skip_digits(p + 1);
    }
    if (*p == 'e' || *p == 'E') {
        p += 1 + (p[1] == '+' || p[1] == '-');
        ok = ok && isdigit((unsigned char)*p);
        p = skip_digits(p);
    }
    tok->kind = TOKEN_NUMBER;
    tok->number = strtod(start, NULL);
    if (!ok || is_name(*p) || !isfinite(tok->number))
        return hcl_error(e, lx->file, tok->pos,
                         "this is not a decimal number; write it like 10 or 2.5, or in quotes if "
                         "it is text");
    lx->at = p;
    return 0;
}

/* ---- quoted strings ---- */

static int string_error(struct lexer *lx, const char *at, const char *text, struct err *e)
{
    return hcl_error(e, lx->file, pos_of(lx, at), "%s", text);
}

bool lexer_opens_interpolation(const char *p)
{
    return (p[0] == '$' || p[0] == '%') && p[1] == '{';
}

bool lexer_is_escaped_interpolation(const char *p)
{
    return (p[0] == '$' || p[0] == '%') && p[1] == p[0] && p[2] == '{';
}

/* Each level is code (between braces) or a string inside code. */
const char *lexer_interpolation_end(const char *open)
{
    bool in_string[HCL_MAX_DEPTH] = {false};
    size_t depth = 1;
    const char *p = open + 2;

    while (*p && *p != '\n') {
        bool quoted = in_string[depth - 1];
        bool opens = quoted ? lexer_opens_interpolation(p) : *p == '{';

        if (depth == HCL_MAX_DEPTH && (opens || (!quoted && *p == '"')))
            return NULL;
        if (quoted && (lexer_is_escaped_interpolation(p) || (*p == '\\' && p[1] && p[1] != '\n'))) {
            p += *p == '\\' ? 2 : 3;
        } else if (opens) {
            in_string[depth++] = false;
            p += quoted ? 2 : 1;
        } else if (!quoted && *p == '"') {
            in_string[depth++] = true;
            p++;
        } else if (*p == (quoted ? '"' : '}')) {
            p++;
            if (--depth == 0)
                return p;
        } else {
            p++;
        }
    }
    return NULL;
}

/* The closing quote of the string whose first character is at `p`, or NULL with `e` set. */
static const char *find_quote(struct lexer *lx, const char *p, struct hcl_pos start, struct err *e)
{
    while (*p != '"') {
        if (*p == '\0' || *p == '\n') {
            (void)hcl_error(e, lx->file, start,
                            "this string is not closed on its line; add the closing quote, or use "
                            "a heredoc (<<EOT) for text of several lines");
            return NULL;
        }
        if (lexer_is_escaped_interpolation(p)) {
            p += 3;
        } else if (lexer_opens_interpolation(p)) {
            const char *end = lexer_interpolation_end(p);

            if (!end) {
                (void)string_error(lx, p,
                                   "this interpolation is not closed on its line; add the \"}\", "
                                   "or write $${ (%%{) for the characters themselves",
                                   e);
                return NULL;
            }
            p = end;
        } else {
            p += *p == '\\' && p[1] && p[1] != '\n' ? 2 : 1;
        }
    }
    return p;
}

static char *put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xC0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *out++ = (char)(0xE0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    } else {
        *out++ = (char)(0xF0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3F));
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
        *out++ = (char)(0x80 | (c & 0x3F));
    }
    return out;
}

/* `p` is behind "\u" or "\U". Returns the character, or 0 for anything that is none. */
static uint32_t read_code_point(const char *p, size_t digits)
{
    uint32_t c = 0;

    for (size_t i = 0; i < digits; i++) {
        if (!isxdigit((unsigned char)p[i]))
            return 0;
        c = c << 4 |
            (uint32_t)(isdigit((unsigned char)p[i]) ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
    }
    return c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF) ? 0 : c;
}

/* Resolves the escape at *at and moves behind it. */
static int put_escape(struct lexer *lx, const char **at, char **out, struct err *e)
{
    static const char from[] = "ntr\"\\", to[] = "\n\t\r\"\\";
    const char *p = *at, *plain = strchr(from, p[1]);

    if (p[1] == 'u' || p[1] == 'U') {
        size_t digits = p[1] == 'u' ? 4 : 8;
        uint32_t c = read_code_point(p + 2, digits);

        if (c == 0)
            return string_error(lx, p,
                                "this is no character; write \\u with four or \\U with eight "
                                "hexadecimal digits of a Unicode character other than NUL",
                                e);
        *out = put_utf8(*out, c);
        *at = p + 2 + digits;
        return 0;
    }
    if (!plain)
        return string_error(lx, p,
                            "unknown escape; use \\n \\t \\r \\\" \\\\ \\uXXXX \\UXXXXXXXX, and "
                            "\\\\ for a backslash",
                            e);
    *(*out)++ = to[plain - from];
    *at = p + 2;
    return 0;
}

static int lex_string(struct lexer *lx, struct token *tok, struct err *e)
{
    const char *p = lx->at + 1, *end = find_quote(lx, p, tok->pos, e);
    char *out;

    if (!end)
        return -EINVAL;
    out = arena_alloc(lx->arena, (size_t)(end - p) + 1); /* no escape grows */
    if (!out)
        return -ENOMEM;
    tok->kind = TOKEN_STRING;
    tok->text = out;
    while (p < end) {
        const char *stop = p + 1;

        if (lexer_is_escaped_interpolation(p))
            stop = p + 3;
        else if (lexer_opens_interpolation(p))
            stop = lexer_interpolation_end(p);
        if (*p == '\\') {
            int r = put_escape(lx, &p, &out, e);

            if (r < 0)
                return r;
        } else {
            out = mempcpy(out, p, (size_t)(stop - p));
            p = stop;
        }
    }
    lx->at = end + 1;
    return 0;
}

/* ---- heredocs ---- */

struct heredoc {
    const char *marker;
    size_t marker_len;
    bool flush; /* <<-: the smallest indentation is taken off every line */
    const char *body;
    const char *body_end; /* start of the closing line */
    size_t indent;
    struct hcl_pos start;
};

static int read_heredoc_head(struct lexer *lx, struct heredoc *h, struct err *e)
{
    const char *p = lx->at + 2;

    h->start = pos_of(lx, lx->at);
    h->flush = *p == '-';
    p += h->flush;
    h->marker = p;
    if (is_name_start(*p))
        while (is_name(*p))
            p++;
    h->marker_len = (size_t)(p - h->marker);
    p += *p == '\r';
    if (h->marker_len == 0 || *p != '\n')
        return hcl_error(e, lx->file, h->start,
                         "a heredoc starts with << or <<- and a word alone to the end of the line; "
                         "write <<EOT, then the text, then a line with EOT");
    lx->at = p;
    next_line(lx);
    h->body = lx->at;
    return 0;
}

/* If the line at `line` is the closing one, returns what follows the marker, else NULL. */
static const char *closes_heredoc(const struct heredoc *h, const char *line)
{
    line += strspn(line, " \t");
    if (strncmp(line, h->marker, h->marker_len) != 0)
        return NULL;
    line += h->marker_len;
    return line[strspn(line, " \t\r")] == '\n' || line[strspn(line, " \t\r")] == '\0' ? line : NULL;
}

/* Walks to the closing line, measuring the smallest indentation of the lines that are not blank. */
static int find_heredoc_end(struct lexer *lx, struct heredoc *h, struct err *e)
{
    size_t smallest = SIZE_MAX;
    const char *after;

    while (!(after = closes_heredoc(h, lx->at))) {
        size_t indent = strspn(lx->at, " \t");

        if (lx->at[indent + strspn(lx->at + indent, "\r")] != '\n' && indent < smallest)
            smallest = indent;
        lx->at += strcspn(lx->at, "\n");
        if (*lx->at == '\0')
            return hcl_error(e, lx->file, h->start,
                             "this heredoc is never closed; add a line with only %.*s",
                             h->marker_len > 60 ? 60 : (int)h->marker_len, h->marker);
        next_line(lx);
    }
    h->body_end = lx->at;
    h->indent = smallest == SIZE_MAX ? 0 : smallest;
    lx->at = after;
    return 0;
}

static int lex_heredoc(struct lexer *lx, struct token *tok, struct err *e)
{
    struct heredoc h = {0};
    char *out;
    int r = read_heredoc_head(lx, &h, e);

    if (r < 0)
        return r;
    r = find_heredoc_end(lx, &h, e);
    if (r < 0)
        return r;
    tok->kind = TOKEN_STRING;
    tok->text = arena_copy(lx->arena, h.body, (size_t)(h.body_end - h.body));
    if (!tok->text)
        return -ENOMEM;
    if (!h.flush)
        return 0;
    out = tok->text;
    for (const char *p = h.body; p < h.body_end;) {
        size_t len = strcspn(p, "\n") + 1, cut = strspn(p, " \t");

        cut = cut < h.indent ? cut : h.indent;
        out = mempcpy(out, p + cut, len - cut);
        p += len;
    }
    *out = '\0';
    return 0;
}

/* ---- expressions ---- */

int lexer_skip_expression(struct lexer *lx, const struct token *start, const char **ret_end,
                          struct err *e)
{
    size_t depth = 0;

    lx->at = start->at;
    lx->line = start->pos.line;
    lx->line_start = start->at - (start->pos.col - 1);
    for (;; lx->at++) {
        const char *p = lx->at;

        if (!*p || (depth == 0 && (strchr("\n,)]}#", *p) || strncmp(p, "//", 2) == 0)))
            break;
        if (*p == '"') {
            p = find_quote(lx, p + 1, pos_of(lx, p), e);
            if (!p)
                return -EINVAL;
            lx->at = p;
        } else if (strchr("([{", *p)) {
            depth++;
        } else if (strchr(")]}", *p)) {
            depth--;
        } else if (*p == '#' || strncmp(p, "//", 2) == 0) {
            lx->at += strcspn(p, "\n") - 1;
        } else if (*p == '\n') {
            next_line(lx);
            lx->at--;
        }
    }
    *ret_end = lx->at;
    if (depth > 0)
        return hcl_error(e, lx->file, start->pos,
                         "a bracket of this expression is never closed; add it");
    return 0;
}

/* ---- tokens ---- */

static int lex_mark(struct lexer *lx, struct token *tok, struct err *e)
{
    static const struct {
        char c;
        enum token_kind kind;
    } marks[] = {
        {'{', TOKEN_OPEN_BRACE},    {'}', TOKEN_CLOSE_BRACE}, {'[', TOKEN_OPEN_BRACKET},
        {']', TOKEN_CLOSE_BRACKET}, {'=', TOKEN_EQUALS},      {':', TOKEN_COLON},
        {',', TOKEN_COMMA},
    };

    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        if (*lx->at == marks[i].c) {
            tok->kind = marks[i].kind;
            lx->at++;
            return 0;
        }
    }
    if (lx->expressions) {
        tok->kind = TOKEN_OTHER;
        lx->at++;
        return 0;
    }
    return hcl_error(
        e, lx->file, tok->pos,
        "unexpected character; values are strings in \"double quotes\", numbers, true, "
        "false, null, [lists] and {maps}, and expressions go inside \"${…}\"");
}

int lexer_next(struct lexer *lx, struct token *ret, struct err *e)
{
    int r = skip_blanks(lx, e);

    if (r < 0)
        return r;
    *ret = (struct token){.kind = TOKEN_END, .pos = pos_of(lx, lx->at), .at = lx->at};
    if (*lx->at == '\0')
        return 0;
    if (*lx->at == '\n') {
        ret->kind = TOKEN_NEWLINE;
        next_line(lx);
        return 0;
    }
    if (is_name_start(*lx->at))
        return lex_name(lx, ret);
    if (isdigit((unsigned char)*lx->at) ||
        (*lx->at == '-' && (!lx->expressions || isdigit((unsigned char)lx->at[1]))))
        return lex_number(lx, ret, e);
    if (*lx->at == '"')
        return lex_string(lx, ret, e);
    if (strncmp(lx->at, "<<", 2) == 0)
        return lex_heredoc(lx, ret, e);
    return lex_mark(lx, ret, e);
}
