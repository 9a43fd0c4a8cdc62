/* SPDX-License-Identifier: MIT
 *
 * Nothing is allocated: a version is read into numbers, and a view of its pre-release.
 */
#include "shared/job/version.h"

#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "shared/cleanup.h"

enum {
    SEGMENTS_MAX = 16
};

struct view {
    const char *at;
    size_t size;
};

struct version {
    int64_t segments[SEGMENTS_MAX]; /* those that are not given are 0 */
    size_t n;                       /* that are given */
    struct view pre;
};

/* ---- reading ---- */

static bool take(const char **at, const char *end, char c)
{
    if (*at == end || **at != c)
        return false;
    (*at)++;
    return true;
}

static bool take_number(const char **at, const char *end, int64_t *ret)
{
    int64_t value = 0;
    const char *p = *at;

    for (; p < end && isdigit((unsigned char)*p); p++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *p - '0', &value))
            return false;
    if (p == *at)
        return false;
    *at = p;
    *ret = value;
    return true;
}

/* Words of letters, digits, "-" and "~", with dots between them. */
static bool take_words(const char **at, const char *end, struct view *ret)
{
    const char *p = *at;

    do {
        const char *word = p;

        while (p < end && (isalnum((unsigned char)*p) || *p == '-' || *p == '~'))
            p++;
        if (p == word)
            return false;
    } while (take(&p, end, '.'));
    *ret = (struct view){*at, (size_t)(p - *at)};
    *at = p;
    return true;
}

static bool is_pre_begin(char c)
{
    return isalpha((unsigned char)c) || c == '~';
}

static bool read_version(const char *at, const char *end, enum version_rules rules,
                         struct version *ret)
{
    struct view meta;

    *ret = (struct version){0};
    (void)take(&at, end, 'v');
    do {
        if (ret->n == SEGMENTS_MAX || !take_number(&at, end, &ret->segments[ret->n++]))
            return false;
    } while (take(&at, end, '.'));
    if (take(&at, end, '-') || (rules == VERSION_LENIENT && at < end && is_pre_begin(*at)))
        if (!take_words(&at, end, &ret->pre))
            return false;
    if (take(&at, end, '+') && !take_words(&at, end, &meta))
        return false;
    return at == end;
}

/* ---- comparing ---- */

/* The word that begins at *at, which is moved behind it and its dot. */
static struct view next_word(struct view *rest)
{
    const char *dot = rest->size ? memchr(rest->at, '.', rest->size) : NULL;
    struct view word = {rest->at, dot ? (size_t)(dot - rest->at) : rest->size};
    size_t used = word.size + (dot != NULL);

    *rest = (struct view){rest->at + used, rest->size - used};
    return word;
}

static bool is_number(const struct view *word)
{
    for (size_t i = 0; i < word->size; i++)
        if (!isdigit((unsigned char)word->at[i]))
            return false;
    return word->size > 0;
}

static int compare_sizes(size_t a, size_t b)
{
    return a < b ? -1 : a > b;
}

/* Numbers by their value, and before words. (semver.org, 11) */
static int compare_words(struct view a, struct view b)
{
    bool numbers = is_number(&a);
    int order;

    if (numbers != is_number(&b))
        return numbers ? -1 : 1;
    for (; numbers && a.size > 1 && *a.at == '0'; a.at++)
        a.size--;
    for (; numbers && b.size > 1 && *b.at == '0'; b.at++)
        b.size--;
    if (numbers && a.size != b.size)
        return compare_sizes(a.size, b.size);
    order = memcmp(a.at, b.at, a.size < b.size ? a.size : b.size);
    return order ? order : compare_sizes(a.size, b.size);
}

static int compare_pre(struct view a, struct view b)
{
    if (!a.size || !b.size) /* what is released is the higher */
        return compare_sizes(b.size, a.size);
    while (a.size && b.size) {
        int order = compare_words(next_word(&a), next_word(&b));

        if (order)
            return order;
    }
    return compare_sizes(a.size, b.size);
}

static int compare_segments(const struct version *a, const struct version *b)
{
    for (size_t i = 0; i < SEGMENTS_MAX; i++)
        if (a->segments[i] != b->segments[i])
            return a->segments[i] < b->segments[i] ? -1 : 1;
    return 0;
}

static int compare(const struct version *a, const struct version *b)
{
    int order = compare_segments(a, b);

    return order ? order : compare_pre(a->pre, b->pre);
}

/* ---- demands ---- */

struct demand {
    char op[3];
    struct version version;
};

/* The one that begins at *at, which becomes the next, or NULL. */
static bool read_demand(const char **at, enum version_rules rules, struct demand *ret)
{
    static const char *const ops[] = {"<=", ">=", "!=", "~>", "<", ">", "="};
    const char *p = *at + strspn(*at, " \t\n\r\f"), *end = p + strcspn(p, ",");

    *at = *end ? end + 1 : NULL;
    strcpy(ret->op, "=");
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        if (strncmp(p, ops[i], strlen(ops[i])) == 0) {
            strcpy(ret->op, ops[i]);
            p += strlen(ops[i]);
            break;
        }
    if (rules == VERSION_SEMVER && ret->op[0] == '~')
        return false;
    p += strspn(p, " \t\n\r\f");
    while (end > p && strchr(" \t\n\r\f", end[-1]))
        end--;
    return read_version(p, end, rules, &ret->version);
}

bool version_demands_valid(const char *demands, enum version_rules rules)
{
    struct demand demand;

    while (demands)
        if (!read_demand(&demands, rules, &demand))
            return false;
    return true;
}

static bool fits_pre(const struct version *v, const struct demand *d)
{
    if (!v->pre.size)
        return !d->version.pre.size || d->op[0] != '~';
    return d->version.pre.size && compare_segments(v, &d->version) == 0;
}

static bool meets(const struct version *v, const struct demand *d, enum version_rules rules)
{
    int order = compare(v, &d->version);

    if (d->op[0] == '=')
        return order == 0;
    if (d->op[0] == '!')
        return order != 0;
    if (rules == VERSION_LENIENT && !fits_pre(v, d))
        return false;
    if (d->op[0] == '~') /* all but the last given segment stay as they are */
        return order >= 0 && memcmp(v->segments, d->version.segments,
                                    (d->version.n - 1) * sizeof(*v->segments)) == 0;
    return (d->op[1] && order == 0) || (d->op[0] == '<' ? order < 0 : order > 0);
}

bool version_meets(const char *version, const char *demands, enum version_rules rules)
{
    struct version v;
    struct demand demand;

    /* What a host says of itself is read leniently in both cases. */
    if (!read_version(version, version + strlen(version), VERSION_LENIENT, &v))
        return false;
    while (demands)
        if (!read_demand(&demands, rules, &demand) || !meets(&v, &demand, rules))
            return false;
    return true;
}
