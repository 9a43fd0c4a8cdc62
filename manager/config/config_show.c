/* SPDX-License-Identifier: MIT
 *
 * What is in effect, as a file that could be read again: each option in the order of the tables,
 * with where it was set. And what differs between two configurations, by the same names.
 */
#include <stdlib.h>
#include <string.h>

#include "manager/config/config_tables.h"
#include "shared/cleanup.h"
#include "shared/job/value.h"
#include "shared/units.h"

enum {
    PATH_SIZE = 256,
    COMMENT_COLUMN = 48,
};

struct printer {
    FILE *out;
    const struct config *config;
    int depth;
};

/* "around.name" with `after` behind it; cut where it is too long, which only loses where it is
 * from. */
static void join(char buf[PATH_SIZE], const char *around, const char *name, const char *after)
{
    const char *dot = *around && around[strlen(around) - 1] != '.' ? "." : "";

    if (snprintf(buf, PATH_SIZE, "%s%s%s%s", around, dot, name, after) >= PATH_SIZE)
        buf[PATH_SIZE - 1] = '\0';
}

static void indent(const struct printer *p)
{
    (void)fprintf(p->out, "%*s", 2 * p->depth, "");
}

static void put_text(FILE *out, const char *text)
{
    autojson json_t *json = json_string(text);
    autofree char *quoted = json_dumps(json, JSON_ENCODE_ANY);

    (void)fputs(quoted ? quoted : "\"\"", out);
}

static void put_list(FILE *out, char *const *strings)
{
    (void)fputc('[', out);
    for (size_t i = 0; strings[i]; i++) {
        (void)fputs(i ? ", " : "", out);
        put_text(out, strings[i]);
    }
    (void)fputc(']', out);
}

/* The value of one row, on one line. */
static void put_value(FILE *out, const struct schema_field *field, const void *at)
{
    autofree char *text = NULL;
    char buf[32];

    switch (field->kind) {
    case FIELD_STRING:
        if (field->secret && **(char *const *)at)
            (void)fputs("\"(not shown)\"", out);
        else
            put_text(out, *(char *const *)at);
        break;
    case FIELD_BOOL:
        (void)fputs(*(const bool *)at ? "true" : "false", out);
        break;
    case FIELD_DURATION:
        put_text(out, duration_format((uint64_t) * (const int64_t *)at, buf, sizeof(buf)));
        break;
    case FIELD_ENUM:
        put_text(out, field->names[*(const unsigned int *)at]);
        break;
    case FIELD_STRINGS:
        put_list(out, *(char *const *const *)at);
        break;
    case FIELD_ANY:
        text = json_dumps(*(json_t *const *)at, JSON_ENCODE_ANY);
        (void)fputs(text ? text : "null", out);
        break;
    default:
        (void)fprintf(out, "%lld", (long long)*(const int64_t *)at);
    }
}

static void put_option(const struct printer *p, const char *path, const char *name,
                       const char *value)
{
    const char *origin = json_string_value(json_object_get(p->config->origin, path));
    autofree char *line = NULL;

    if (asprintf(&line, "%*s%s = %s", 2 * p->depth, "", name, value) < 0)
        return;
    (void)fprintf(p->out, "%-*s # %s\n", COMMENT_COLUMN, line, origin ? origin : "default");
}

static void print_map(struct printer *p, const json_t *map, const char *path, const char *name)
{
    const char *key;
    json_t *value;

    if (!json_object_size(map))
        return;
    indent(p);
    (void)fprintf(p->out, "%s {\n", name);
    p->depth++;
    json_object_foreach((json_t *)map, key, value)
    {
        autojson json_t *quoted_key = json_string(key);
        autofree char *label = json_dumps(quoted_key, JSON_ENCODE_ANY);
        autofree char *text = json_dumps(value, JSON_ENCODE_ANY);
        char at[PATH_SIZE];

        join(at, path, key, "");
        put_option(p, at, label, text);
    }
    p->depth--;
    indent(p);
    (void)fputs("}\n", p->out);
}

static void print_block(struct printer *p, const struct schema *schema, const void *obj,
                        const char *around);

static void print_elements(struct printer *p, const struct schema_field *field, const void *obj,
                           const char *path)
{
    const char *element = *(char *const *)((const char *)obj + field->offset);
    size_t n = *(const size_t *)((const char *)obj + field->count);

    for (size_t i = 0; i < n; i++, element += field->block->size) {
        const char *label = *(char *const *)(element + field->block->fields[0].offset);
        char at[PATH_SIZE];

        join(at, path, label, ".");
        indent(p);
        (void)fprintf(p->out, "%s ", field->hcl);
        put_text(p->out, label);
        (void)fputs(" {\n", p->out);
        p->depth++;
        print_block(p, field->block, element, at);
        p->depth--;
        indent(p);
        (void)fputs("}\n", p->out);
    }
}

/* Each field of the block is one labelled block. */
static void print_named(struct printer *p, const struct schema_field *field, const void *obj,
                        const char *path)
{
    for (size_t i = 0; i < field->block->n_fields; i++) {
        const struct schema_field *one = &field->block->fields[i];
        char at[PATH_SIZE];

        if (one->kind != FIELD_BLOCK)
            continue;
        join(at, path, one->hcl, ".");
        indent(p);
        (void)fprintf(p->out, "%s \"%s\" {\n", field->hcl, one->hcl);
        p->depth++;
        print_block(p, one->block, (const char *)obj + field->offset + one->offset, at);
        p->depth--;
        indent(p);
        (void)fputs("}\n", p->out);
    }
}

/* What is empty, and would be refused or be another thing if it were written. */
static bool is_unset(const struct schema_field *field, const void *obj)
{
    const void *at = (const char *)obj + field->offset;

    return (field->kind == FIELD_STRING && !**(char *const *)at) ||
           (field->kind == FIELD_ANY && !*(json_t *const *)at) ||
           (field->kind == FIELD_INT && field->min > 0 && !*(const int64_t *)at);
}

/* What was written is not all there is of these. New reference. */
static json_t *in_effect(const struct config *config, json_t *map)
{
    json_t *all;

    if (map == config->written.options)
        return config_options_in_effect(config);
    if (map != config->written.chroot_env)
        return json_incref(map);
    all = json_object();
    for (size_t i = 0; i < config->n_chroot_env; i++)
        (void)json_object_set_new(all, config->chroot_env[i].source,
                                  json_string(config->chroot_env[i].target));
    return all;
}

static bool has_rows(const struct schema *schema, const void *obj)
{
    for (size_t i = 0; i < schema->n_fields; i++)
        if (schema->fields[i].kind < FIELD_LATER && !is_unset(&schema->fields[i], obj))
            return true;
    return false;
}

static void print_field(struct printer *p, const struct schema_field *field, const void *obj,
                        const char *path)
{
    const void *at = (const char *)obj + field->offset;
    autofree char *value = NULL;
    char inside[PATH_SIZE];
    json_t *map;
    size_t size;
    FILE *out;

    switch (field->kind) {
    case FIELD_BLOCK:
        if (!has_rows(field->block, at))
            return;
        join(inside, path, "", "");
        indent(p);
        (void)fprintf(p->out, "%s {\n", field->hcl);
        p->depth++;
        print_block(p, field->block, at, inside);
        p->depth--;
        indent(p);
        (void)fputs("}\n", p->out);
        return;
    case FIELD_BLOCKS:
        print_elements(p, field, obj, path);
        return;
    case FIELD_NAMED:
        print_named(p, field, obj, path);
        return;
    case FIELD_STRING_MAP:
        map = in_effect(p->config, *(json_t *const *)at);
        print_map(p, map, path, field->hcl);
        json_decref(map);
        return;
    default:
        break;
    }
    out = open_memstream(&value, &size);
    if (!out)
        return;
    put_value(out, field, at);
    if (fclose(out) == 0)
        put_option(p, path, field->hcl, value);
}

static void print_block(struct printer *p, const struct schema *schema, const void *obj,
                        const char *around)
{
    for (size_t i = 0; i < schema->n_fields; i++) {
        const struct schema_field *field = &schema->fields[i];
        char path[PATH_SIZE];

        if (!field->hcl || field->kind >= FIELD_LATER || is_unset(field, obj))
            continue;
        join(path, around, field->hcl, "");
        print_field(p, field, obj, path);
    }
}

int config_print(const struct config *config, FILE *out)
{
    struct printer p = {.out = out, .config = config};

    print_block(&p, &config_schema, config, "");
    (void)fputs("# The API listens at:", out);
    for (char **address = config->addresses; address && *address; address++)
        (void)fprintf(out, " %s", *address);
    (void)fputc('\n', out);
    return ferror(out) ? -1 : 0;
}

/* ---- what differs ---- */

/* Appends the ways to the leaves that are not the same. */
static void differences(const json_t *a, const json_t *b, const char *path, json_t *ret)
{
    const char *key;
    json_t *item;
    char inside[PATH_SIZE];

    if (json_equal(a, b))
        return;
    if (!json_is_object(a) || !json_is_object(b)) {
        (void)json_array_append_new(ret, json_string(path));
        return;
    }
    json_object_foreach((json_t *)a, key, item)
    {
        join(inside, path, key, "");
        differences(item, json_object_get(b, key), inside, ret);
    }
    json_object_foreach((json_t *)b, key, item) if (!json_object_get(a, key))
    {
        join(inside, path, key, "");
        (void)json_array_append_new(ret, json_string(inside));
    }
}

/* Those that stand as long as the manager runs: running tasks, open sockets and records rest on
 * them. */
static bool is_fixed(const char *path)
{
    static const char *const fixed[] = {"data_dir",   "addresses",        "bind_addr",
                                        "ports.http", "client.alloc_dir", "client.cgroup_parent"};

    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        if (strcmp(path, fixed[i]) == 0)
            return true;
    return false;
}

#define SWAP(a, b)                                                                                 \
    do {                                                                                           \
        __typeof__(a) swap_ = (a);                                                                 \
        (a) = (b);                                                                                 \
        (b) = swap_;                                                                               \
    } while (0)

void config_replace(struct config *config, struct config *fresh, json_t **ret_changed,
                    json_t **ret_fixed)
{
    autojson json_t *before = schema_encode(&config_schema, config);
    autojson json_t *after = schema_encode(&config_schema, fresh);
    autojson json_t *all = json_array();
    size_t i;
    json_t *path;

    *ret_changed = json_array();
    *ret_fixed = json_array();
    differences(before, after, "", all);
    json_array_foreach(all, i, path)(void)
        json_array_append(is_fixed(json_string_value(path)) ? *ret_fixed : *ret_changed, path);
    SWAP(*config, *fresh);
    SWAP(config->data_dir, fresh->data_dir);
    SWAP(config->alloc_dir, fresh->alloc_dir);
    SWAP(config->addresses, fresh->addresses);
    SWAP(config->written.addresses, fresh->written.addresses);
    SWAP(config->written.bind_addr, fresh->written.bind_addr);
    SWAP(config->written.http_port, fresh->written.http_port);
    SWAP(config->cgroup_parent, fresh->cgroup_parent);
}
