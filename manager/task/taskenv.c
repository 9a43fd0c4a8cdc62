/* SPDX-License-Identifier: MIT
 *
 * Built anew for each start, kept by nobody. Values are bytes, not text: the host's environment
 * need not be UTF-8, so nothing here checks or dumps it as JSON.
 */
#include "manager/task/taskenv.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"

/* Nomad's default for the client option env.denylist. */
static const char denied_by_default[] =
    "CONSUL_TOKEN,CONSUL_HTTP_TOKEN,CONSUL_HTTP_TOKEN_FILE,NOMAD_TOKEN,VAULT_TOKEN,*_LICENSE,"
    "*_LICENSE_PATH,AWS_ACCESS_KEY_ID,AWS_SECRET_ACCESS_KEY,AWS_SESSION_TOKEN,AWS_METADATA_URL,"
    "GOOGLE_APPLICATION_CREDENTIALS,GOOGLE_OAUTH_ACCESS_TOKEN";

static void set(struct taskenv *env, const char *name, const char *value)
{
    (void)json_object_set_new_nocheck(env->vars, name, json_string_nocheck(value));
}

static void set_number(struct taskenv *env, const char *name, long long value)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%lld", value);
    set(env, name, text);
}

static void set_builtins(struct taskenv *env)
{
    const struct taskenv_input *in = env->in;
    const struct alloc *alloc = in->task->alloc;
    const struct job *job = alloc->job->job;
    const struct job_resources *resources = &in->task->def->resources;
    char short_id[9];

    (void)snprintf(short_id, sizeof(short_id), "%.8s", alloc->id);
    set(env, "NOMAD_ALLOC_DIR", in->alloc_dir);
    set(env, "NOMAD_TASK_DIR", in->task_dir);
    set(env, "NOMAD_SECRETS_DIR", in->secrets_dir);
    set_number(env, "NOMAD_MEMORY_LIMIT", resources->memory_mb);
    set_number(env, "NOMAD_CPU_LIMIT", resources->cpu_mhz);
    set(env, "NOMAD_ALLOC_ID", alloc->id);
    set(env, "NOMAD_SHORT_ALLOC_ID", short_id);
    set(env, "NOMAD_ALLOC_NAME", alloc->name);
    set_number(env, "NOMAD_ALLOC_INDEX", alloc->index);
    set(env, "NOMAD_TASK_NAME", in->task->def->name);
    set(env, "NOMAD_GROUP_NAME", alloc->group->name);
    set(env, "NOMAD_JOB_ID", job->id);
    set(env, "NOMAD_JOB_NAME", job->name);
    set(env, "NOMAD_NAMESPACE", job->namespace_);
    set(env, "NOMAD_REGION", in->config->region);
    set(env, "NOMAD_DC", in->config->datacenter);
    set(env, "NOMAD_PARENT_CGROUP", in->config->cgroup_parent);
}

/* A name a shell can use: anything outside [A-Za-z0-9_.] and a leading digit become '_'. */
static void clean_name(char *name)
{
    for (char *p = name; *p; p++)
        if ((!isalnum((unsigned char)*p) && *p != '_' && *p != '.') ||
            (p == name && isdigit((unsigned char)*p)))
            *p = '_';
}

static void set_meta(struct taskenv *env, const json_t *meta)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)meta, key, value)
    {
        autobag struct bag bag = BAG_INIT;
        char *name = bag_printf(&bag, "NOMAD_META_%s", key);
        char *text = taskenv_expand(env, json_string_value(value), &bag);

        clean_name(name);
        set(env, name, text);
        for (char *p = name; *p; p++)
            *p = (char)toupper((unsigned char)*p);
        set(env, name, text);
    }
}

static bool is_denied(const struct config *config, const char *name)
{
    const char *list = config->env_denylist ? config->env_denylist : denied_by_default;
    autofree char *copy = strdup(list);
    char *rest = NULL;

    if (!copy)
        abort();
    for (char *p = strtok_r(copy, ", ", &rest); p; p = strtok_r(NULL, ", ", &rest))
        if (fnmatch(p, name, 0) == 0)
            return true;
    return false;
}

static void set_host(struct taskenv *env, char *const *host_env)
{
    for (; *host_env; host_env++) {
        const char *eq = strchr(*host_env, '=');
        autofree char *name = eq ? strndup(*host_env, (size_t)(eq - *host_env)) : NULL;

        if (name && *name && !is_denied(env->in->config, name) && !taskenv_get(env, name))
            set(env, name, eq + 1);
    }
}

/* Values see what was set before the task's own variables, not each other: their order means
 * nothing. */
static void set_own(struct taskenv *env, const json_t *own)
{
    autobag struct bag bag = BAG_INIT;
    json_t *expanded = json_object();
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)own, key, value)
    {
        (void)json_object_set_new_nocheck(
            expanded, key,
            json_string_nocheck(taskenv_expand(env, json_string_value(value), &bag)));
    }
    (void)json_object_update(env->vars, expanded);
    json_decref(expanded);
}

void taskenv_init(struct taskenv *env, const struct taskenv_input *in)
{
    const struct alloc *alloc = in->task->alloc;

    *env = (struct taskenv){.in = in, .vars = json_object()};
    set_builtins(env);
    set_meta(env, alloc->job->job->meta);
    set_meta(env, alloc->group->meta);
    set_meta(env, in->task->def->meta);
    set_host(env, in->host_env);
    set_own(env, in->task->def->env);
}

void taskenv_deinit(struct taskenv *env)
{
    json_decref(env->vars);
    *env = (struct taskenv){0};
}

const char *taskenv_get(const struct taskenv *env, const char *name)
{
    return json_string_value(json_object_get(env->vars, name));
}

void taskenv_default(struct taskenv *env, const char *name, const char *value)
{
    if (!json_object_get(env->in->task->def->env, name))
        set(env, name, value);
}

static const char *node_reference(const struct taskenv_input *in, const char *name)
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

/* What stands between "${" and "}"; NULL when it means nothing here. */
static const char *look_up(const struct taskenv *env, const char *name)
{
    const struct taskenv_input *in = env->in;
    char inner[256];
    int used = 0;

    if (sscanf(name, "env[\"%255[^\"]\"]%n", inner, &used) == 1 && used && !name[used])
        return taskenv_get(env, inner);
    if (strncmp(name, "attr.", 5) == 0)
        return json_string_value(json_object_get(in->attributes, name + 5));
    if (strncmp(name, "meta.", 5) == 0)
        return json_string_value(json_object_get(in->config->meta, name + 5));
    if (strncmp(name, "node.", 5) == 0)
        return node_reference(in, name);
    return taskenv_get(env, name);
}

/* Expands the "${…}" at `at`, or the "$${": writes the result to `out` and returns what follows. */
static const char *expand_one(const struct taskenv *env, const char *at, FILE *out)
{
    const char *end = strchr(at, '}');
    autofree char *name = NULL;
    const char *value;

    if (at[1] == '$') {
        (void)fputs("${", out);
        return at + 3;
    }
    name = end ? strndup(at + 2, (size_t)(end - at - 2)) : NULL;
    value = name ? look_up(env, name) : NULL;
    if (!value) {
        (void)fputs("${", out);
        return at + 2;
    }
    (void)fputs(value, out);
    return end + 1;
}

char *taskenv_expand(const struct taskenv *env, const char *text, struct bag *bag)
{
    autofree char *expanded = NULL;
    size_t size;
    FILE *out;

    if (!strstr(text, "${"))
        return bag_strdup(bag, text);
    out = open_memstream(&expanded, &size);
    if (!out)
        abort();
    while (*text) {
        if (strncmp(text, "${", 2) == 0 || strncmp(text, "$${", 3) == 0)
            text = expand_one(env, text, out);
        else
            (void)fputc(*text++, out);
    }
    (void)fclose(out);
    return bag_strdup(bag, expanded);
}

char **taskenv_list(const struct taskenv *env, struct bag *bag)
{
    char **list = bag_alloc(bag, (json_object_size(env->vars) + 1) * sizeof(*list));
    const char *key;
    json_t *value;
    size_t n = 0;

    json_object_foreach(env->vars, key, value)
    {
        list[n++] = bag_printf(bag, "%s=%s", key, json_string_value(value));
    }
    return list;
}
