/* SPDX-License-Identifier: MIT
 *
 * Built anew for each start, kept by nobody. Values are bytes, not text: the host's environment
 * need not be UTF-8, so nothing here checks or dumps it as JSON.
 */
#include "manager/task/taskenv.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manager/core.h"
#include "manager/host/fingerprint.h"
#include "manager/task/driver.h"
#include "shared/cleanup.h"

enum {
    PATH_STEPS_MAX = 256
};

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

static void set_resources(struct taskenv *env, const struct job_resources *res)
{
    const char *cpus = env->in.task->cpus;
    long long mhz = res->cpu_mhz;

    if (res->cores)
        mhz = res->cores * (long long)fingerprint_core_mhz(env->in.attributes);
    set_number(env, "NOMAD_CPU_LIMIT", mhz);
    if (cpus)
        set(env, "NOMAD_CPU_CORES", cpus);
    set_number(env, "NOMAD_MEMORY_LIMIT", res->memory_mb);
    if (res->memory_max_mb > 0)
        set_number(env, "NOMAD_MEMORY_MAX_LIMIT", res->memory_max_mb);
}

static void set_builtins(struct taskenv *env)
{
    const struct taskenv_input *in = &env->in;
    const struct alloc *alloc = in->task->alloc;
    const struct job *job = alloc->job->job;
    char short_id[9];

    (void)snprintf(short_id, sizeof(short_id), "%.8s", alloc->id);
    set(env, "NOMAD_ALLOC_DIR", in->alloc_dir);
    set(env, "NOMAD_TASK_DIR", in->task_dir);
    set(env, "NOMAD_SECRETS_DIR", in->secrets_dir);
    set_resources(env, &in->task->def->resources);
    set(env, "NOMAD_ALLOC_ID", alloc->id);
    set(env, "NOMAD_SHORT_ALLOC_ID", short_id);
    set(env, "NOMAD_ALLOC_NAME", alloc->name);
    set_number(env, "NOMAD_ALLOC_INDEX", alloc->index);
    set(env, "NOMAD_TASK_NAME", in->task->def->name);
    set(env, "NOMAD_GROUP_NAME", alloc->group->name);
    set(env, "NOMAD_JOB_ID", job->id);
    set(env, "NOMAD_JOB_NAME", job->name);
    if (*job->parent_id)
        set(env, "NOMAD_JOB_PARENT_ID", job->parent_id);
    set(env, "NOMAD_NAMESPACE", job->namespace_);
    set(env, "NOMAD_REGION", in->config->region);
    set(env, "NOMAD_DC", in->config->datacenter);
    if (in->cgroup && !in->cgroup->reason)
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

/* The tasks of a dispatched job find all that it may be given, if only to see that it was not. */
static void set_optional_meta(struct taskenv *env, const struct job *job)
{
    json_t *unset = json_object();

    for (char **name = job->parameterized.meta_optional; job->dispatched && *name; name++)
        (void)json_object_set_new(unset, *name, json_string(""));
    set_meta(env, unset);
    json_decref(unset);
}

bool taskenv_is_denied(const struct config *config, const char *name)
{
    const char *list = config->env_denylist ? config->env_denylist : CONFIG_ENV_DENYLIST;
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

        if (name && *name && !taskenv_is_denied(env->in.config, name) && !taskenv_get(env, name))
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

    *env = (struct taskenv){.in = *in, .vars = json_object()};
    set_builtins(env);
    set_optional_meta(env, alloc->job->job);
    set_meta(env, alloc->job->job->meta);
    set_meta(env, alloc->group->meta);
    set_meta(env, in->task->def->meta);
    set_host(env, in->host_env);
    set_own(env, in->task->def->env);
    if (in->task->template_env)
        (void)json_object_update(env->vars, in->task->template_env);
}

void taskenv_of(struct taskenv *env, const struct task *task)
{
    const struct manager *m = task->alloc->manager;
    const struct driver *driver = driver_find(task->def->driver);
    bool chroot = driver && driver->isolation == SPEC_ISOLATION_CHROOT;
    struct bag bag = BAG_INIT;
    char *own = bag_printf(&bag, "%s/%s", task->alloc->dir, task->def->name);
    struct taskenv_input in = {
        .config = m->config,
        .cgroup = &m->cgroup,
        .node_id = m->store.node_id,
        .attributes = m->attributes,
        .task = task,
        .alloc_dir = chroot ? "/alloc" : bag_printf(&bag, "%s/alloc", task->alloc->dir),
        .task_dir = chroot ? "/local" : bag_printf(&bag, "%s/local", own),
        .secrets_dir = chroot ? "/secrets" : bag_printf(&bag, "%s/secrets", own),
        .host_env = environ,
    };

    taskenv_init(env, &in);
    env->bag = bag;
}

void taskenv_deinit(struct taskenv *env)
{
    json_decref(env->vars);
    bag_clear(&env->bag);
    *env = (struct taskenv){0};
}

const char *taskenv_get(const struct taskenv *env, const char *name)
{
    return json_string_value(json_object_get(env->vars, name));
}

void taskenv_default(struct taskenv *env, const char *name, const char *value)
{
    if (!json_object_get(env->in.task->def->env, name))
        set(env, name, value);
}

char *taskenv_expand(const struct taskenv *env, const char *text, struct bag *bag)
{
    const struct interpolation in = taskenv_interpolation(env);

    return interpolate(&in, text, bag);
}

struct interpolation taskenv_interpolation(const struct taskenv *env)
{
    return (struct interpolation){env->in.config, env->in.node_id, env->in.attributes, env->vars};
}

/* ---- paths ---- */

/* What follows `dir` in `path`, without slashes before it; NULL: it is not beneath. */
static const char *beneath(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    if (strncmp(path, dir, n) != 0 || (path[n] && path[n] != '/'))
        return NULL;
    return path + n + strspn(path + n, "/");
}

/* Takes "." and empty steps out, and ".." with the step before it. False: it leads out. */
static bool normalize(char *path)
{
    char *out = path, *save = NULL, *steps[PATH_STEPS_MAX];
    size_t n = 0;

    for (char *step = strtok_r(path, "/", &save); step; step = strtok_r(NULL, "/", &save)) {
        if (strcmp(step, ".") == 0)
            continue;
        if (strcmp(step, "..") == 0 ? n-- == 0 : n == PATH_STEPS_MAX)
            return false;
        if (strcmp(step, "..") != 0)
            steps[n++] = step;
    }
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(steps[i]);

        if (i)
            *out++ = '/';
        memmove(out, steps[i], len + 1);
        out += len;
    }
    *out = '\0';
    return true;
}

char *taskenv_path(const struct taskenv *env, const char *text, struct bag *bag, struct err *e)
{
    const struct task *task = env->in.task;
    const char *name = task->def->name, *rest;
    char *local = bag_printf(bag, "%s/local", name), *secrets = bag_printf(bag, "%s/secrets", name);
    const struct {
        const char *seen;
        const char *real;
    } dirs[] = {
        {env->in.alloc_dir, "alloc"},
        {env->in.task_dir, local},
        {env->in.secrets_dir, secrets},
        {"/alloc", "alloc"},
        {"/local", local},
        {"/secrets", secrets},
        {bag_printf(bag, "%s/%s", task->alloc->dir, name), name},
    };
    char *path = taskenv_expand(env, text, bag), *found = NULL;

    for (size_t i = 0; !found && i < ARRAY_LEN(dirs); i++)
        if ((rest = beneath(path, dirs[i].seen)))
            found = bag_printf(bag, "%s/%s", dirs[i].real, rest);
    if (!found)
        found = bag_printf(bag, "%s/%s", name, path);
    if (normalize(found) && (beneath(found, "alloc") || beneath(found, name)))
        return found;
    (void)err_set(e, -EINVAL,
                  "the path \"%.200s\" leads out of the task's directory and the shared one; write "
                  "one beneath local/, secrets/ or ${NOMAD_ALLOC_DIR}",
                  path);
    return NULL;
}

void taskenv_drop(struct taskenv *env, char *const *patterns)
{
    const char *key;
    json_t *value;
    void *next;

    json_object_foreach_safe(env->vars, next, key, value) if (config_matches(patterns, key))(void)
        json_object_del(env->vars, key);
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
