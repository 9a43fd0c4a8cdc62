/* SPDX-License-Identifier: MIT
 *
 * Files and directories. HCL is read with positions; JSON says what its HCL would, blocks being
 * objects, or, as Nomad's own habit has it, lists of objects: these are made one first.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "manager/config/config_tables.h"
#include "shared/cleanup.h"
#include "shared/hcl/hcl.h"
#include "shared/job/value.h"

enum {
    PATH_SIZE = 256 /* of the names around an option */
};

/* ---- what is known of a source beside its values ---- */

static void on_unused(struct schema_context *ctx, const struct schema *schema, const char *name,
                      struct hcl_pos pos)
{
    const struct config_context *context = container_of(ctx, struct config_context, schema);

    (void)schema;
    (void)json_array_append_new(
        context->config->unused,
        pos.line
            ? json_sprintf("%s (%s:%u)", name, context->file, pos.line)
            : json_sprintf("%s%s%s (%s)", ctx->path, *ctx->path ? "." : "", name, context->file));
}

void config_note_origin(const struct config_context *ctx, const char *path, unsigned int line)
{
    (void)json_object_set_new(ctx->config->origin, path,
                              line ? json_sprintf("%s:%u", ctx->file, line)
                                   : json_string(ctx->file));
}

static void note_hcl(const struct config_context *ctx, const struct hcl_body *body,
                     const char *around)
{
    char path[PATH_SIZE];

    for (size_t i = 0; i < body->n_attrs; i++) {
        (void)snprintf(path, sizeof(path), "%s%s", around, body->attrs[i].name);
        config_note_origin(ctx, path, body->attrs[i].pos.line);
    }
    for (size_t i = 0; i < body->n_blocks; i++) {
        const struct hcl_block *block = &body->blocks[i];
        bool labelled = block->n_labels != 0;

        (void)snprintf(path, sizeof(path), "%s%s", around, block->type);
        config_note_origin(ctx, path, block->pos.line);
        (void)snprintf(path, sizeof(path), "%s%s.%s%s", around, block->type,
                       labelled ? block->labels[0] : "", labelled ? "." : "");
        note_hcl(ctx, block->body, path);
    }
}

static void note_json(const struct config_context *ctx, const json_t *json, const char *around)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)json, key, value)
    {
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "%s%s", around, key);
        config_note_origin(ctx, path, 0);
        if (strlen(path) + 1 < sizeof(path))
            (void)strcat(path, ".");
        note_json(ctx, value, path);
    }
}

/* ---- JSON ---- */

/* A list of objects becomes one object in place. Others stay, for the decoder to refuse. */
static int join(json_t *parent, const char *key, json_t *list)
{
    autojson json_t *one = json_object();
    size_t i;
    json_t *item;

    if (!one)
        return -ENOMEM;
    json_array_foreach(list, i, item) if (!json_is_object(item)) return 0;
    json_array_foreach(list, i,
                       item) if (json_object_update_recursive(one, item) < 0) return -ENOMEM;
    return json_object_set(parent, key, one) < 0 ? -ENOMEM : 0;
}

static bool is_block(const struct schema_field *field)
{
    switch (field->kind) {
    case FIELD_BLOCK:
    case FIELD_NAMED:
    case FIELD_STRING_MAP:
        return true;
    case FIELD_BLOCKS:
        return field->by_name;
    default:
        return field->block_too;
    }
}

static int join_blocks(const struct schema *schema, json_t *json)
{
    int r = 0;

    for (size_t i = 0; !r && i < schema->n_fields; i++) {
        const struct schema_field *field = &schema->fields[i];
        json_t *value = field->json ? json_object_get(json, field->json) : NULL;
        const char *label;
        json_t *item;
        void *next;

        if (!value || !is_block(field))
            continue;
        if (json_array_size(value) && !(r = join(json, field->json, value)))
            value = json_object_get(json, field->json);
        if (!r && json_is_object(value) && field->block && field->kind != FIELD_BLOCKS)
            r = join_blocks(field->block, value);
        else if (!r && field->kind == FIELD_BLOCKS)
            json_object_foreach_safe(value, next, label, item) if (!r && json_array_size(item)) r =
                join(value, label, item);
    }
    return r;
}

static int load_json(struct config_context *ctx, struct err *e)
{
    json_error_t error;
    autojson json_t *json = json_load_file(ctx->file, JSON_REJECT_DUPLICATES, &error);
    int r;

    if (!json && error.line < 1)
        return err_set(e, -EINVAL, "reading %s: %s", ctx->file, error.text);
    if (!json)
        return err_set(e, -EINVAL, "%s:%d:%d: %s; a *.json file is one JSON object", ctx->file,
                       error.line, error.column, error.text);
    if (!json_is_object(json))
        return err_set(e, -EINVAL, "%s: a configuration is an object, not %s", ctx->file,
                       value_kind_name(json));
    ctx->decoded = true;
    r = join_blocks(&config_schema, json);
    if (!r)
        r = schema_decode(&ctx->schema, &config_schema, (struct schema_source){.json = json},
                          ctx->config);
    if (!r)
        note_json(ctx, json, "");
    return r;
}

/* ---- HCL ---- */

static int load_hcl(struct config_context *ctx, struct err *e)
{
    struct hcl_file *hcl = NULL;
    int r = hcl_parse_file(ctx->file, false, &hcl, e);

    if (r < 0)
        return r;
    ctx->schema.file = hcl;
    r = schema_decode(&ctx->schema, &config_schema,
                      (struct schema_source){.body = hcl->body, .pos = {.line = 1, .col = 1}},
                      ctx->config);
    if (!r)
        note_hcl(ctx, hcl->body, "");
    (void)hcl_file_free(hcl);
    return r;
}

/* ---- paths ---- */

static bool ends_in(const char *name, const char *suffix)
{
    size_t len = strlen(name), n = strlen(suffix);

    return len > n && strcmp(name + len - n, suffix) == 0;
}

/* JSON has no places: what is wrong with it gets the file's name instead. */
static void name_file(struct schema_problems *problems, size_t first, const char *path)
{
    for (size_t i = first; i < problems->n; i++) {
        char *named;

        if (asprintf(&named, "%s: %s", path, problems->texts[i]) < 0)
            return;
        free(problems->texts[i]);
        problems->texts[i] = named;
    }
}

static int load_file(struct config *config, const char *path, struct schema_problems *problems,
                     struct err *e)
{
    size_t before = problems ? problems->n : 0;
    struct err again, *first = before ? &again : e; /* `e` has the first of all files */
    bool is_json = ends_in(path, ".json");
    struct config_context ctx = {
        .schema = {.e = first, .problems = problems, .strict = true, .on_unused = on_unused},
        .config = config,
        .file = path,
    };
    int r = is_json ? load_json(&ctx, first) : load_hcl(&ctx, first);

    if (r == -ENOMEM)
        return err_sys(e, r, "reading %s", path);
    if (r && is_json && ctx.decoded)
        (void)err_wrap(first, "%s", path);
    if (r && problems && is_json && ctx.decoded)
        name_file(problems, before, path);
    if (r && problems && problems->n == before && first)
        schema_problems_add(problems, first->text);
    return r;
}

static int is_configuration(const struct dirent *entry)
{
    return entry->d_name[0] != '.' &&
           (ends_in(entry->d_name, ".hcl") || ends_in(entry->d_name, ".json"));
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int load_directory(struct config *config, const char *path, struct schema_problems *problems,
                          struct err *e)
{
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, is_configuration, by_name), r = 0;

    if (n < 0)
        return err_sys(e, -errno, "reading the configuration directory %s", path);
    if (n == 0)
        r = err_set(e, -ENOENT, "there is no *.hcl or *.json file in %s; add one or name a file",
                    path);
    for (int i = 0; i < n; i++) {
        bool goes_on = r == 0 || (problems && problems->n && r != -ENOMEM);
        autofree char *file = NULL;

        if (goes_on && asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0) {
            r = err_sys(e, -ENOMEM, "reading %s", path);
        } else if (goes_on) {
            int one = load_file(config, file, problems, e);

            r = one && r != -ENOMEM ? one : r;
        }
        free(entries[i]);
    }
    free(entries);
    return r;
}

int config_load(struct config *config, const char *path, struct schema_problems *problems,
                struct err *e)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return err_sys(e, -errno, "reading the configuration %s", path);
    return S_ISDIR(st.st_mode) ? load_directory(config, path, problems, e)
                               : load_file(config, path, problems, e);
}
