/* SPDX-License-Identifier: MIT
 *
 * What a table says about a struct in memory: its defaults, its JSON, its release. Every default is
 * text and goes through the same conversion as a value from a file. schema_deinit() works on any
 * prefix of schema_init()'s and schema_decode()'s work, because both only ever replace one owned
 * pointer by another.
 */
#include "shared/job/schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/job/schema_internal.h"

/* ---- messages ---- */

/* A policy that a group hands down to its tasks is wrong once. */
void schema_problems_add(struct schema_problems *problems, const char *text)
{
    if (problems->n == SCHEMA_PROBLEMS_MAX ||
        (problems->n && strcmp(problems->texts[problems->n - 1], text) == 0))
        return;
    problems->texts[problems->n] = strdup(text);
    problems->n += problems->texts[problems->n] != NULL;
}

int schema_fail(struct schema_context *ctx, struct hcl_pos pos, int code, const char *fmt, ...)
{
    struct err again, *e = ctx->problems && ctx->problems->n ? &again : ctx->e;
    char text[240];
    va_list ap;

    if (!e)
        return code;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (ctx->file)
        (void)hcl_error(e, ctx->file, pos, "%s", text);
    else if (ctx->path[0])
        (void)err_set(e, code, "%s: %s", ctx->path, text);
    else
        (void)err_set(e, code, "%s", text);
    e->code = code;
    if (ctx->problems)
        schema_problems_add(ctx->problems, e->text);
    return code;
}

bool schema_goes_on(const struct schema_context *ctx, int r)
{
    return r == 0 || (ctx->problems && ctx->problems->n > 0 &&
                      ctx->problems->n < SCHEMA_PROBLEMS_MAX && r != -ENOMEM);
}

void schema_problems_deinit(struct schema_problems *problems)
{
    while (problems->n)
        free(problems->texts[--problems->n]);
}

size_t schema_enter(struct schema_context *ctx, const char *fmt, ...)
{
    size_t mark = strlen(ctx->path), n = mark;
    va_list ap;

    if (mark && fmt[0] != '[' && n < sizeof(ctx->path) - 1)
        ctx->path[n++] = '.';
    va_start(ap, fmt);
    (void)vsnprintf(ctx->path + n, sizeof(ctx->path) - n, fmt, ap);
    va_end(ap);
    return mark;
}

void schema_leave(struct schema_context *ctx, size_t mark)
{
    ctx->path[mark] = '\0';
}

/* ---- defaults ---- */

static int name_index(const char *const *names, const char *name)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return 0;
}

static int init_strings(const char *only, char ***ret)
{
    char **strings = calloc(2, sizeof(*strings));

    if (!strings)
        return -ENOMEM;
    *ret = strings;
    if (only && !(strings[0] = strdup(only)))
        return -ENOMEM;
    return 0;
}

static int init_field(const struct schema_field *field, void *at)
{
    autojson json_t *def = json_string(field->def ? field->def : "");

    if (!def)
        return -ENOMEM;
    switch (field->kind) {
    case FIELD_STRING:
        return value_text(def, at);
    case FIELD_BOOL:
        return field->def ? value_bool(def, at) : 0;
    case FIELD_INT:
        return field->def ? value_int(def, at) : 0;
    case FIELD_DURATION:
        if (field->def && value_int(def, at) < 0) /* "-1" marks an unset one */
            return value_duration(def, at);
        return 0;
    case FIELD_SIZE:
        return field->def ? value_size(def, at) : 0;
    case FIELD_ENUM:
        *(unsigned int *)at = field->def ? (unsigned int)name_index(field->names, field->def) : 0;
        return 0;
    case FIELD_STRINGS:
        return init_strings(field->def, at);
    case FIELD_STRING_MAP:
    case FIELD_FREE_MAP:
        return (*(json_t **)at = json_object()) ? 0 : -ENOMEM;
    case FIELD_BLOCK:
    case FIELD_NAMED:
        return schema_init(field->block, at);
    default:
        return 0;
    }
}

int schema_init(const struct schema *schema, void *obj)
{
    memset(obj, 0, schema->size);
    for (size_t i = 0; i < schema->n_fields; i++) {
        const struct schema_field *field = &schema->fields[i];
        int r = init_field(field, schema_member(obj, field->offset));

        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- release ---- */

static void deinit_field(const struct schema_field *field, void *obj)
{
    void *at = schema_member(obj, field->offset);

    switch (field->kind) {
    case FIELD_STRING:
        free(*(char **)at);
        break;
    case FIELD_STRINGS:
        value_free_strings(*(char ***)at);
        break;
    case FIELD_STRING_MAP:
    case FIELD_FREE_MAP:
    case FIELD_ANY:
        json_decref(*(json_t **)at);
        break;
    case FIELD_INERT: /* the first of those that share it */
        json_decref(*(json_t **)at);
        *(json_t **)at = NULL;
        break;
    case FIELD_BLOCK:
    case FIELD_NAMED:
        schema_deinit(field->block, at);
        break;
    case FIELD_BLOCKS:
        for (size_t i = 0; i < *(size_t *)schema_member(obj, field->count); i++)
            schema_deinit(field->block, *(char **)at + i * field->block->size);
        free(*(void **)at);
        break;
    default:
        break;
    }
}

void schema_deinit(const struct schema *schema, void *obj)
{
    for (size_t i = 0; i < schema->n_fields; i++)
        deinit_field(&schema->fields[i], obj);
    memset(obj, 0, schema->size);
}

/* ---- JSON ---- */

static json_t *encode_strings(char **strings)
{
    autojson json_t *array = json_array();

    for (; *strings; strings++)
        if (json_array_append_new(array, json_string(*strings)) < 0)
            return NULL;
    return take_ptr(array);
}

json_t *schema_encode_blocks(const struct schema *schema, const char *first, size_t n)
{
    autojson json_t *array = json_array();

    for (size_t i = 0; i < n; i++)
        if (json_array_append_new(array, schema_encode(schema, first + i * schema->size)) < 0)
            return NULL;
    return take_ptr(array);
}

static json_t *encode_by_name(const struct schema *schema, const char *first, size_t n)
{
    autojson json_t *map = json_object();

    for (size_t i = 0; i < n; i++) {
        const char *element = first + i * schema->size;
        const char *name = *(char **)schema_member(element, schema->fields[0].offset);

        if (json_object_set_new(map, name, schema_encode(schema, element)) < 0)
            return NULL;
    }
    return take_ptr(map);
}

/* Whether the block was written. */
static bool is_present(const struct schema *schema, const void *obj)
{
    for (size_t i = 0; i < schema->n_fields; i++)
        if (schema->fields[i].kind == FIELD_PRESENT)
            return *(bool *)schema_member(obj, schema->fields[i].offset);
    return true;
}

static const json_t *inert_value(const struct schema_field *field, const void *obj)
{
    return json_object_get(*(json_t **)schema_member(obj, field->offset), field->json);
}

static json_t *encode_field(const struct schema_field *field, const void *obj)
{
    void *at = schema_member(obj, field->offset);

    if (field->optional && !is_present(field->block, at))
        return json_null();
    switch (field->kind) {
    case FIELD_STRING:
        return json_string(*(char **)at);
    case FIELD_BOOL:
        return json_boolean(*(bool *)at);
    case FIELD_INT:
    case FIELD_DURATION:
    case FIELD_SIZE:
        return json_integer(*(int64_t *)at);
    case FIELD_ENUM:
        return json_string(field->names[*(unsigned int *)at]);
    case FIELD_STRINGS:
        return encode_strings(*(char ***)at);
    case FIELD_BLOCK:
    case FIELD_NAMED:
        return schema_encode(field->block, at);
    case FIELD_BLOCKS:
        return (field->by_name ? encode_by_name : schema_encode_blocks)(
            field->block, *(char **)at, *(size_t *)schema_member(obj, field->count));
    case FIELD_INERT:
        return value_copy(inert_value(field, obj));
    default:
        return *(json_t **)at ? value_copy(*(json_t **)at) : json_null();
    }
}

static bool is_zero(const struct schema_field *field, const void *obj)
{
    if (field->kind == FIELD_ENUM)
        return !*(unsigned int *)schema_member(obj, field->offset);
    if (field->kind == FIELD_STRING)
        return !**(char **)schema_member(obj, field->offset);
    if (field->kind == FIELD_BOOL)
        return !*(bool *)schema_member(obj, field->offset);
    if (field->kind == FIELD_BLOCKS)
        return !*(size_t *)schema_member(obj, field->count);
    return !*(int64_t *)schema_member(obj, field->offset);
}

static bool asks_for_sparse(const struct schema *schema, const void *obj)
{
    for (size_t i = 0; i < schema->n_fields; i++)
        if (schema->fields[i].sparse && !is_zero(&schema->fields[i], obj))
            return true;
    return false;
}

void schema_each_inert(const struct schema *schema, const void *obj,
                       void (*each)(void *arg, const struct schema_field *field), void *arg)
{
    for (size_t i = 0; i < schema->n_fields; i++)
        if (schema->fields[i].kind == FIELD_INERT && inert_value(&schema->fields[i], obj))
            each(arg, &schema->fields[i]);
}

json_t *schema_encode(const struct schema *schema, const void *obj)
{
    autojson json_t *object = json_object();
    bool all = asks_for_sparse(schema, obj);

    for (size_t i = 0; i < schema->n_fields; i++) {
        const struct schema_field *field = &schema->fields[i];

        if (field->kind == FIELD_INERT && !inert_value(field, obj))
            continue;
        if (field->json && field->kind < FIELD_LATER && (all || !field->sparse) &&
            json_object_set_new(object, field->json, encode_field(field, obj)) < 0)
            return NULL;
    }
    return take_ptr(object);
}
