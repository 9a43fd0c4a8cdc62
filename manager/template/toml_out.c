/* SPDX-License-Identifier: MIT
 *
 * TOML as consul-template's library writes it: of each table first what is no table, both in the
 * order of their keys; tables in tables are indented; a list of nothing but maps is a list of
 * tables, any other is written in one line with its maps inline. Keys without a value are left out.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "manager/template/engine.h"
#include "shared/cleanup.h"
#include "shared/text/real.h"

enum {
    MAX_NESTED = 64
};

struct path {
    const struct path *outer;
    const char *key;
    unsigned int depth; /* 1: at the top */
};

struct writer {
    struct call *c;
    struct text *out;
};

static bool is_table_list(const json_t *value)
{
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!json_is_object(json_array_get(value, i)))
            return false;
    return json_array_size(value) > 0;
}

static int put_quoted(struct text *out, const char *bytes, size_t size)
{
    static const char names[] = "btnfr\"\\", values[] = "\b\t\n\f\r\"\\";
    int r = text_puts(out, "\"");

    for (size_t i = 0; !r && i < size; i++) {
        unsigned char c = (unsigned char)bytes[i];
        const char *name = c ? strchr(values, c) : NULL;

        if (name)
            r = text_printf(out, "\\%c", names[name - values]);
        else if (c < 0x20 || c == 0x7f)
            r = text_printf(out, "\\u%04x", c);
        else
            r = text_add(out, &bytes[i], 1);
    }
    return r ? r : text_puts(out, "\"");
}

static int put_key(struct text *out, const char *key)
{
    static const char bare[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

    if (*key && !key[strspn(key, bare)])
        return text_puts(out, key);
    return put_quoted(out, key, strlen(key));
}

static int put_path(struct text *out, const struct path *path)
{
    int r = path->outer ? put_path(out, path->outer) : 0;

    if (!r && path->outer)
        r = text_puts(out, ".");
    return r ? r : put_key(out, path->key);
}

static int new_line(struct text *out)
{
    return out->size ? text_puts(out, "\n") : 0;
}

static int put_value(const struct writer *w, const json_t *value, unsigned int depth);

static int put_inline_map(const struct writer *w, const json_t *map, unsigned int depth)
{
    autofree const char **keys = value_keys(map);
    int r = keys ? text_puts(w->out, "{") : -ENOMEM;
    bool first = true;

    for (int tables = 0; tables < 2 && !r; tables++)
        for (size_t i = 0; !r && keys[i]; i++) {
            const json_t *item = json_object_get(map, keys[i]);

            if (value_is_nil(item) || (json_is_object(item) || is_table_list(item)) != tables)
                continue;
            if (!first)
                r = text_puts(w->out, ", ");
            first = false;
            if (!r)
                r = put_key(w->out, keys[i]);
            if (!r)
                r = text_puts(w->out, " = ");
            if (!r)
                r = put_value(w, item, depth + 1);
        }
    return r ? r : text_puts(w->out, "}");
}

static int put_list(const struct writer *w, const json_t *list, unsigned int depth)
{
    int r = text_puts(w->out, "[");

    for (size_t i = 0; !r && i < json_array_size(list); i++) {
        if (i)
            r = text_puts(w->out, ", ");
        if (!r)
            r = put_value(w, json_array_get(list, i), depth + 1);
    }
    return r ? r : text_puts(w->out, "]");
}

static int put_real(const struct writer *w, double real)
{
    char buf[512];

    if (fabs(real) >= 1e17)
        (void)snprintf(buf, sizeof(buf), "%.0f", real);
    else
        format_real(real, -32, 21, buf);
    if (!strchr(buf, '.'))
        (void)strcat(buf, ".0");
    return text_puts(w->out, buf);
}

static int put_value(const struct writer *w, const json_t *value, unsigned int depth)
{
    int r = eval_step(w->c->ev, 1);

    if (r)
        return r;
    if (depth > MAX_NESTED)
        return call_fail(w->c, "the value nests deeper than %d", MAX_NESTED);
    if (value_is_nil(value))
        return call_fail(w->c, "TOML has no lists with nothing in them");
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return put_inline_map(w, value, depth);
    case JSON_ARRAY:
        return put_list(w, value, depth);
    case JSON_STRING:
        return put_quoted(w->out, json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
        return text_printf(w->out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    case JSON_REAL:
        return put_real(w, json_real_value(value));
    default:
        return text_puts(w->out, json_is_true(value) ? "true" : "false");
    }
}

static int put_table(const struct writer *w, const struct path *path, const json_t *map);

/* "[a.b]" or "[[a.b]]" and what is in it. */
static int put_headed(const struct writer *w, const struct path *path, const char *open,
                      const char *close, const json_t *map)
{
    int r = text_repeat(w->out, ' ', 2 * (size_t)(path->depth - 1));

    if (!r)
        r = text_puts(w->out, open);
    if (!r)
        r = put_path(w->out, path);
    if (!r)
        r = text_puts(w->out, close);
    if (!r)
        r = new_line(w->out);
    return r ? r : put_table(w, path, map);
}

static int put_item(const struct writer *w, const struct path *path, const json_t *item)
{
    int r = 0;

    if (json_is_object(item)) {
        if (path->depth == 1)
            r = new_line(w->out);
        return r ? r : put_headed(w, path, "[", "]", item);
    }
    if (is_table_list(item)) {
        for (size_t i = 0; !r && i < json_array_size(item); i++) {
            r = new_line(w->out);
            if (!r)
                r = put_headed(w, path, "[[", "]]", json_array_get(item, i));
        }
        return r;
    }
    r = text_repeat(w->out, ' ', 2 * (size_t)(path->depth - 1));
    if (!r)
        r = put_key(w->out, path->key);
    if (!r)
        r = text_puts(w->out, " = ");
    if (!r)
        r = put_value(w, item, path->depth);
    return r ? r : new_line(w->out);
}

static int put_table(const struct writer *w, const struct path *path, const json_t *map)
{
    struct path inner = {.outer = path, .depth = path ? path->depth + 1 : 1};
    autofree const char **keys = value_keys(map);
    int r = keys ? eval_step(w->c->ev, 1) : -ENOMEM;

    if (!r && inner.depth > MAX_NESTED)
        r = call_fail(w->c, "the value nests deeper than %d", MAX_NESTED);
    for (int tables = 0; tables < 2 && !r; tables++)
        for (size_t i = 0; !r && keys[i]; i++) {
            const json_t *item = json_object_get(map, keys[i]);

            inner.key = keys[i];
            if (!value_is_nil(item) && (json_is_object(item) || is_table_list(item)) == tables)
                r = put_item(w, &inner, item);
        }
    return r;
}

int toml_write(struct call *c, struct text *out, const json_t *map)
{
    const struct writer w = {c, out};

    return put_table(&w, NULL, map);
}
