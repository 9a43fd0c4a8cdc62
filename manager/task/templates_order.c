/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager/core.h"
#include "manager/task/taskenv.h"
#include "manager/task/templates_internal.h"
#include "shared/cleanup.h"
#include "shared/job/value.h"

static int64_t ms(int64_t ns)
{
    return (ns + 999999) / 1000000;
}

static json_t *server(const struct config_server *s)
{
    const struct {
        const char *name;
        const char *value; /* NULL: that server has no such option */
    } texts[] = {
        {"address", s->address},      {"token", s->token},
        {"namespace", s->name_space}, {"ca_file", s->ca_file},
        {"ca_path", s->ca_path},      {"cert_file", s->cert_file},
        {"key_file", s->key_file},    {"tls_server_name", s->tls_server_name},
    };
    json_t *order;

    if (!s->enabled || !*s->address)
        return NULL;
    order = json_pack("{s:b}", "tls_skip_verify", s->tls_skip_verify);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (texts[i].value && *texts[i].value)
            (void)json_object_set_new(order, texts[i].name, json_string(texts[i].value));
    return order;
}

static json_t *retry(const struct config_retry *r)
{
    return json_pack("{s:I,s:I,s:I}", "attempts", (json_int_t)r->attempts, "backoff_ms",
                     (json_int_t)ms(r->backoff_ns), "max_backoff_ms",
                     (json_int_t)ms(r->max_backoff_ns));
}

static json_t *strings(char *const *list)
{
    json_t *array = json_array();

    for (; list && *list; list++)
        (void)json_array_append_new(array, json_string(*list));
    return array;
}

/* ---- environment ---- */

static void add_all(json_t *into, const char *prefix, const json_t *from)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)from, key, value)
    {
        autobag struct bag bag = BAG_INIT;

        (void)json_object_set(into, bag_printf(&bag, "%s%s", prefix, key), value);
    }
}

/* What `env` finds: the task's variables, and what is known of the node. Without what templates
 * themselves gave. */
static json_t *environment(const struct taskenv *env)
{
    static const char *const node[] = {"node.unique.id", "node.unique.name", "node.datacenter",
                                       "node.region",    "node.class",       "node.pool"};
    const struct interpolation in = taskenv_interpolation(env);
    json_t *vars = json_object();
    const char *key;
    json_t *value;

    add_all(vars, "attr.", env->in.attributes);
    add_all(vars, "meta.", env->in.config->meta);
    for (size_t i = 0; i < ARRAY_LEN(node); i++)
        (void)json_object_set_new(vars, node[i], json_string(interpolate_find(&in, node[i])));
    json_object_foreach(env->vars, key, value)
    {
        /* the host's need be no UTF-8, and JSON must */
        json_t *text = json_string(json_string_value(value));

        if (text)
            (void)json_object_set_new(vars, key, text);
    }
    return vars;
}

/* What the task calls its directories, and where they are. */
static json_t *paths(const struct taskenv *env)
{
    const char *task = env->in.task->def->name;

    return json_pack("[[s,s],[s,s+],[s,s+],[s,s],[s,s+],[s,s+]]", env->in.alloc_dir, "alloc",
                     env->in.task_dir, task, "/local", env->in.secrets_dir, task, "/secrets",
                     "/alloc", "alloc", "/local", task, "/local", "/secrets", task, "/secrets");
}

/* ---- templates ---- */

static int one_template(const struct job_template *def, const struct taskenv *env, json_t **ret,
                        struct err *e)
{
    autobag struct bag bag = BAG_INIT;
    const char *destination = taskenv_path(env, def->destination, &bag, e);
    json_t *t;

    if (!destination)
        return -EINVAL;
    t = json_pack("{s:s,s:s,s:I,s:I,s:I,s:s,s:s,s:b,s:b}", "name", def->destination, "destination",
                  destination, "perms",
                  (json_int_t)strtoul(*def->perms ? def->perms : "0644", NULL, 8), "uid",
                  (json_int_t)def->uid, "gid", (json_int_t)def->gid, "left", def->left, "right",
                  def->right, "strict", def->error_on_missing_key, "env", def->env);
    if (*def->source)
        (void)json_object_set_new(t, "source", json_string(taskenv_expand(env, def->source, &bag)));
    else
        (void)json_object_set_new(t, "data", json_string(def->data));
    *ret = t;
    return 0;
}

static int all_templates(const struct job_task *def, const struct taskenv *env, json_t *list,
                         struct err *e)
{
    json_t *t = NULL;
    int r = 0;

    for (size_t i = 0; i < def->n_templates && !r; i++) {
        r = one_template(&def->templates[i], env, &t, e);
        if (!r)
            (void)json_array_append_new(list, t);
    }
    return r;
}

int templates_order(const struct templates *t, json_t **ret_order, struct err *e)
{
    struct task *task = t->task;
    const struct config *config = task->alloc->manager->config;
    const struct config_template *options = &config->template;
    json_t *given = task->template_env, *list = json_array(), *order;
    const struct job_template *first = templates_def(t, 0);
    uint64_t quiet, quiet_max;
    struct taskenv env;
    int r;

    templates_get_wait(t, &quiet, &quiet_max);
    task->template_env = NULL;
    taskenv_of(&env, task);
    task->template_env = given;
    r = all_templates(task->def, &env, list, e);
    order = json_pack(
        "{s:o,s:o,s:o,s:s,s:o,s:b,s:b,s:s,s:o*,s:o*,s:o,s:o,s:I,s:b,s:I,s:I}", "templates", list,
        "env", environment(&env), "denied", strings(options->function_denylist), "task",
        task->def->name, "paths", paths(&env), "sandbox", !options->disable_file_sandbox, "once",
        first->once, "vars", options->variables_dir, "vault", server(&config->vault), "consul",
        server(&config->consul), "vault_retry", retry(&options->vault_retry), "consul_retry",
        retry(&options->consul_retry), "wait_ms", (json_int_t)ms(options->block_query_wait_ns),
        "stale", options->max_stale_ns > 0, "quiet_ms", (json_int_t)(ms((int64_t)quiet)),
        "quiet_max_ms", (json_int_t)(ms((int64_t)quiet_max)));
    taskenv_deinit(&env);
    if (!r && !order)
        r = err_set(e, -EINVAL, "the templates' order is no JSON");
    if (r) {
        json_decref(order);
        return r;
    }
    *ret_order = order;
    return 0;
}
