/* SPDX-License-Identifier: MIT
 *
 * Texts with "${…}" and the directives "%{ if }", "%{ for }" in them. "~" at either end of one
 * takes the blanks and one line end on that side away. "$${" and "%%{" stay as they are, because
 * the texts of a job are looked through once more when a task starts, and mean "${" there.
 *
 * Odd case: shells, curl and others write "${x:-y}" and "%{http_code}" too. What has no variable,
 * local, enclosing name or function in it, and what is no known directive, is left alone.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/hcl/eval_internal.h"
#include "shared/hcl/lexer.h"

struct out {
    char *text;
    size_t len, size;
};

struct template
{
    struct expr x; /* `at` is where it is read */
    bool quoted;
    struct out out;
};

static int put(struct template *t, const char *bytes, size_t n)
{
    struct out *out = &t->out;

    if (t->x.skip)
        return 0;
    if (out->len + n + 1 > out->size) {
        size_t size = 2 * (out->len + n + 64);
        char *grown;

        if (eval_account(&t->x, t->x.at, size) < 0)
            return -EINVAL;
        grown = realloc(out->text, size);
        if (!grown)
            return -ENOMEM;
        out->text = grown;
        out->size = size;
    }
    memcpy(out->text + out->len, bytes, n);
    out->len += n;
    out->text[out->len] = '\0';
    return 0;
}

static bool is_word_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

static bool has_root(const char *code, const char *root)
{
    size_t n = strlen(root);

    for (const char *p = code; (p = strstr(p, root)); p += n)
        if ((p == code || (!is_word_byte(p[-1]) && p[-1] != '.')) && !is_word_byte(p[n]))
            return true;
    return false;
}

/* Whether `code` is for us, and not for whoever starts the task. */
static bool is_code(const struct scope *scope, const char *code)
{
    if (has_root(code, "var") || has_root(code, "local") || strstr(code, " ? "))
        return strstr(code, "var.") || strstr(code, "local.") || strstr(code, " ? ");
    for (; scope; scope = scope->outer)
        if (has_root(code, scope->name))
            return true;
    for (const char *p = strchr(code, '('); p; p = strchr(p + 1, '('))
        if (p > code && is_word_byte(p[-1]))
            return true;
    return false;
}

bool template_has_code(const char *text)
{
    return strstr(text, "${") || strstr(text, "%{");
}

/* The word a directive begins with; "" if it is none. */
static const char *directive(const char *open)
{
    static const char *const words[] = {"if", "else", "endif", "for", "endfor"};
    const char *p = open + 2 + (open[2] == '~');

    p += strspn(p, " \t");
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t n = strlen(words[i]);

        if (strncmp(p, words[i], n) == 0 && !is_word_byte(p[n]))
            return words[i];
    }
    return "";
}

/* The text between the braces from `start` to `end`, which is behind the closing one. */
static char *inside(struct template *t, const char *start, const char *end)
{
    size_t n = (size_t)(end - start) - 1;

    if (n && start[n - 1] == '~')
        n--;
    return arena_copy(t->x.ev->arena, start, n);
}

/* Takes the blanks before away if the mark at `open` says so, and those behind `end`. */
static const char *trim(struct template *t, const char *open, const char *end)
{
    struct out *out = &t->out;

    if (open[2] == '~' && !t->x.skip) {
        while (out->len && strchr(" \t", out->text[out->len - 1]))
            out->len--;
        if (out->len && out->text[out->len - 1] == '\n')
            out->len--;
        if (out->text)
            out->text[out->len] = '\0';
    }
    if (end[-2] == '~') {
        end += strspn(end, " \t");
        end += *end == '\r';
        end += *end == '\n';
        end += strspn(end, " \t");
    }
    return end;
}

static struct hcl_pos where(const struct template *t, const char *at)
{
    struct hcl_pos pos = t->x.pos;

    if (t->x.exact)
        pos.col += (unsigned int)(at - t->x.start);
    return pos;
}

static int eval_at(struct template *t, const char *start, const char *code, struct hcl_value *ret)
{
    return expr_eval(t->x.ev, t->x.scope, code, where(t, start), t->x.exact, ret);
}

static int interpolation(struct template *t, const char *end, struct hcl_value *only)
{
    const char *open = t->x.at, *start = open + 2 + (open[2] == '~'), *string;
    char *code = inside(t, start, end);
    struct hcl_value value = {0};
    int r;

    if (!code)
        return -ENOMEM;
    if (!is_code(t->x.scope, code)) {
        t->x.at = end;
        return put(t, open, (size_t)(end - open));
    }
    t->x.at = trim(t, open, end);
    if (t->x.skip)
        return 0;
    r = eval_at(t, start, code, &value);
    if (r < 0)
        return r;
    if (only && open == t->x.start && !*t->x.at) {
        *only = value;
        return 0;
    }
    r = value_to_text(&t->x, open, &value, &string);
    return r < 0 ? r : put(t, string, strlen(string));
}

static int parts(struct template *t, const char **ret_stop, struct hcl_value *only);

/* Reads up to the next directive on this level, which must be one of two. */
static int branch(struct template *t, bool skip, const char *a, const char *b, const char **ret)
{
    bool before = t->x.skip;
    const char *stop = NULL, *open = t->x.at;
    int r;

    t->x.skip = before || skip;
    r = parts(t, &stop, NULL);
    t->x.skip = before;
    if (r < 0)
        return r;
    if (!stop || (strcmp(directive(stop), a) != 0 && strcmp(directive(stop), b) != 0))
        return expr_fail(&t->x, open, "a \"%%{ %s }\" is missing", b);
    *ret = directive(stop);
    t->x.at = trim(t, stop, lexer_interpolation_end(stop));
    return 0;
}

static int if_directive(struct template *t, const char *start, const char *code)
{
    struct hcl_value value = {.kind = HCL_BOOL};
    bool holds = false;
    const char *word;
    int r = t->x.skip ? 0 : eval_at(t, start, code, &value);

    if (r == 0 && !t->x.skip && !value_to_bool(&value, &holds))
        r = expr_fail(&t->x, start, "true or false is wanted here, not %s",
                      hcl_kind_name(value.kind));
    if (r == 0)
        r = branch(t, !holds, "else", "endif", &word);
    if (r == 0 && strcmp(word, "else") == 0)
        r = branch(t, holds, "endif", "endif", &word);
    return r;
}

static int for_directive(struct template *t, const char *start, const char *code)
{
    struct hcl_value over = {.kind = HCL_LIST};
    const struct scope *outer = t->x.scope;
    char first[64], second[64] = "";
    const char *body = t->x.at, *word;
    int used = 0, r = 0;

    if (sscanf(code, " %63[A-Za-z0-9_] , %63[A-Za-z0-9_] in %n", first, second, &used) != 2 ||
        !used) {
        second[0] = '\0';
        used = 0;
        if (sscanf(code, " %63[A-Za-z0-9_] in %n", first, &used) != 1 || !used)
            return expr_fail(&t->x, start, "write %%{ for NAME in LIST }");
    }
    if (!t->x.skip)
        r = eval_at(t, start, code + used, &over);
    if (r == 0 && over.kind != HCL_LIST && over.kind != HCL_MAP)
        r = expr_fail(&t->x, start, "\"for\" goes through a list or a map, not %s",
                      hcl_kind_name(over.kind));
    if (r == 0)
        r = value_in_order(&t->x, &over, &over);
    for (size_t i = 0; r == 0 && i < over.n_items; i++) {
        struct hcl_value index = {.kind = HCL_NUMBER, .number = (double)i};
        struct scope a, b;

        if (over.kind == HCL_MAP)
            index = (struct hcl_value){.kind = HCL_STRING, .string = over.keys[i]};
        a = (struct scope){first, *second ? &index : &over.items[i], outer};
        b = (struct scope){second, &over.items[i], &a};
        t->x.scope = *second ? &b : &a;
        t->x.at = body;
        r = eval_step(&t->x, start);
        if (r == 0)
            r = branch(t, false, "endfor", "endfor", &word);
        t->x.scope = outer;
    }
    t->x.at = over.n_items ? t->x.at : body;
    return r < 0 || over.n_items ? r : branch(t, true, "endfor", "endfor", &word);
}

static int escape(struct template *t)
{
    static const char from[] = "ntr\"\\", to[] = "\n\t\r\"\\";
    const char *plain = strchr(from, t->x.at[1]);

    if (!t->x.at[1] || !plain)
        return expr_fail(
            &t->x, t->x.at,
            "this escape is not known inside an expression; use \\n \\t \\r \\\" \\\\");
    t->x.at += 2;
    return put(t, &to[plain - from], 1);
}

/* Up to the end, or a directive that is not for this level (*ret_stop). */
static int parts(struct template *t, const char **ret_stop, struct hcl_value *only)
{
    int r = ++t->x.ev->depth > HCL_EVAL_MAX_DEPTH
                ? expr_fail(&t->x, t->x.at, "nested deeper than %d levels", HCL_EVAL_MAX_DEPTH)
                : 0;

    while (r == 0 && *t->x.at) {
        const char *at = t->x.at, *end = NULL;
        const char *word = *at == '%' && at[1] == '{' ? directive(at) : "";

        if (lexer_opens_interpolation(at))
            end = lexer_interpolation_end(at);
        if (lexer_is_escaped_interpolation(at)) {
            t->x.at += 3;
            r = put(t, at, 3);
        } else if (*at == '$' && end) {
            r = interpolation(t, end, only);
        } else if (*word && end && (strcmp(word, "if") == 0 || strcmp(word, "for") == 0)) {
            const char *start = strstr(at, word) + strlen(word);
            char *code = inside(t, start, end);

            t->x.at = trim(t, at, end);
            r = !code ? -ENOMEM : (*word == 'i' ? if_directive : for_directive)(t, start, code);
        } else if (*word && end && ret_stop) {
            *ret_stop = at;
            break;
        } else if (*at == '\\' && t->quoted) {
            r = escape(t);
        } else {
            size_t n = 1 + strcspn(at + 1, t->quoted ? "$%\\" : "$%");

            t->x.at += n;
            r = put(t, at, n);
        }
    }
    t->x.ev->depth--;
    return r;
}

int template_eval(struct eval *ev, const struct scope *scope, const char *text, struct hcl_pos pos,
                  bool quoted, struct hcl_value *ret)
{
    struct template t = {
        .x = {.ev = ev, .scope = scope, .start = text, .at = text, .pos = pos, .exact = quoted},
        .quoted = quoted,
    };
    struct hcl_value only = {.kind = HCL_EXPR};
    int r = parts(&t, NULL, &only);

    if (r == 0 && only.kind != HCL_EXPR)
        *ret = only;
    else if (r == 0)
        r = value_set_text(&t.x, text, t.out.text ? t.out.text : "", t.out.len, ret);
    free(t.out.text);
    return r;
}
