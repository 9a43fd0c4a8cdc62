/* SPDX-License-Identifier: MIT
 *
 * From a block as written to a struct. Fields are read in the table's order, not the file's, so
 * that a check may rely on the fields above its own. A value takes one road whatever it was written
 * in: HCL values become JSON first. Blocks go two roads, because HCL repeats blocks where JSON has
 * arrays.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/job/schema_internal.h"

enum {
    MAX_BLOCKS = 4096
};

/* ---- values ---- */

static int fail_kind(struct schema_context *ctx, struct hcl_pos pos, const char *name,
                     const char *wanted, const json_t *json)
{
    return schema_fail(ctx, pos, -EINVAL, "\"%s\" must be %s, not %s", name, wanted,
                       json_is_string(json) ? "this text" : value_kind_name(json));
}

static const char *wanted_kind(enum field_kind kind)
{
    switch (kind) {
    case FIELD_BOOL:
        return "true or false";
    case FIELD_INT:
        return "a whole number";
    case FIELD_DURATION:
        return "a duration such as \"30s\" or \"1h30m\"";
    case FIELD_SIZE:
        return "a size such as \"100MiB\" or \"10GB\"";
    case FIELD_STRINGS:
        return "a list of strings, such as [\"a\", \"b\"]";
    case FIELD_STRING_MAP:
        return "a map of strings";
    case FIELD_FREE_MAP:
        return "a map";
    default:
        return "a string";
    }
}

static int check_range(struct schema_context *ctx, const struct schema_field *field,
                       const char *name, int64_t value, struct hcl_pos pos)
{
    static const int64_t second = 1000000000;
    int64_t unit = field->kind == FIELD_DURATION ? second : 1;
    const char *suffix = field->kind == FIELD_DURATION ? "s" : "";

    if (value < field->min)
        return schema_fail(ctx, pos, -EINVAL, "\"%s\" is less than the least allowed, %lld%s", name,
                           (long long)(field->min / unit), suffix);
    if (field->max && value > field->max)
        return schema_fail(ctx, pos, -EINVAL, "\"%s\" is more than the most allowed, %lld%s", name,
                           (long long)(field->max / unit), suffix);
    return 0;
}

/* "a", "b" or "c" */
static const char *list_names(const char *const *names, char *buf, size_t size)
{
    size_t n = 0;

    buf[0] = '\0';
    names += !**names; /* "" is for what is not given */
    for (size_t i = 0; names[i] && n < size; i++)
        n += (size_t)snprintf(buf + n, size - n, "%s\"%s\"",
                              !i             ? ""
                              : names[i + 1] ? ", "
                                             : " or ",
                              names[i]);
    return buf;
}

static int decode_enum(struct schema_context *ctx, const struct schema_field *field,
                       const char *name, const char *text, struct hcl_pos pos, unsigned int *ret)
{
    char all[128];

    for (unsigned int i = 0; field->names[i]; i++) {
        if (strcmp(field->names[i], text) == 0) {
            *ret = i;
            return 0;
        }
    }
    for (const char *const *later = field->later; later && *later; later++)
        if (strcmp(*later, text) == 0)
            return schema_fail(
                ctx, pos, -ENOTSUP,
                "%s \"%s\" is known to Nomad but not run by this release; use \"%s\"", name, text,
                field->names[0]);
    return schema_fail(ctx, pos, -EINVAL, "\"%s\" cannot be \"%.64s\"; write %s", name, text,
                       list_names(field->names, all, sizeof(all)));
}

static int read_map(const struct schema_field *field, const json_t *json, json_t **ret)
{
    if (field->kind == FIELD_STRING_MAP)
        return value_string_map(json, ret);
    if (field->kind == FIELD_FREE_MAP && json_array_size(json) == 1)
        json = json_array_get(json, 0); /* a block, as value_from_body() writes it */
    if (field->kind == FIELD_FREE_MAP && !json_is_object(json))
        return -EINVAL;
    *ret = value_copy(json);
    return *ret ? 0 : -ENOMEM;
}

/* Puts the converted `json` at `at`, releasing what was there. -EINVAL without a message. */
static int store(const struct schema_field *field, const json_t *json, void *at)
{
    char *text = NULL, **strings = NULL;
    json_t *map = NULL;
    int r;

    switch (field->kind) {
    case FIELD_STRING:
        r = value_text(json, &text);
        if (r == 0) {
            free(*(char **)at);
            *(char **)at = text;
        }
        return r;
    case FIELD_BOOL:
        return value_bool(json, at);
    case FIELD_INT:
        return value_int(json, at);
    case FIELD_DURATION:
        return value_duration(json, at);
    case FIELD_SIZE:
        return value_size(json, at);
    case FIELD_STRINGS:
        r = value_strings(json, &strings);
        if (r == 0) {
            value_free_strings(*(char ***)at);
            *(char ***)at = strings;
        }
        return r;
    default:
        r = read_map(field, json, &map);
        if (r == 0 && field->merge) {
            r = json_object_update(*(json_t **)at, map) < 0 ? -ENOMEM : 0;
            json_decref(map);
        } else if (r == 0) {
            json_decref(*(json_t **)at);
            *(json_t **)at = map;
        }
        return r;
    }
}

static int decode_value(struct schema_context *ctx, const struct schema_field *field,
                        const json_t *json, struct hcl_pos pos, void *obj)
{
    const char *name = ctx->file ? field->hcl : field->json;
    void *at = schema_member(obj, field->offset);
    int r;

    if (!value_is_shallow(json))
        return schema_fail(ctx, pos, -EINVAL, "\"%s\" nests deeper than %d levels; flatten it",
                           name, VALUE_MAX_DEPTH);
    if (field->def && json_is_string(json) && !*json_string_value(json) &&
        (field->kind == FIELD_STRING || field->kind == FIELD_ENUM))
        return 0; /* programs send "" for what was not given */
    if (field->zero_is_unset && !ctx->file && json_is_integer(json) && !json_integer_value(json))
        return 0;
    if (field->kind == FIELD_ENUM) {
        if (!json_is_string(json))
            return fail_kind(ctx, pos, name, "a string", json);
        return decode_enum(ctx, field, name, json_string_value(json), pos, at);
    }
    r = store(field, json, at);
    if (r == -EINVAL)
        return fail_kind(ctx, pos, name, wanted_kind(field->kind), json);
    if (r == 0 &&
        (field->kind == FIELD_INT || field->kind == FIELD_DURATION || field->kind == FIELD_SIZE))
        return check_range(ctx, field, name, *(int64_t *)at, pos);
    return r;
}

static bool is_deferred(const struct schema_context *ctx, const struct schema_field *field,
                        const json_t *json)
{
    return ctx->defers && field->kind != FIELD_ANY && value_has_reference(json);
}

/* A text is kept as it is, and of all else nothing is known yet. */
static int store_deferred(const struct schema_field *field, const json_t *json, void *obj)
{
    return field->kind == FIELD_STRING && json_is_string(json)
               ? store(field, json, schema_member(obj, field->offset))
               : 0;
}

/* ---- blocks ---- */

static int check_unique(struct schema_context *ctx, const struct schema *schema, const char *first,
                        size_t n, struct hcl_pos pos)
{
    size_t offset = schema->fields[0].offset;
    const char *name = *(char **)schema_member(first + n * schema->size, offset);

    for (size_t i = 0; i < n; i++)
        if (strcmp(*(char **)schema_member(first + i * schema->size, offset), name) == 0)
            return schema_fail(ctx, pos, -EINVAL,
                               "there is %s %s \"%.64s\" already; give each its own name",
                               schema_article(schema->what), schema->what, name);
    return 0;
}

/* Reads the element at (*array)[*count], for which there is room, and counts it; the first `old`
 * are not of this source. */
static int decode_element(struct schema_context *ctx, const struct schema_field *field,
                          struct schema_source source, const char *label, size_t old, void *obj)
{
    const struct schema *schema = field->block;
    size_t *count = schema_member(obj, field->count);
    char *first = *(char **)schema_member(obj, field->offset);
    void *element = first + *count * schema->size;
    int r;

    (*count)++; /* from here on schema_deinit() releases it */
    r = schema_init(schema, element);
    if (r == 0 && label) {
        char **name = schema_member(element, schema->fields[0].offset);

        free(*name);
        *name = strdup(label);
        r = *name ? 0 : -ENOMEM;
    }
    if (r == 0)
        r = schema_decode(ctx, schema, source, element);
    if (r == 0 && schema->labelled)
        r = check_unique(ctx, schema, first + old * schema->size, *count - 1 - old, source.pos);
    return r;
}

static int first_of(int r, int next)
{
    return r ? r : next;
}

static int make_room(struct schema_context *ctx, const struct schema_field *field, size_t n,
                     struct hcl_pos pos, void *obj)
{
    char **array = schema_member(obj, field->offset), *larger;
    size_t old = *(size_t *)schema_member(obj, field->count);

    if (n > MAX_BLOCKS - old)
        return schema_fail(ctx, pos, -EINVAL, "more than %d of \"%s\"", MAX_BLOCKS,
                           ctx->file ? field->hcl : field->json);
    if (!n)
        return 0;
    larger = reallocarray(*array, old + n, field->block->size);
    if (!larger)
        return -ENOMEM;
    *array = larger;
    return 0;
}

/* The elements from `old` on take the place of earlier ones of the same label. */
static void fold(const struct schema_field *field, size_t old, void *obj)
{
    const struct schema *schema = field->block;
    size_t *count = schema_member(obj, field->count), kept = old;
    char *first = *(char **)schema_member(obj, field->offset);

    for (size_t i = old; i < *count; i++) {
        char *from = first + i * schema->size, *to = first;
        size_t name = schema->fields[0].offset;

        while (to < first + old * schema->size &&
               strcmp(*(char **)schema_member(to, name), *(char **)schema_member(from, name)) != 0)
            to += schema->size;
        if (to < first + old * schema->size)
            schema_deinit(schema, to);
        else
            to = first + kept++ * schema->size;
        memmove(to, from, schema->size);
    }
    *count = kept;
}

static int decode_hcl_blocks(struct schema_context *ctx, const struct schema_field *field,
                             const struct hcl_body *body, void *obj)
{
    size_t n = 0, old = *(size_t *)schema_member(obj, field->count);
    int r;

    for (size_t i = 0; i < body->n_blocks; i++)
        n += strcmp(body->blocks[i].type, field->hcl) == 0;
    r = make_room(ctx, field, n, (struct hcl_pos){.line = 1, .col = 1}, obj);
    for (size_t i = 0; schema_goes_on(ctx, r) && i < body->n_blocks; i++) {
        const struct hcl_block *block = &body->blocks[i];
        struct schema_source source = {.body = block->body, .pos = block->pos};

        if (strcmp(block->type, field->hcl) == 0)
            r = first_of(r, decode_element(ctx, field, source,
                                           block->n_labels ? block->labels[0] : NULL, old, obj));
    }
    if (r == 0 && old)
        fold(field, old, obj);
    return r;
}

/* The element at `name` may say its name again. */
static int decode_named(struct schema_context *ctx, const struct schema_field *field,
                        const char *name, const json_t *item, size_t old, void *obj)
{
    const json_t *again = schema_json_get(item, field->block->fields[0].json);

    if (!json_is_object(item))
        return fail_kind(ctx, (struct hcl_pos){0}, field->json, "an object of objects", item);
    if (again && !json_is_null(again) &&
        strcmp(json_is_string(again) ? json_string_value(again) : "", name) != 0)
        return schema_fail(ctx, (struct hcl_pos){0}, -EINVAL,
                           "\"%s\" of %s %s must be its key, \"%.64s\"",
                           field->block->fields[0].json, schema_article(field->block->what),
                           field->block->what, name);
    return decode_element(ctx, field, (struct schema_source){.json = item}, name, old, obj);
}

static int decode_json_map(struct schema_context *ctx, const struct schema_field *field,
                           const json_t *json, void *obj)
{
    size_t old = *(size_t *)schema_member(obj, field->count);
    const char *name;
    json_t *item;
    int r;

    if (!json_is_object(json))
        return fail_kind(ctx, (struct hcl_pos){0}, field->json, "an object of objects", json);
    r = make_room(ctx, field, json_object_size(json), (struct hcl_pos){0}, obj);
    json_object_foreach((json_t *)json, name, item)
    {
        size_t mark;

        if (!schema_goes_on(ctx, r))
            break;
        mark = schema_enter(ctx, "%s", name);
        r = first_of(r, decode_named(ctx, field, name, item, old, obj));
        schema_leave(ctx, mark);
    }
    if (r == 0 && old)
        fold(field, old, obj);
    return r;
}

static int decode_json_blocks(struct schema_context *ctx, const struct schema_field *field,
                              const json_t *json, void *obj)
{
    size_t i;
    json_t *item;
    int r;

    if (!json_is_array(json))
        return fail_kind(ctx, (struct hcl_pos){0}, field->json, "a list of objects", json);
    r = make_room(ctx, field, json_array_size(json), (struct hcl_pos){0}, obj);
    json_array_foreach(json, i, item)
    {
        size_t mark;

        if (!schema_goes_on(ctx, r))
            break;
        mark = schema_enter(ctx, "[%zu]", i);
        if (json_is_object(item))
            r = first_of(
                r, decode_element(ctx, field, (struct schema_source){.json = item}, NULL, 0, obj));
        else
            r = first_of(
                r, fail_kind(ctx, (struct hcl_pos){0}, field->json, "a list of objects", item));
        schema_leave(ctx, mark);
    }
    return r;
}

/* ---- fields ---- */

static int run_check(struct schema_context *ctx, const struct schema_field *field, const void *obj,
                     struct schema_source source)
{
    return field->check ? field->check(ctx, field, obj, source) : 0;
}

static const struct hcl_attr *find_attr(const struct hcl_body *body, const char *name)
{
    for (size_t i = 0; i < body->n_attrs; i++)
        if (strcmp(body->attrs[i].name, name) == 0)
            return &body->attrs[i];
    return NULL;
}

/* The block of that type, of which there may be one; NULL and 0 if there is none. */
static int find_only_block(struct schema_context *ctx, const struct hcl_body *body,
                           const char *type, const struct hcl_block **ret)
{
    const struct hcl_block *found = NULL;

    for (size_t i = 0; i < body->n_blocks; i++) {
        if (strcmp(body->blocks[i].type, type) != 0)
            continue;
        if (found)
            return schema_fail(ctx, body->blocks[i].pos, -EINVAL,
                               "\"%s\" is here already at line %u column %u; merge the two", type,
                               found->pos.line, found->pos.col);
        found = &body->blocks[i];
    }
    *ret = found;
    return 0;
}

/* `env = { … }` is read as the block `env { … }`: the check sees attributes either way. */
static int check_map_attr(struct schema_context *ctx, const struct schema_field *field,
                          const struct hcl_attr *attr, const void *obj)
{
    const struct hcl_value *map = &attr->value;
    autofree struct hcl_attr *attrs = calloc(map->n_items + 1, sizeof(*attrs));
    struct hcl_body body = {.attrs = attrs, .n_attrs = map->n_items};

    if (!attrs)
        return -ENOMEM;
    for (size_t i = 0; i < map->n_items; i++)
        attrs[i] = (struct hcl_attr){map->keys[i], map->items[i].pos, map->items[i]};
    return run_check(ctx, field, obj, (struct schema_source){.body = &body, .pos = attr->pos});
}

static int decode_attr(struct schema_context *ctx, const struct schema_field *field,
                       const struct hcl_attr *attr, void *obj)
{
    autojson json_t *json = NULL;
    int r;

    if (attr->value.kind == HCL_NULL)
        return 0;
    if (field->kind == FIELD_DURATION && attr->value.kind == HCL_NUMBER) /* of what? */
        return schema_fail(ctx, attr->value.pos, -EINVAL,
                           "\"%s\" is a number without a unit; write \"10s\" for ten seconds",
                           field->hcl);
    json = value_from_hcl(&attr->value);
    if (json && is_deferred(ctx, field, json) && value_is_shallow(json))
        return store_deferred(field, json, obj);
    r = json ? decode_value(ctx, field, json, attr->value.pos, obj) : -ENOMEM;
    if (r < 0)
        return r;
    if (schema_is_map(field->kind))
        return check_map_attr(ctx, field, attr, obj);
    return run_check(ctx, field, obj, (struct schema_source){.pos = attr->value.pos});
}

static int decode_map_block(struct schema_context *ctx, const struct schema_field *field,
                            const struct hcl_block *block, void *obj)
{
    autojson json_t *json = NULL;
    const struct hcl_body *body = block->body;
    int r;

    for (size_t i = 0; i < body->n_blocks; i++) /* else one would hide the other */
        if (find_attr(body, body->blocks[i].type))
            return schema_fail(ctx, body->blocks[i].pos, -EINVAL,
                               "\"%.64s\" is an attribute of this block as well; keep one",
                               body->blocks[i].type);
    json = value_from_body(body);
    if (json && is_deferred(ctx, field, json) && value_is_shallow(json))
        return store_deferred(field, json, obj);
    r = json ? decode_value(ctx, field, json, block->pos, obj) : -ENOMEM;
    if (r < 0)
        return r;
    return run_check(ctx, field, obj, (struct schema_source){.body = body, .pos = block->pos});
}

/* plugin "exec" { … } is the field "exec" of the schema. */
static int decode_labelled(struct schema_context *ctx, const struct schema_field *field,
                           const struct hcl_body *body, void *obj)
{
    autofree struct hcl_block *blocks = calloc(body->n_blocks + 1, sizeof(*blocks));
    struct hcl_body named = {.blocks = blocks};

    if (!blocks)
        return -ENOMEM;
    for (size_t i = 0; i < body->n_blocks; i++)
        /* one without a label was refused, and what else is wrong is still looked for */
        if (strcmp(body->blocks[i].type, field->hcl) == 0 && body->blocks[i].n_labels) {
            blocks[named.n_blocks] = body->blocks[i];
            blocks[named.n_blocks].type = body->blocks[i].labels[0];
            blocks[named.n_blocks++].n_labels = 0;
        }
    return schema_decode(ctx, field->block, (struct schema_source){.body = &named},
                         schema_member(obj, field->offset));
}

static int decode_hcl_field(struct schema_context *ctx, const struct schema_field *field,
                            const struct hcl_body *body, void *obj)
{
    const struct hcl_attr *attr = find_attr(body, field->hcl);
    const struct hcl_block *block = NULL;
    int r;

    if (field->kind == FIELD_BLOCKS)
        return decode_hcl_blocks(ctx, field, body, obj);
    if (field->kind == FIELD_NAMED)
        return decode_labelled(ctx, field, body, obj);
    r = find_only_block(ctx, body, field->hcl, &block);
    if (r < 0)
        return r;
    if (attr && block)
        return schema_fail(ctx, block->pos, -EINVAL,
                           "\"%s\" is set already at line %u column %u; keep one", field->hcl,
                           attr->pos.line, attr->pos.col);
    if ((attr && schema_is_block(field->kind)) ||
        (block && !schema_is_block(field->kind) && !schema_is_map(field->kind) &&
         !field->block_too))
        return 0; /* schema_check_names() has refused it */
    if (attr)
        return decode_attr(ctx, field, attr, obj);
    if (!block)
        return 0;
    if (field->kind == FIELD_BLOCK)
        return schema_decode(ctx, field->block,
                             (struct schema_source){.body = block->body, .pos = block->pos},
                             schema_member(obj, field->offset));
    return decode_map_block(ctx, field, block, obj);
}

static int decode_json_field(struct schema_context *ctx, const struct schema_field *field,
                             const json_t *json, void *obj)
{
    struct schema_source source = {.json = json};
    int r;

    if (field->kind == FIELD_BLOCKS)
        return (field->by_name ? decode_json_map : decode_json_blocks)(ctx, field, json, obj);
    if (field->kind == FIELD_BLOCK || field->kind == FIELD_NAMED) {
        if (!json_is_object(json))
            return fail_kind(ctx, source.pos, field->json, "an object", json);
        return schema_decode(ctx, field->block, source, schema_member(obj, field->offset));
    }
    if (is_deferred(ctx, field, json) && value_is_shallow(json))
        return store_deferred(field, json, obj);
    r = decode_value(ctx, field, json, source.pos, obj);
    return r < 0 ? r : run_check(ctx, field, obj, source);
}

/* ---- fields without effect ---- */

/* Keeps `json` (stolen), unless it asks for nothing. */
static int keep_inert(const struct schema_field *field, json_t *json, void *obj)
{
    json_t **all = schema_member(obj, field->offset);
    autojson json_t *neutral = field->neutral ? json_loads(field->neutral, 0, NULL) : NULL;
    autojson json_t *value = json;

    if (!value || (field->neutral && !neutral))
        return -ENOMEM;
    if (value_is_neutral(value, neutral))
        return 0;
    if (!*all)
        *all = json_object();
    return json_object_set(*all, field->json, value) < 0 ? -ENOMEM : 0;
}

static int decode_inert_attr(struct schema_context *ctx, const struct schema_field *field,
                             const struct hcl_attr *attr, void *obj)
{
    autojson json_t *json = value_from_hcl(&attr->value);
    int64_t ns;

    if (!json)
        return -ENOMEM;
    if (field->as != FIELD_DURATION)
        return keep_inert(field, take_ptr(json), obj);
    if (!json_is_string(json) || value_duration(json, &ns) < 0)
        return fail_kind(ctx, attr->value.pos, field->hcl, wanted_kind(field->as), json);
    return keep_inert(field, json_integer(ns), obj);
}

/* Read as the block it is, for its errors, and turned into the JSON that Nomad has for it. */
static int decode_inert_blocks(struct schema_context *ctx, const struct schema_field *field,
                               const struct hcl_body *body, void *obj)
{
    struct {
        void *array;
        size_t n;
    } read = {0};
    struct schema_field row = {.kind = FIELD_BLOCKS,
                               .hcl = field->hcl,
                               .json = field->json,
                               .count = sizeof(void *),
                               .block = field->block};
    int r = decode_hcl_blocks(ctx, &row, body, &read);
    json_t *list = r || !read.n ? NULL : schema_encode_blocks(field->block, read.array, read.n);

    if (!r && read.n)
        r = keep_inert(field, field->repeats || !list ? list : json_incref(json_array_get(list, 0)),
                       obj);
    if (!field->repeats)
        json_decref(list);
    for (size_t i = 0; i < read.n; i++)
        schema_deinit(field->block, (char *)read.array + i * field->block->size);
    free(read.array);
    return r;
}

static int decode_inert(struct schema_context *ctx, const struct schema_field *field,
                        struct schema_source source, void *obj)
{
    const json_t *json = source.json ? schema_json_get(source.json, field->json) : NULL;
    const struct hcl_attr *attr =
        source.body && field->hcl ? find_attr(source.body, field->hcl) : NULL;
    const struct hcl_block *only;
    int r = 0;

    if (json)
        return value_is_shallow(json) && !json_is_null(json)
                   ? keep_inert(field, value_copy(json), obj)
                   : 0;
    if (!source.body || !field->hcl)
        return 0;
    if (!field->block)
        return attr && attr->value.kind != HCL_NULL ? decode_inert_attr(ctx, field, attr, obj) : 0;
    if (!field->repeats)
        r = find_only_block(ctx, source.body, field->hcl, &only);
    return r ? r : decode_inert_blocks(ctx, field, source.body, obj);
}

static bool is_missing(const struct schema_field *field, const void *obj)
{
    void *at = schema_member(obj, field->offset);

    if (field->kind == FIELD_STRING)
        return **(char **)at == '\0';
    if (field->kind == FIELD_ENUM)
        return !*field->names[*(unsigned int *)at];
    return schema_is_map(field->kind) ? json_object_size(*(json_t **)at) == 0 : false;
}

static int check_required(struct schema_context *ctx, const struct schema *schema,
                          const struct schema_field *field, const void *obj, struct hcl_pos pos)
{
    if (!field->required || !is_missing(field, obj))
        return 0;
    if (!ctx->file)
        return schema_fail(ctx, pos, -EINVAL, "%s %s needs \"%s\"", schema_article(schema->what),
                           schema->what, field->json);
    if (!field->hcl)
        return schema_fail(ctx, pos, -EINVAL, "%s %s needs a name that is not empty",
                           schema_article(schema->what), schema->what);
    return schema_fail(ctx, pos, -EINVAL, "%s %s needs \"%s\"; add %s%s",
                       schema_article(schema->what), schema->what, field->hcl, field->hcl,
                       schema_is_map(field->kind) ? " { … }" : " = \"…\"");
}

static int decode_field(struct schema_context *ctx, const struct schema *schema,
                        const struct schema_field *field, struct schema_source source, void *obj)
{
    void *at = schema_member(obj, field->offset);
    bool is_label = source.body && schema->labelled && field == schema->fields;
    const json_t *json;
    size_t mark;
    int r = 0;

    if (field->kind == FIELD_POS)
        *(struct hcl_pos *)at = source.pos;
    else if (field->kind == FIELD_PRESENT)
        *(bool *)at = true;
    if (field->kind >= FIELD_LATER)
        return 0;
    if (field->kind == FIELD_INERT)
        return decode_inert(ctx, field, source, obj);
    if (source.body) {
        if (field->hcl)
            r = decode_hcl_field(ctx, field, source.body, obj);
        if (r == 0 && is_label && !is_missing(field, obj))
            r = run_check(ctx, field, obj, source);
    } else if (field->json && (json = schema_json_get(source.json, field->json)) &&
               !json_is_null(json)) {
        mark = schema_enter(ctx, "%s", field->json);
        r = decode_json_field(ctx, field, json, obj);
        schema_leave(ctx, mark);
    }
    return r < 0 ? r : check_required(ctx, schema, field, obj, source.pos);
}

int schema_decode(struct schema_context *ctx, const struct schema *schema,
                  struct schema_source source, void *obj)
{
    int r = schema_check_names(ctx, schema, source);

    for (size_t i = 0; schema_goes_on(ctx, r) && i < schema->n_fields; i++)
        r = first_of(r, decode_field(ctx, schema, &schema->fields[i], source, obj));
    return r;
}
