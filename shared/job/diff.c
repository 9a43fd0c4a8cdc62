/* SPDX-License-Identifier: MIT
 *
 * Walks the JSON of both, so every field of a job's tables is compared without a line here. What is
 * plain becomes a field; an object becomes one of its own; of a list of objects those that have a
 * name are compared by it, and others are there or not.
 */
#include "shared/job/diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/job/value.h"

struct parts {
    json_t *fields, *objects;
    bool edited;
};

static void walk(struct parts *parts, const json_t *from, const json_t *to,
                 const char *const *without, bool context);

static bool is_object(const json_t *a, const json_t *b)
{
    return json_is_object(a) || (json_is_object(b) && !a);
}

static bool is_array(const json_t *a, const json_t *b)
{
    return json_is_array(a) || (json_is_array(b) && !a);
}

static const char *type_of(const json_t *from, const json_t *to)
{
    return !from ? "Added" : !to ? "Deleted" : "Edited";
}

static char *text_of(const json_t *value)
{
    char *text = NULL;

    if (!value || json_is_null(value) || value_text(value, &text) < 0)
        text = strdup("");
    if (!text)
        abort();
    return text;
}

/* `context`: also what is the same. */
static void add_field(struct parts *parts, const char *name, const json_t *from, const json_t *to,
                      bool context)
{
    autofree char *old = text_of(from), *new = text_of(to);
    bool same = strcmp(old, new) == 0;
    const char *type = same ? "None" : !*old ? "Added" : !*new ? "Deleted" : "Edited";

    if (same && (!context || !*old))
        return;
    parts->edited |= !same;
    (void)json_array_append_new(parts->fields,
                                json_pack("{s:s, s:s, s:s, s:s, s:n}", "Type", type, "Name", name,
                                          "Old", old, "New", new, "Annotations"));
}

static json_t *finish(const char *name, const json_t *from, const json_t *to, struct parts *parts)
{
    const char *type = !from == !to && !parts->edited ? "None" : type_of(from, to);

    return json_pack("{s:s, s:s, s:o, s:o}", "Type", type, "Name", name, "Fields", parts->fields,
                     "Objects", parts->objects);
}

static void add_object(struct parts *parts, const char *name, const json_t *from, const json_t *to,
                       struct parts *of)
{
    parts->edited = true;
    (void)json_array_append_new(parts->objects, finish(name, from, to, of));
}

static struct parts parts_new(void)
{
    return (struct parts){.fields = json_array(), .objects = json_array()};
}

static void parts_drop(struct parts *parts)
{
    json_decref(parts->fields);
    json_decref(parts->objects);
}

/* "args[0]", "port_map[0][db]": all that is below `name`, as fields. */
static void flatten(json_t *flat, const char *name, const json_t *value)
{
    const char *key;
    json_t *item;
    size_t i;

    if (!json_is_object(value) && !json_is_array(value)) {
        (void)json_object_set(flat, name, (json_t *)value);
        return;
    }
    json_object_foreach((json_t *)value, key, item)
    {
        autofree char *below = NULL;

        if (asprintf(&below, *name ? "%s[%s]" : "%s%s", name, key) < 0)
            abort();
        flatten(flat, below, item);
    }
    json_array_foreach(value, i, item)
    {
        autofree char *below = NULL;

        if (asprintf(&below, "%s[%zu]", name, i) < 0)
            abort();
        flatten(flat, below, item);
    }
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys of both, sorted, each once; NULL-terminated. They belong to the objects. */
static const char **keys_of(const json_t *from, const json_t *to)
{
    const char **keys = calloc(json_object_size(from) + json_object_size(to) + 1, sizeof(*keys));
    const char *key;
    json_t *value;
    size_t n = 0;

    if (!keys)
        abort();
    json_object_foreach((json_t *)from, key, value) keys[n++] = key;
    json_object_foreach((json_t *)to, key, value) if (!json_object_get(from, key)) keys[n++] = key;
    qsort(keys, n, sizeof(*keys), compare_names);
    return keys;
}

static void diff_flat(struct parts *parts, const char *prefix, const json_t *from, const json_t *to,
                      bool context)
{
    autojson json_t *a = json_object(), *b = json_object();
    autofree const char **keys = NULL;

    flatten(a, prefix, from);
    flatten(b, prefix, to);
    keys = keys_of(a, b);
    for (size_t i = 0; keys[i]; i++)
        add_field(parts, keys[i], json_object_get(a, keys[i]), json_object_get(b, keys[i]),
                  context);
}

/* "Constraints" is a list of "Constraint", "Affinities" of "Affinity". */
static void singular(const char *name, char *buf, size_t size)
{
    size_t n = strlen(name);

    if (n > 3 && strcmp(name + n - 3, "ies") == 0)
        (void)snprintf(buf, size, "%.*sy", (int)(n - 3), name);
    else
        (void)snprintf(buf, size, "%.*s", (int)(n && name[n - 1] == 's' ? n - 1 : n), name);
}

static void diff_object(struct parts *parts, const char *name, const json_t *from, const json_t *to)
{
    struct parts below = parts_new();

    if (strcmp(name, "Config") == 0)
        diff_flat(&below, "", from, to, true);
    else
        walk(&below, from, to, (const char *const[]){NULL}, true);
    if (below.edited || !from != !to)
        add_object(parts, name, from, to, &below);
    else
        parts_drop(&below);
}

static const json_t *find_equal(const json_t *list, const json_t *item)
{
    json_t *other;
    size_t i;

    json_array_foreach(list, i, other) if (json_equal(other, item)) return other;
    return NULL;
}

static const json_t *find_named(const json_t *list, const char *name)
{
    json_t *other;
    size_t i;

    json_array_foreach(list, i, other)
    {
        const char *its = json_string_value(json_object_get(other, "Name"));

        if (name && its && strcmp(its, name) == 0)
            return other;
    }
    return NULL;
}

static const char *name_of(const json_t *item)
{
    return json_string_value(json_object_get(item, "Name"));
}

static void diff_objects(struct parts *parts, const char *name, const json_t *from,
                         const json_t *to)
{
    json_t *item;
    size_t i;

    json_array_foreach(from, i, item)
    {
        const json_t *now = find_named(to, name_of(item));

        if (!find_equal(to, item))
            diff_object(parts, name, item, now);
    }
    json_array_foreach(to, i, item) if (!find_equal(from, item) && !find_named(from, name_of(item)))
        diff_object(parts, name, NULL, item);
}

/* A list of texts is a set. */
static void diff_texts(struct parts *parts, const char *name, const json_t *from, const json_t *to)
{
    struct parts below = parts_new();
    json_t *item;
    size_t i;

    json_array_foreach(from, i, item) add_field(&below, name, item, find_equal(to, item), true);
    json_array_foreach(to, i, item) if (!find_equal(from, item))
        add_field(&below, name, NULL, item, true);
    if (below.edited)
        add_object(parts, name, json_array_size(from) ? from : NULL,
                   json_array_size(to) ? to : NULL, &below);
    else
        parts_drop(&below);
}

static void diff_lists(struct parts *parts, const char *name, const json_t *from, const json_t *to)
{
    const json_t *any = json_array_size(from) ? from : to;
    char one[64];

    if (!json_is_object(json_array_get(any, 0))) {
        diff_texts(parts, name, from, to);
        return;
    }
    singular(name, one, sizeof(one));
    diff_objects(parts, one, from, to);
}

/* An object that is a map of objects: a group's volumes. */
static bool is_map_of_objects(const char *name)
{
    return strcmp(name, "Volumes") == 0;
}

static void diff_member(struct parts *parts, const char *key, const json_t *from, const json_t *to,
                        bool context)
{
    if (strcmp(key, "Meta") == 0 || strcmp(key, "Env") == 0) {
        diff_flat(parts, key, from, to, false);
    } else if (is_object(from, to) && is_map_of_objects(key)) {
        autofree const char **names = keys_of(from, to);

        for (size_t i = 0; names[i]; i++)
            diff_object(parts, "Volume", json_object_get(from, names[i]),
                        json_object_get(to, names[i]));
    } else if (is_object(from, to)) {
        diff_object(parts, key, from, to);
    } else if (is_array(from, to)) {
        diff_lists(parts, key, from, to);
    } else {
        add_field(parts, key, from, to, context);
    }
}

static bool is_listed(const char *const *names, const char *name)
{
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

static void walk(struct parts *parts, const json_t *from, const json_t *to,
                 const char *const *without, bool context)
{
    autofree const char **keys = keys_of(from, to);

    for (size_t i = 0; keys[i]; i++) {
        const json_t *a = json_object_get(from, keys[i]), *b = json_object_get(to, keys[i]);

        if (!is_listed(without, keys[i]))
            diff_member(parts, keys[i], json_is_null(a) ? NULL : a, json_is_null(b) ? NULL : b,
                        context);
    }
}

/* The objects in both lists, by name: those that are gone after those that are there. */
static json_t *diff_named(const json_t *from, const json_t *to, bool *edited,
                          json_t *(*diff)(const json_t *from, const json_t *to))
{
    json_t *list = json_array(), *item, *one;
    size_t i;

    json_array_foreach(to, i, item)(void)
        json_array_append_new(list, diff(find_named(from, name_of(item)), item));
    json_array_foreach(from, i, item) if (!find_named(to, name_of(item)))(void)
        json_array_append_new(list, diff(item, NULL));
    json_array_foreach(list, i, one) *edited |=
        strcmp(json_string_value(json_object_get(one, "Type")), "None") != 0;
    return list;
}

static json_t *diff_task(const json_t *from, const json_t *to)
{
    struct parts parts = parts_new();
    json_t *diff;

    walk(&parts, from, to, (const char *const[]){"Name", NULL}, false);
    diff = finish(name_of(to ? to : from), from, to, &parts);
    (void)json_object_set_new(diff, "Annotations", json_null());
    return diff;
}

static json_t *diff_group(const json_t *from, const json_t *to)
{
    struct parts parts = parts_new();
    json_t *tasks, *diff;

    walk(&parts, from, to, (const char *const[]){"Name", "Tasks", NULL}, false);
    tasks = diff_named(json_object_get(from, "Tasks"), json_object_get(to, "Tasks"), &parts.edited,
                       diff_task);
    diff = finish(name_of(to ? to : from), from, to, &parts);
    (void)json_object_set_new(diff, "Tasks", tasks);
    (void)json_object_set_new(diff, "Updates", json_null());
    return diff;
}

json_t *job_diff(const json_t *from, const json_t *to)
{
    struct parts parts = parts_new();
    json_t *groups, *diff;

    walk(&parts, from, to, (const char *const[]){"ID", "TaskGroups", NULL}, false);
    groups = diff_named(json_object_get(from, "TaskGroups"), json_object_get(to, "TaskGroups"),
                        &parts.edited, diff_group);
    diff = finish("", from, to, &parts);
    (void)json_object_del(diff, "Name");
    (void)json_object_set(diff, "ID", json_object_get(to, "ID"));
    (void)json_object_set_new(diff, "TaskGroups", groups);
    return diff;
}

void job_diff_annotate(json_t *diff, const char *note)
{
    if (!json_is_array(json_object_get(diff, "Annotations")))
        (void)json_object_set_new(diff, "Annotations", json_array());
    (void)json_array_append_new(json_object_get(diff, "Annotations"), json_string(note));
}
