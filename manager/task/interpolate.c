/* SPDX-License-Identifier: MIT
 *
 * One pass from left to right: what a reference was replaced by is not looked at again.
 */
#include "manager/task/interpolate.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"

#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static const char *find_node(const struct interpolation *in, const char *name)
{
    const struct {
        const char *name;
        const char *value;
    } node[] = {
        {"node.unique.id", in->node_id},
        {"node.unique.name", in->config->name},
        {"node.datacenter", in->config->datacenter},
        {"node.region", in->config->region},
        {"node.class", ""},
        {"node.pool", "default"},
    };

    for (size_t i = 0; i < ARRAY_LEN(node); i++)
        if (strcmp(name, node[i].name) == 0)
            return node[i].value;
    return NULL;
}

const char *interpolate_find(const struct interpolation *in, const char *name)
{
    char inner[256];
    int used = 0;

    if (sscanf(name, "env[\"%255[^\"]\"]%n", inner, &used) == 1 && used && !name[used])
        return text_of(in->vars, inner);
    if (strncmp(name, "attr.", 5) == 0)
        return text_of(in->attributes, name + 5);
    if (strncmp(name, "meta.", 5) == 0)
        return text_of(in->config->meta, name + 5);
    if (strncmp(name, "node.", 5) == 0)
        return find_node(in, name);
    return text_of(in->vars, name);
}

/* What stands in the braces of the "${…}" at `at`, malloc'ed; NULL if they do not close. */
static char *reference_at(const char *at)
{
    const char *end = strchr(at, '}');
    char *name = end ? strndup(at + 2, (size_t)(end - at - 2)) : NULL;

    if (end && !name)
        abort();
    return name;
}

/* Writes the value of the "${…}" at `at` and returns what follows. */
static const char *put_reference(const struct interpolation *in, const char *at, FILE *out)
{
    autofree char *name = reference_at(at);
    const char *value = name ? interpolate_find(in, name) : NULL;

    (void)fputs(value ? value : "${", out);
    return value ? at + 3 + strlen(name) : at + 2;
}

/* The same for "$NAME". */
static const char *put_bare(const struct interpolation *in, const char *at, FILE *out)
{
    size_t len = strspn(at + 1, NAME_CHARS);
    autofree char *name = strndup(at + 1, len);
    const char *value;

    if (!name)
        abort();
    value = text_of(in->vars, name);
    (void)fprintf(out, "%s%s", value ? "" : "$", value ? value : name);
    return at + 1 + len;
}

static char *expand(const struct interpolation *in, const char *text, bool bare, struct bag *bag)
{
    autofree char *expanded = NULL;
    size_t size;
    FILE *out;

    if (!strchr(text, '$'))
        return bag_strdup(bag, text);
    out = open_memstream(&expanded, &size);
    if (!out)
        abort();
    while (*text) {
        if (strncmp(text, "$${", 3) == 0) {
            (void)fputs("${", out);
            text += 3;
        } else if (strncmp(text, "${", 2) == 0) {
            text = put_reference(in, text, out);
        } else if (bare && *text == '$') {
            text = put_bare(in, text, out);
        } else {
            (void)fputc(*text++, out);
        }
    }
    if (fclose(out))
        abort();
    return bag_strdup(bag, expanded);
}

char *interpolate(const struct interpolation *in, const char *text, struct bag *bag)
{
    return expand(in, text, false, bag);
}

char *interpolate_legacy(const struct interpolation *in, const char *text, struct bag *bag)
{
    return expand(in, text, true, bag);
}

json_t *interpolate_json(const struct interpolation *in, const json_t *json)
{
    autobag struct bag bag = BAG_INIT;
    const char *key;
    json_t *item, *copy;
    size_t i;

    if (json_is_string(json))
        return json_string_nocheck(interpolate(in, json_string_value(json), &bag));
    if (!json_is_array(json) && !json_is_object(json))
        return json_incref((json_t *)json);
    copy = json_is_array(json) ? json_array() : json_object();
    json_array_foreach(json, i, item)
    {
        (void)json_array_append_new(copy, interpolate_json(in, item));
    }
    json_object_foreach((json_t *)json, key, item)
    {
        (void)json_object_set_new_nocheck(copy, key, interpolate_json(in, item));
    }
    return copy;
}

void interpolate_references(const char *text, void (*each)(void *arg, const char *name), void *arg)
{
    for (const char *at = text; (at = strstr(at, "${")); at += 2) {
        autofree char *name = reference_at(at);

        if (name && (at == text || at[-1] != '$'))
            each(arg, name);
    }
}
