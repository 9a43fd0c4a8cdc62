/* SPDX-License-Identifier: MIT
 *
 * Names a block may hold. In HCL everything unknown is an error. JSON comes from programs that send
 * every key of their own Nomad version: keys that ask for nothing are let through, known or not,
 * and only those that ask for something this release does not do are refused.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "shared/job/schema_internal.h"

/* ---- the nearest name ---- */

enum {
    LONGEST = 63 /* what is looked at of a name */
};

/* The name nearest to one that is unknown, among those that are near enough to be meant. */
struct guess {
    const char *name;
    size_t edits; /* fewer than these */
};

static struct guess guess_start(const char *name)
{
    return (struct guess){.edits = (strnlen(name, LONGEST) + 2) / 3 + 1};
}

/* How many insertions, deletions and replacements lead from `a` to `b`, upper and lower case alike.
 */
static size_t edits_between(const char *a, const char *b)
{
    size_t row[LONGEST + 1], len = strnlen(b, LONGEST);

    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 1; i <= LONGEST && a[i - 1]; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            size_t best = diagonal + (strncasecmp(&a[i - 1], &b[j - 1], 1) != 0);

            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[len];
}

static void guess_try(struct guess *guess, const char *name, const char *candidate)
{
    size_t n = edits_between(name, candidate), len = strlen(candidate);

    /* With its unit appended, as the API's names have it. */
    if (strncasecmp(name, candidate, len) == 0 && strcasecmp(name + len, "_mb") == 0)
        n = 0;
    if (n < guess->edits)
        *guess = (struct guess){candidate, n};
}

const char *schema_nearest(const char *name, const char *const *names)
{
    struct guess guess = guess_start(name);

    for (; *names; names++)
        guess_try(&guess, name, *names);
    return guess.name;
}

const char *schema_article(const char *noun)
{
    return strchr("aeiouAEIOU", *noun) ? "an" : "a";
}

const char *schema_hint(const char *nearest, char buf[SCHEMA_HINT_SIZE])
{
    (void)snprintf(buf, SCHEMA_HINT_SIZE, nearest ? "; did you mean \"%s\"?" : ".", nearest);
    return buf;
}

static const char *field_name(const struct schema_field *field, bool hcl)
{
    return hcl ? field->hcl : field->json;
}

static int fail_unknown(struct schema_context *ctx, const struct schema *schema, const char *form,
                        const char *name, struct hcl_pos pos)
{
    struct guess guess = guess_start(name);
    char hint[SCHEMA_HINT_SIZE];

    for (size_t i = 0; i < schema->n_fields; i++) {
        const char *candidate = field_name(&schema->fields[i], ctx->file != NULL);

        if (candidate)
            guess_try(&guess, name, candidate);
    }
    return schema_fail(ctx, pos, -EINVAL, "unknown %s \"%.64s\" in %s %s%s Correct or remove it",
                       form, name, schema_article(schema->what), schema->what,
                       schema_hint(guess.name, hint));
}

static int fail_later(struct schema_context *ctx, const struct schema_field *field,
                      const char *name, struct hcl_pos pos)
{
    return schema_fail(ctx, pos, -ENOTSUP,
                       "\"%s\" is known to Nomad but not run by this release; %s", name,
                       field->why ? field->why : "remove it");
}

/* 0: `json`, which is there for a field that this release does not run, asks for nothing, or the
 * caller was told; 1: it is to be refused. */
static int check_absent(struct schema_context *ctx, const struct schema *schema,
                        const struct schema_field *field, const json_t *json, struct hcl_pos pos)
{
    autojson json_t *neutral = NULL;

    if (field && field->kind == FIELD_UNUSED && ctx->on_unused) {
        ctx->on_unused(ctx, schema, field_name(field, ctx->file != NULL), pos);
        return 0;
    }
    if (field && field->neutral && !(neutral = json_loads(field->neutral, 0, NULL)))
        return -ENOMEM;
    return !value_is_shallow(json) || !value_is_neutral(json, neutral);
}

/* ---- HCL ---- */

static const struct schema_field *find_hcl(const struct schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->n_fields; i++)
        if (schema->fields[i].hcl && strcmp(schema->fields[i].hcl, name) == 0)
            return &schema->fields[i];
    return NULL;
}

static int check_attr(struct schema_context *ctx, const struct schema *schema,
                      const struct hcl_attr *attr)
{
    const struct schema_field *field = find_hcl(schema, attr->name);
    int r;

    if (!field)
        return fail_unknown(ctx, schema, "attribute", attr->name, attr->pos);
    if ((field->kind == FIELD_LATER || field->kind == FIELD_UNUSED) &&
        attr->value.kind != HCL_NULL) {
        r = 1;
        if (field->kind == FIELD_UNUSED)
            r = check_absent(ctx, schema, field, NULL, attr->pos);
        return r > 0 ? fail_later(ctx, field, field->hcl, attr->pos) : r;
    }
    if (schema_is_block(field->kind) || (field->kind == FIELD_INERT && field->block))
        return schema_fail(ctx, attr->pos, -EINVAL,
                           "\"%s\" is a block; write %s%s { … } without \"=\"", field->hcl,
                           field->hcl,
                           field->block->labelled || field->kind == FIELD_NAMED ? " \"name\"" : "");
    return 0;
}

/* A job's block is there to say something; an agent's may be, to say that it is off. */
static int check_absent_block(struct schema_context *ctx, const struct schema *schema,
                              const struct schema_field *field, const struct hcl_block *block)
{
    autojson json_t *json = NULL;
    int r = 1;

    if (ctx->on_unused) {
        json = value_from_body(block->body);
        r = json ? check_absent(ctx, schema, field, json, block->pos) : -ENOMEM;
    }
    return r > 0 ? fail_later(ctx, field, field->hcl, block->pos) : r;
}

static int check_block(struct schema_context *ctx, const struct schema *schema,
                       const struct hcl_block *block)
{
    const struct schema_field *field = find_hcl(schema, block->type);
    bool labelled;

    if (!field)
        return fail_unknown(ctx, schema, "block", block->type, block->pos);
    if (field->kind == FIELD_LATER || field->kind == FIELD_UNUSED)
        return check_absent_block(ctx, schema, field, block);
    if (!field->block && !schema_is_map(field->kind) && !field->block_too)
        return schema_fail(ctx, block->pos, -EINVAL, "\"%s\" is an attribute; write %s = …",
                           field->hcl, field->hcl);
    labelled = field->kind == FIELD_NAMED || (field->block && field->block->labelled);
    if (block->n_labels != (labelled ? 1 : 0))
        return schema_fail(ctx, block->pos, -EINVAL, "\"%s\" takes %s; write %s%s { … }",
                           field->hcl, labelled ? "exactly one name" : "no name", field->hcl,
                           labelled ? " \"name\"" : "");
    return 0;
}

static int check_body(struct schema_context *ctx, const struct schema *schema,
                      const struct hcl_body *body)
{
    int r = 0, first = 0;

    for (size_t i = 0; schema_goes_on(ctx, first) && i < body->n_attrs; i++)
        first = (r = check_attr(ctx, schema, &body->attrs[i])) && !first ? r : first;
    for (size_t i = 0; schema_goes_on(ctx, first) && i < body->n_blocks; i++)
        first = (r = check_block(ctx, schema, &body->blocks[i])) && !first ? r : first;
    return first;
}

/* ---- JSON ---- */

json_t *schema_json_get(const json_t *json, const char *key)
{
    json_t *item = json_object_get(json, key);
    const char *other;

    if (item)
        return item;
    json_object_foreach((json_t *)json, other, item) if (strcasecmp(other, key) == 0) return item;
    return NULL;
}

static const struct schema_field *find_json(const struct schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->n_fields; i++)
        if (schema->fields[i].json && strcasecmp(schema->fields[i].json, name) == 0)
            return &schema->fields[i];
    return NULL;
}

static int check_json(struct schema_context *ctx, const struct schema *schema, const json_t *json)
{
    const char *key;
    json_t *item;
    int r = 0;

    json_object_foreach((json_t *)json, key, item)
    {
        const struct schema_field *field = find_json(schema, key);
        int bad;

        if (!schema_goes_on(ctx, r))
            break;

        if (field && field->kind != FIELD_LATER && field->kind != FIELD_UNUSED)
            continue;
        bad =
            !field && ctx->strict ? 1 : check_absent(ctx, schema, field, item, (struct hcl_pos){0});
        if (bad < 0)
            return bad;
        if (bad)
            bad = field ? fail_later(ctx, field, field->json, (struct hcl_pos){0})
                        : fail_unknown(ctx, schema, "key", key, (struct hcl_pos){0});
        r = r ? r : bad;
    }
    return r;
}

int schema_check_names(struct schema_context *ctx, const struct schema *schema,
                       struct schema_source source)
{
    return source.body ? check_body(ctx, schema, source.body)
                       : check_json(ctx, schema, source.json);
}
