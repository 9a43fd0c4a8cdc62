/* SPDX-License-Identifier: MIT
 *
 * Looked up in the environment that an allocation of the job would have, so that there is one
 * account of the names there are. The fields are looked at as the API shows them.
 */
#include "manager/host/references.h"

#include <string.h>
#include <unistd.h>

#include "manager/task/taskenv.h"
#include "shared/cleanup.h"
#include "shared/job/value.h"

#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"

static const struct {
    const char *field;
    const char *only; /* NULL: all members */
} places[] = {
    {"Config", NULL},
    {"Env", NULL},
    {"Meta", NULL},
    {"User", NULL},
    {"VolumeMounts", NULL},
    {"Artifacts", NULL},
    {"Templates", "SourcePath"},
    {"Templates", "DestPath"},
};

struct search {
    const struct interpolation *in;
    bool late_names; /* templates will set variables that nobody knows yet */
    const char *field;
    json_t *seen;
    void (*each)(void *arg, const char *name, const char *field);
    void *arg;
};

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* Whether it is a reference of Nomad's at all, and not some other program's. */
static bool is_meant(const struct search *s, const char *name)
{
    if (starts_with(name, "env[\""))
        return !s->late_names;
    if (!*name || name[strspn(name, NAME_CHARS)])
        return false;
    if (starts_with(name, "attr.") || starts_with(name, "meta.") || starts_with(name, "node."))
        return true;
    return !s->late_names && (starts_with(name, "NOMAD_") || strcmp(s->field, "Config") != 0);
}

static void look_at(void *arg, const char *name)
{
    struct search *s = arg;

    if (!is_meant(s, name) || interpolate_find(s->in, name) || json_object_get(s->seen, name))
        return;
    (void)json_object_set_new(s->seen, name, json_null());
    s->each(s->arg, name, s->field);
}

static void search(struct search *s, const json_t *json)
{
    const char *key;
    json_t *item;
    size_t i;

    if (json_is_string(json))
        interpolate_references(json_string_value(json), look_at, s);
    json_array_foreach(json, i, item) search(s, item);
    json_object_foreach((json_t *)json, key, item) search(s, item);
}

static void search_task(struct search *s, const json_t *task)
{
    const json_t *templates = json_object_get(task, "Templates"), *item;
    size_t i;

    json_array_foreach(templates, i, item) s->late_names |=
        json_is_true(json_object_get(item, "Envvars"));
    for (size_t p = 0; p < ARRAY_LEN(places); p++) {
        const json_t *value = json_object_get(task, places[p].field);

        s->field = places[p].field;
        if (!places[p].only)
            search(s, value);
        else
            json_array_foreach(value, i, item) search(s, json_object_get(item, places[p].only));
    }
}

void references_unknown(const struct job *job, const struct job_group *group,
                        const struct job_task *def, const json_t *shown,
                        const struct config *config, const json_t *attributes,
                        void (*each)(void *arg, const char *name, const char *field), void *arg)
{
    struct job_record record = {.job = (struct job *)job};
    struct alloc alloc = {.id = "00000000-0000-0000-0000-000000000000",
                          .name = "-",
                          .dir = "/",
                          .job = &record,
                          .group = group};
    struct task task = {.alloc = &alloc, .def = def};
    const struct taskenv_input in = {.config = config,
                                     .node_id = alloc.id,
                                     .attributes = attributes,
                                     .task = &task,
                                     .alloc_dir = "/alloc",
                                     .task_dir = "/local",
                                     .secrets_dir = "/secrets",
                                     .host_env = environ};
    autojson json_t *seen = json_object();
    struct interpolation names;
    struct taskenv env;
    struct search s = {.in = &names, .seen = seen, .each = each, .arg = arg};

    if (!value_has_reference(shown))
        return;
    taskenv_init(&env, &in);
    names = taskenv_interpolation(&env);
    search_task(&s, shown);
    taskenv_deinit(&env);
}
