/* SPDX-License-Identifier: MIT
 *
 * An expression is read once and written anew for PCRE2: what only PCRE2 knows (looking around,
 * references back, possessive and nested repetition, verbs …) is refused with its place, and what
 * means something else there (\s, \v) is written out. The options take care of the rest: "$" is the
 * very end, "^" with (?m) matches behind a last line end too, and only \n ends lines.
 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "shared/text/regex.h"

#include <errno.h>
#include <pcre2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"

enum {
    HEAP_KIB = 16 << 10,
    HEAP_IN_LOOP_KIB = 2 << 10, /* with fewer steps: the manager is to stay small */
    MAX_REPEAT = 1000,          /* RE2's */
};

struct regex {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
};

struct regex *regex_free(struct regex *re)
{
    if (re) {
        pcre2_match_data_free(re->data);
        pcre2_match_context_free(re->context);
        pcre2_code_free(re->code);
    }
    free(re);
    return NULL;
}

/* ---- from Go's syntax to PCRE2's ---- */

struct reader {
    const char *start, *at, *end;
    char *out;     /* room for eight bytes for each one read */
    bool in_class; /* between [ and ] */
    bool operand;  /* what was read last may be repeated */
    bool repeated; /* … and is a repetition already */
    struct err *e;
};

static int refuse(const struct reader *rd, const char *why)
{
    return err_set(rd->e, -EINVAL, "the regular expression is wrong at byte %zu: %s",
                   (size_t)(rd->at - rd->start) + 1, why);
}

static void copy(struct reader *rd, size_t n)
{
    memcpy(rd->out, rd->at, n);
    rd->out += n;
    rd->at += n;
}

static void put(struct reader *rd, const char *text)
{
    rd->out = stpcpy(rd->out, text);
}

static bool next_is(const struct reader *rd, const char *text)
{
    size_t n = strlen(text);

    return (size_t)(rd->end - rd->at) >= n && memcmp(rd->at, text, n) == 0;
}

static bool is_hex(char c)
{
    return c && strchr("0123456789abcdefABCDEF", c);
}

/* At the backslash. */
static int escape(struct reader *rd)
{
    char c = rd->end - rd->at > 1 ? rd->at[1] : '\0';
    size_t n = 2;

    rd->operand = true;
    rd->repeated = false;
    if (c == 's' || c == 'S' || c == 'v') {
        rd->at += 2;
        put(rd, c == 'v'       ? "\\x0b"
                : rd->in_class ? c == 's' ? "\\t\\n\\f\\r " : "\\S\\x0b"
                : c == 's'     ? "[\\t\\n\\f\\r ]"
                               : "[\\S\\x0b]");
        return 0;
    }
    if (c == 'Q' && !rd->in_class) {
        const char *stop = memmem(rd->at, (size_t)(rd->end - rd->at), "\\E", 2);

        copy(rd, (size_t)((stop ? stop + 2 : rd->end) - rd->at));
        return 0;
    }
    if (c == 'x') {
        if (rd->end - rd->at > 3 && is_hex(rd->at[2]) && is_hex(rd->at[3]))
            n = 4;
        else if (rd->end - rd->at > 2 && rd->at[2] == '{')
            n = 3;
        else
            return refuse(rd, "write two hexadecimal digits behind \\x, or \\x{…}");
    } else if (c == 'p' || c == 'P') {
        n = 2;
    } else if (!rd->in_class && c && strchr("AzbB", c)) {
        rd->operand = false;
    } else if (!c || (unsigned char)c >= 0x80 ||
               (strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", c) &&
                !strchr("0afnrtdDwW", c))) {
        return refuse(rd, c >= '1' && c <= '9' ? "there are no references back to groups, as in Go"
                                               : "this escape is not known, as in Go");
    }
    copy(rd, n);
    return 0;
}

/* At the "(". */
static int group(struct reader *rd)
{
    static const char *const named[] = {"(?P<", "(?<"};

    rd->operand = rd->repeated = false;
    if (next_is(rd, "(*"))
        return refuse(rd, "there is nothing to repeat");
    if (!next_is(rd, "(?")) {
        copy(rd, 1);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(named); i++) {
        size_t n = strlen(named[i]);

        if (next_is(rd, named[i]) && rd->end - rd->at > (ptrdiff_t)n && !strchr("=!", rd->at[n])) {
            copy(rd, n);
            while (rd->at < rd->end && *rd->at != '>')
                copy(rd, 1);
            return 0;
        }
    }
    for (const char *p = rd->at + 2; p < rd->end; p++) {
        if (*p == ':' || *p == ')') {
            copy(rd, (size_t)(p - rd->at));
            if (*rd->at == ':')
                copy(rd, 1);
            return 0;
        }
        if (!strchr("imsU-", *p))
            break;
    }
    return refuse(rd, "of groups there are (…), (?:…), (?P<name>…) and (?ims-U:…), as in Go");
}

/* "{2}", "{2,}", "{2,5}": its length; 0: a brace like any other character. -1: too large. */
static int repeat_length(const struct reader *rd)
{
    const char *p = rd->at + 1;
    unsigned int numbers = 0;

    while (p < rd->end && *p >= '0' && *p <= '9') {
        char *after;

        if (strtoul(p, &after, 10) > MAX_REPEAT)
            return -1;
        p = after;
        if (p < rd->end && *p == ',' && !numbers++)
            p++;
    }
    return p > rd->at + 1 && p < rd->end && *p == '}' && rd->at[1] != ',' ? (int)(p + 1 - rd->at)
                                                                          : 0;
}

/* At one of * + ? or at a "{" that repeats. */
static int repetition(struct reader *rd, size_t n)
{
    if (!rd->operand && !rd->repeated) {
        if (*rd->at != '{' && (rd->at == rd->start || rd->out[-1] == '(' || rd->out[-1] == '|'))
            return refuse(rd, "there is nothing to repeat");
    }
    if (rd->repeated)
        return refuse(rd, "a repetition is repeated; put it in brackets (?:…)");
    copy(rd, n);
    if (rd->at < rd->end && *rd->at == '?')
        copy(rd, 1);
    rd->repeated = true;
    return 0;
}

/* At the "[": its first characters, among which a "]" is one like others. */
static void open_class(struct reader *rd)
{
    copy(rd, 1);
    if (rd->at < rd->end && *rd->at == '^')
        copy(rd, 1);
    if (rd->at < rd->end && *rd->at == ']') {
        put(rd, "\\]");
        rd->at++;
    }
    rd->in_class = true;
}

static int in_class(struct reader *rd)
{
    if (*rd->at == '\\')
        return escape(rd);
    if (next_is(rd, "[:")) {
        const char *stop = memmem(rd->at, (size_t)(rd->end - rd->at), ":]", 2);

        if (stop) {
            copy(rd, (size_t)(stop + 2 - rd->at));
            return 0;
        }
    }
    if (*rd->at == '[') { /* "[." and "[=" are no more than what they are */
        put(rd, "\\[");
        rd->at++;
        return 0;
    }
    if (*rd->at == ']') {
        rd->in_class = false;
        rd->operand = true;
        rd->repeated = false;
    }
    copy(rd, 1);
    return 0;
}

static int translate(struct reader *rd)
{
    int r = 0;

    while (r == 0 && rd->at < rd->end) {
        int n = *rd->at == '{' ? repeat_length(rd) : strchr("*+?", *rd->at) && *rd->at ? 1 : 0;

        if (rd->in_class) {
            r = in_class(rd);
        } else if (n < 0) {
            r = refuse(rd, "at most 1000 repetitions");
        } else if (n) {
            r = repetition(rd, (size_t)n);
        } else if (*rd->at == '\\') {
            r = escape(rd);
        } else if (*rd->at == '(') {
            r = group(rd);
        } else if (*rd->at == '[') {
            open_class(rd);
        } else {
            rd->operand = *rd->at && !strchr("|^$", *rd->at);
            rd->repeated = false;
            copy(rd, 1);
        }
    }
    return r;
}

static int no_memory(struct err *e)
{
    return err_set(e, -ENOMEM, "out of memory for a regular expression");
}

static int compile(struct regex *re, const char *pattern, size_t size, struct err *e)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    char message[128];
    PCRE2_SIZE offset;
    int code;

    if (!context)
        return no_memory(e);
    (void)pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    re->code = pcre2_compile((PCRE2_SPTR)pattern, size,
                             PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_DOLLAR_ENDONLY |
                                 PCRE2_ALT_CIRCUMFLEX | PCRE2_NEVER_BACKSLASH_C,
                             &code, &offset, context);
    pcre2_compile_context_free(context);
    if (re->code)
        return 0;
    (void)pcre2_get_error_message(code, (PCRE2_UCHAR *)message, sizeof(message));
    return err_set(e, -EINVAL, "the regular expression is wrong near byte %zu: %s",
                   (size_t)offset + 1, message);
}

int regex_new(const char *pattern, size_t size, unsigned int steps, struct regex **ret,
              struct err *e)
{
    struct reader rd = {.start = pattern, .at = pattern, .end = pattern + size, .e = e};
    autofree char *made = NULL;
    struct regex *re;
    int r;

    if (size > REGEX_MAX_BYTES)
        return err_set(e, -EINVAL, "the regular expression is longer than %d bytes",
                       REGEX_MAX_BYTES);
    made = malloc(8 * size + 16);
    if (!made)
        return no_memory(e);
    rd.out = made;
    r = translate(&rd);
    if (r < 0)
        return r;
    re = calloc(1, sizeof(*re));
    if (!re)
        return no_memory(e);
    r = compile(re, made, (size_t)(rd.out - made), e);
    if (r == 0) {
        re->data = pcre2_match_data_create_from_pattern(re->code, NULL);
        re->context = pcre2_match_context_create(NULL);
        r = re->data && re->context ? 0 : no_memory(e);
    }
    if (r < 0) {
        (void)regex_free(re);
        return r;
    }
    (void)pcre2_set_match_limit(re->context, steps);
    (void)pcre2_set_heap_limit(re->context, steps < REGEX_STEPS ? HEAP_IN_LOOP_KIB : HEAP_KIB);
    *ret = re;
    return 0;
}

/* ---- matching ---- */

int regex_match(const struct regex *re, const char *text, size_t size, size_t from)
{
    int r = pcre2_match(re->code, (PCRE2_SPTR)text, size, from, 0, re->data, re->context);

    if (r == PCRE2_ERROR_NOMATCH)
        return 0;
    return r < 0 ? -ETIME : 1;
}

struct bytes {
    const char *at;
    size_t size;
};

struct replace {
    const struct regex *re;
    struct bytes text;
    regex_sink sink;
    void *context;
};

static int put_group(const struct replace *rp, struct bytes name)
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(rp->re->data);
    uint32_t n = pcre2_get_ovector_count(rp->re->data), number = 0;
    char text[40];

    if (name.size >= sizeof(text))
        return 0;
    memcpy(text, name.at, name.size);
    text[name.size] = '\0';
    if (strspn(text, "0123456789") == name.size) {
        number = name.size > 4 ? n : (uint32_t)atoi(text);
    } else {
        int found = pcre2_substring_number_from_name(rp->re->code, (PCRE2_SPTR)text);

        number = found > 0 ? (uint32_t)found : n;
    }
    if (number >= n || at[2 * number] == PCRE2_UNSET)
        return 0;
    return rp->sink(rp->context, rp->text.at + at[2 * number], at[2 * number + 1] - at[2 * number]);
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static struct bytes behind(struct bytes in, const char *at)
{
    return (struct bytes){at, in.size - (size_t)(at - in.at)};
}

/* The name behind the "$" that `rest` begins with, and what follows it. False: there is none. */
static bool take_group(struct bytes *rest, struct bytes *ret_name)
{
    bool braced = rest->size > 1 && rest->at[1] == '{';
    size_t from = braced ? 2 : 1, to = from;

    while (to < rest->size && is_word(rest->at[to]))
        to++;
    if (to == from || (braced && (to >= rest->size || rest->at[to] != '}')))
        return false;
    *ret_name = (struct bytes){rest->at + from, to - from};
    *rest = behind(*rest, rest->at + to + braced);
    return true;
}

static int put_expanded(const struct replace *rp, struct bytes to)
{
    int r = 0;

    while (to.size && !r) {
        const char *dollar = memchr(to.at, '$', to.size);
        struct bytes name;

        r = rp->sink(rp->context, to.at, dollar ? (size_t)(dollar - to.at) : to.size);
        if (!dollar || r)
            break;
        to = behind(to, dollar);
        if (to.size > 1 && to.at[1] == '$') {
            to = behind(to, to.at + 2);
            r = rp->sink(rp->context, "$", 1);
        } else if (take_group(&to, &name)) {
            r = put_group(rp, name);
        } else {
            to = behind(to, to.at + 1);
            r = rp->sink(rp->context, "$", 1);
        }
    }
    return r;
}

/* How many bytes the character at `at` has. */
static size_t character(struct bytes text, size_t at)
{
    size_t n = 1;

    while ((unsigned char)text.at[at] >= 0xc0 && at + n < text.size && n < 4 &&
           ((unsigned char)text.at[at + n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* An empty match right behind a match counts for nothing. */
int regex_replace(const struct regex *re, const char *text, size_t size, const char *to,
                  size_t to_size, regex_sink step, regex_sink sink, void *context)
{
    const struct replace rp = {re, {text, size}, sink, context};
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(re->data);
    size_t done = 0, from = 0;
    bool first = true;
    int r = 0;

    while (from <= size && (r = step(context, "", 0)) == 0 &&
           (r = regex_match(re, text, size, from)) == 1) {
        size_t start = at[0] < from ? from : at[0], end = at[1] < start ? start : at[1];

        if (first || end > start || start > done) {
            r = sink(context, text + done, start - done);
            if (!r)
                r = put_expanded(&rp, (struct bytes){to, to_size});
            if (r)
                return r;
            done = end;
        }
        first = false;
        from = end;
        if (end == start) {
            if (from >= size)
                break;
            from += character(rp.text, from);
        }
    }
    return r < 0 ? r : sink(context, text + done, size - done);
}
