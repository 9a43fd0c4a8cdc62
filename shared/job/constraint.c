/* SPDX-License-Identifier: MIT
 *
 * Operators are one table: what they take, and how they compare.
 */
#include "shared/job/constraint.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/job/schema.h"
#include "shared/job/version.h"
#include "shared/text/regex.h"

/* ---- order and sets ---- */

static bool read_int(const char *text, long long *ret)
{
    char *end;

    if (strspn(text, "+-0123456789") != strlen(text))
        return false;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return end != text && !*end && !errno;
}

static bool read_float(const char *text, double *ret)
{
    char *end;

    if (strspn(text, "+-0123456789.eE") != strlen(text))
        return false;
    *ret = strtod(text, &end);
    return end != text && !*end && isfinite(*ret);
}

/* As whole numbers if both are such, else as numbers, else as texts. */
static int order(const char *a, const char *b)
{
    long long x, y;
    double f, g;

    if (read_int(a, &x) && read_int(b, &y))
        return x < y ? -1 : x > y;
    if (read_float(a, &f) && read_float(b, &g))
        return f < g ? -1 : f > g;
    return strcmp(a, b);
}

/* The entry of a list with commas that *at begins with, which becomes the next, or NULL. */
static size_t next_entry(const char **at, const char **ret)
{
    static const char blanks[] = " \t\n\r";
    const char *p = *at + strspn(*at, blanks);
    size_t n = strcspn(p, ",");

    *at = p[n] ? p + n + 1 : NULL;
    while (n && strchr(blanks, p[n - 1]))
        n--;
    *ret = p;
    return n;
}

static bool set_has(const char *set, const char *entry, size_t n)
{
    while (set) {
        const char *other;
        size_t m = next_entry(&set, &other);

        if (m == n && memcmp(other, entry, n) == 0)
            return true;
    }
    return false;
}

static bool contains(const char *set, const char *entries, bool all)
{
    while (entries) {
        const char *entry;
        size_t n = next_entry(&entries, &entry);

        if (set_has(set, entry, n) != all)
            return !all;
    }
    return all;
}

/* ---- regular expressions ---- */

/* `text` NULL: only whether it is one. */
static int matches(const char *pattern, const char *text, struct err *e)
{
    struct regex *re = NULL;
    int r = regex_new(pattern, strlen(pattern), REGEX_STEPS_IN_LOOP, &re, e);

    if (r == 0 && text)
        r = regex_match(re, text, strlen(text), 0);
    re = regex_free(re);
    return r == -ETIME ? err_set(e, r, "%s", REGEX_TOO_LONG) : r;
}

/* ---- operators ---- */

enum kind {
    EQUAL,
    NOT_EQUAL,
    LESS,
    LESS_EQUAL,
    GREATER,
    GREATER_EQUAL,
    REGEXP,
    CONTAINS_ALL,
    CONTAINS_ANY,
    VERSION,
    SEMVER,
    IS_SET,
    IS_NOT_SET,
    DISTINCT_HOSTS,
    DISTINCT_PROPERTY
};

static const struct op_row {
    const char *name;
    enum kind kind;
} operators[] = {
    {"=", EQUAL},
    {"==", EQUAL},
    {"is", EQUAL},
    {"!=", NOT_EQUAL},
    {"not", NOT_EQUAL},
    {"<", LESS},
    {"<=", LESS_EQUAL},
    {">", GREATER},
    {">=", GREATER_EQUAL},
    {"regexp", REGEXP},
    {"set_contains", CONTAINS_ALL},
    {"set_contains_all", CONTAINS_ALL},
    {"set_contains_any", CONTAINS_ANY},
    {"version", VERSION},
    {"semver", SEMVER},
    {"is_set", IS_SET},
    {"is_not_set", IS_NOT_SET},
    {"distinct_hosts", DISTINCT_HOSTS},
    {"distinct_property", DISTINCT_PROPERTY},
};

static const struct op_row *find_operator(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(operators); i++)
        if (strcmp(operators[i].name, name) == 0)
            return &operators[i];
    return NULL;
}

static enum kind kind_of(const struct job_constraint *c)
{
    return find_operator(c->op)->kind;
}

int constraint_met(const struct job_constraint *c, const char *left, const char *right,
                   struct err *e)
{
    enum kind kind = kind_of(c);

    if (kind == DISTINCT_HOSTS || kind == IS_NOT_SET)
        return kind == DISTINCT_HOSTS || !left;
    if (kind == DISTINCT_PROPERTY || kind == IS_SET)
        return left != NULL;
    if (kind == NOT_EQUAL)
        return strcmp(left ? left : "", right ? right : "") != 0;
    if (!left || !right)
        return false;
    switch (kind) {
    case EQUAL:
        return strcmp(left, right) == 0;
    case LESS:
        return order(left, right) < 0;
    case LESS_EQUAL:
        return order(left, right) <= 0;
    case GREATER:
        return order(left, right) > 0;
    case GREATER_EQUAL:
        return order(left, right) >= 0;
    case REGEXP:
        return matches(right, left, e);
    case CONTAINS_ALL:
    case CONTAINS_ANY:
        return contains(left, right, kind == CONTAINS_ALL);
    default:
        return version_meets(left, right, kind == SEMVER ? VERSION_SEMVER : VERSION_LENIENT);
    }
}

long long constraint_limit(const struct job_constraint *c)
{
    enum kind kind = kind_of(c);
    long long limit;

    if (kind == DISTINCT_HOSTS)
        return strcmp(c->right, "false") == 0 ? -1 : 1;
    if (kind != DISTINCT_PROPERTY)
        return -1;
    return read_int(c->right, &limit) ? limit : 1;
}

/* ---- checks ---- */

char *constraint_reference(const char *text)
{
    size_t n = strlen(text);
    char *name;

    if (strncmp(text, "${", 2) != 0 || text[n - 1] != '}')
        return NULL;
    name = strndup(text + 2, n - 3);
    if (!name)
        abort();
    return name;
}

static int check_side(struct schema_context *ctx, const struct job_constraint *c, const char *text)
{
    static const char *const known[] = {"attr.",
                                        "meta.",
                                        "node.unique.id",
                                        "node.unique.name",
                                        "node.datacenter",
                                        "node.region",
                                        "node.class",
                                        "node.pool",
                                        "env.",
                                        "env[\""};
    autofree char *name = constraint_reference(text);

    for (size_t i = 0; name && i < ARRAY_LEN(known); i++)
        if (strncmp(name, known[i], strlen(known[i])) == 0 &&
            (strchr(".\"", known[i][strlen(known[i]) - 1]) || strcmp(name, known[i]) == 0))
            return 0;
    if (text[0] != '$')
        return 0;
    return schema_fail(ctx, c->pos, -EINVAL,
                       "a constraint cannot speak of \"%.64s\": write ${attr.NAME}, ${meta.NAME}, "
                       "${node.unique.id}, ${node.unique.name}, ${node.datacenter}, "
                       "${node.region}, ${node.class}, ${node.pool} or ${env[\"NAME\"]}",
                       text);
}

static int check_right(struct schema_context *ctx, const struct job_constraint *c, enum kind kind)
{
    bool fixed = strncmp(c->right, "${", 2) != 0; /* else it is looked at when it is known */
    struct err e = ERR_INIT;
    long long n;

    if (kind == IS_SET || kind == IS_NOT_SET)
        return !*c->right ? 0
                          : schema_fail(ctx, c->pos, -EINVAL,
                                        "the operator \"%s\" takes no \"value\"; remove it", c->op);
    if (kind == DISTINCT_HOSTS)
        return !*c->right || strcmp(c->right, "true") == 0 || strcmp(c->right, "false") == 0
                   ? 0
                   : schema_fail(ctx, c->pos, -EINVAL,
                                 "\"distinct_hosts\" is true or false, not \"%.64s\"", c->right);
    if (kind == DISTINCT_PROPERTY)
        return !*c->right || (read_int(c->right, &n) && n > 0)
                   ? 0
                   : schema_fail(ctx, c->pos, -EINVAL,
                                 "\"value\" of \"distinct_property\" is how many may have the same "
                                 "one, a number from 1 on, not \"%.64s\"",
                                 c->right);
    if (!*c->right)
        return schema_fail(ctx, c->pos, -EINVAL, "the operator \"%s\" needs a \"value\"", c->op);
    if (kind == REGEXP && fixed)
        return matches(c->right, NULL, &e)
                   ? schema_fail(ctx, c->pos, e.code, "\"%.64s\": %s", c->right, e.text)
                   : 0;
    if ((kind == VERSION || kind == SEMVER) && fixed &&
        !version_demands_valid(c->right, kind == SEMVER ? VERSION_SEMVER : VERSION_LENIENT))
        return schema_fail(ctx, c->pos, -EINVAL,
                           "\"%.64s\" is no demand on a version; write one such as \">= 1.2, < "
                           "2.0.0\"",
                           c->right);
    return check_side(ctx, c, c->right);
}

static int check(struct schema_context *ctx, const struct job_constraint *c, bool in_task)
{
    const struct op_row *op = find_operator(c->op);
    int r;

    if (!op)
        return schema_fail(ctx, c->pos, -EINVAL,
                           "there is no operator \"%.64s\"; there are =, !=, >, >=, <, <=, regexp, "
                           "set_contains, set_contains_any, version, semver, is_set, is_not_set, "
                           "distinct_hosts and distinct_property",
                           c->op);
    if (in_task && op->kind >= DISTINCT_HOSTS)
        return schema_fail(ctx, c->pos, -EINVAL,
                           "\"%s\" is for a job or a group, not for a task; move it up", c->op);
    if (!*c->left && op->kind != DISTINCT_HOSTS)
        return schema_fail(ctx, c->pos, -EINVAL,
                           "a constraint with the operator \"%s\" needs an \"attribute\"", c->op);
    r = check_side(ctx, c, c->left);
    return r ? r : check_right(ctx, c, op->kind);
}

/* ---- short forms ---- */

static int replace(char **slot, char *text)
{
    if (!text)
        return -ENOMEM;
    free(*slot);
    *slot = text;
    return 0;
}

/* version = "1.2" with operator = ">" can only mean "> 1.2". */
static char *combined(const struct job_constraint *c, const char *name, const char *value)
{
    bool compares = *c->op && strspn(c->op, "<>!=") == strlen(c->op) && strcmp(c->op, "==") != 0;
    char *text;

    if (!compares || (strcmp(name, "version") != 0 && strcmp(name, "semver") != 0) ||
        strspn(value, "<>!=~"))
        return strdup(value);
    return asprintf(&text, "%s %s", c->op, value) < 0 ? NULL : text;
}

static int resolve(struct schema_context *ctx, struct job_constraint *c)
{
    const struct {
        const char *name;
        char **value, **side;
    } forms[] = {
        {"version", &c->version, &c->right},
        {"semver", &c->semver, &c->right},
        {"regexp", &c->regexp, &c->right},
        {"set_contains", &c->set_contains, &c->right},
        {"set_contains_all", &c->set_contains_all, &c->right},
        {"set_contains_any", &c->set_contains_any, &c->right},
        {"distinct_hosts", &c->distinct_hosts, &c->right},
        {"distinct_property", &c->distinct_property, &c->left},
    };
    const char *found = NULL;
    int r = 0;

    for (size_t i = 0; !r && i < ARRAY_LEN(forms); i++) {
        if (!**forms[i].value)
            continue;
        if (found || (**forms[i].side && strcmp(*forms[i].side, *forms[i].value) != 0))
            return schema_fail(ctx, c->pos, -EINVAL,
                               "\"%s\" and \"%s\" say two things; make them two constraints",
                               forms[i].name,
                               found                       ? found
                               : forms[i].side == &c->left ? "attribute"
                                                           : "value");
        found = forms[i].name;
        r = replace(forms[i].side, combined(c, found, *forms[i].value));
        if (!r)
            r = replace(&c->op, strdup(found));
        if (!r)
            r = replace(forms[i].value, strdup(""));
    }
    return r || *c->op ? r : replace(&c->op, strdup("="));
}

int constraints_finish(struct schema_context *ctx, struct job_constraint *constraints, size_t n,
                       bool in_task)
{
    int r = 0;

    for (size_t i = 0; schema_goes_on(ctx, r) && i < n; i++) {
        size_t mark = schema_enter(ctx, "Constraints[%zu]", i);
        int bad = resolve(ctx, &constraints[i]);

        if (!bad)
            bad = check(ctx, &constraints[i], in_task);
        r = r ? r : bad;
        schema_leave(ctx, mark);
    }
    return r;
}

static const struct schema_field constraint_fields[] = {
    SCHEMA_FIELD(POS, job_constraint, pos, NULL, NULL),
    SCHEMA_FIELD(STRING, job_constraint, left, "attribute", "LTarget"),
    SCHEMA_FIELD(STRING, job_constraint, right, "value", "RTarget"),
    SCHEMA_FIELD(STRING, job_constraint, op, "operator", "Operand"),
    SCHEMA_FIELD(STRING, job_constraint, version, "version", NULL),
    SCHEMA_FIELD(STRING, job_constraint, semver, "semver", NULL),
    SCHEMA_FIELD(STRING, job_constraint, regexp, "regexp", NULL),
    SCHEMA_FIELD(STRING, job_constraint, set_contains, "set_contains", NULL),
    SCHEMA_FIELD(STRING, job_constraint, set_contains_all, "set_contains_all", NULL),
    SCHEMA_FIELD(STRING, job_constraint, set_contains_any, "set_contains_any", NULL),
    SCHEMA_FIELD(STRING, job_constraint, distinct_hosts, "distinct_hosts", NULL),
    SCHEMA_FIELD(STRING, job_constraint, distinct_property, "distinct_property", NULL),
};

const struct schema constraint_schema = {
    .what = "constraint",
    .size = sizeof(struct job_constraint),
    .fields = constraint_fields,
    .n_fields = ARRAY_LEN(constraint_fields),
};
