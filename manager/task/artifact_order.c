/* SPDX-License-Identifier: MIT
 *
 * The old options artifact_source and checksum of a driver's config are one more artifact, which is
 * made executable: that is what they were for.
 */
#include "manager/task/artifact_order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manager/core.h"
#include "manager/host/rootless.h"
#include "manager/task/driver.h"
#include "manager/task/taskenv.h"
#include "shared/artifact.h"
#include "shared/cleanup.h"
#include "shared/job/value.h"

#define FOREVER_S (10. * 365 * 86400)

struct maker {
    const struct task *task;
    const struct config_artifact *config;
    const struct taskenv *env;
    struct bag *bag;
    struct artifact_order *orders;
    size_t n;
    struct err *e;
};

static const char *old_source(const struct task *task)
{
    const char *source = json_string_value(json_object_get(task->def->config, "artifact_source"));

    return source && *source ? source : NULL;
}

bool artifact_orders_wanted(const struct task *task)
{
    return task->def->n_artifacts > 0 || old_source(task);
}

/* FNV-1a. */
static uint64_t hash(const char *text)
{
    uint64_t h = 14695981039346656037ULL;

    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211ULL;
    return h;
}

static double seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

static double time_limit(const struct config_artifact *config, enum artifact_kind kind)
{
    switch (kind) {
    case ARTIFACT_GIT:
        return seconds(config->git_timeout_ns);
    case ARTIFACT_HG:
        return seconds(config->hg_timeout_ns);
    case ARTIFACT_S3:
        return seconds(config->s3_timeout_ns);
    default:
        return seconds(config->http_read_timeout_ns);
    }
}

static json_t *strings(char *const *list)
{
    json_t *json = json_array();

    for (; list && *list; list++)
        (void)json_array_append_new(json, json_string(*list));
    return json;
}

static json_int_t limit(int64_t value)
{
    return value ? value : INT64_MAX / 4;
}

static void add_limits(json_t *json, const struct config_artifact *config, double timeout_s)
{
    (void)json_object_update_new(json,
                                 json_pack("{s:I, s:I, s:I, s:f, s:b, s:b, s:o, s:o}", "max_bytes",
                                           limit(config->http_max_bytes), "max_unpacked",
                                           limit(config->decompression_max_bytes), "max_files",
                                           limit(config->decompression_max_files), "timeout",
                                           timeout_s > 0 ? timeout_s : FOREVER_S, "isolated",
                                           !config->disable_filesystem_isolation, "inspected",
                                           !config->disable_artifact_inspection, "extra_paths",
                                           strings(config->filesystem_isolation_extra_paths),
                                           "file_paths", strings(config->allow_file_paths)));
}

/* The ids of the task's user, on this host. */
static int find_user(const struct maker *m, bool userns, json_t *json)
{
    const struct config *config = m->env->in.config;
    const struct driver *driver = driver_find(m->task->def->driver);
    const char *user = taskenv_expand(m->env, m->task->def->user, m->bag);
    struct exec_spec spec = {0};
    int r;

    if (!*user)
        user = driver->default_user;
    if (!user || rootless_get(config)->on)
        return 0; /* it is the manager's */
    r = driver_set_user(user, m->bag, &spec, m->e);
    if (r)
        return r;
    if (userns) {
        spec.uid += (uid_t)config->exec.userns_base;
        spec.gid += (gid_t)config->exec.userns_base;
    }
    (void)json_object_set_new(json, "chown", json_true());
    (void)json_object_set_new(json, "uid", json_integer(spec.uid));
    (void)json_object_set_new(json, "gid", json_integer(spec.gid));
    return 0;
}

static json_t *expand_map(const struct maker *m, const json_t *map)
{
    const struct interpolation in = taskenv_interpolation(m->env);

    return interpolate_json(&in, map);
}

/* The destination of mode = "file" is the file itself; without one it keeps its name. */
static const char *destination(const struct maker *m, const struct job_artifact *artifact,
                               const char *filename)
{
    const char *text = artifact->destination;

    if (artifact->mode == JOB_ARTIFACT_FILE && strcmp(text, "local/") == 0)
        text = bag_printf(m->bag, "%s%s", text, filename);
    return taskenv_path(m->env, text, m->bag, m->e);
}

/* What is known by now is checked as a whole; it decides about the time limit as well. */
static int add_checked(struct maker *m, const struct job_artifact *artifact, bool executable,
                       const char *text, json_t *options)
{
    struct artifact_order *order = &m->orders[m->n];
    struct artifact_source source;
    int r = artifact_source_parse(text, options, &source, m->e);
    const char *path = r ? NULL : destination(m, artifact, source.filename);

    if (!r)
        order->timeout_s = time_limit(m->config, source.kind);
    if (!r)
        artifact_source_deinit(&source);
    if (!path)
        return r ? r : -EINVAL;
    order->json = json_pack("{s:s, s:s, s:s, s:O, s:o, s:b, s:b}", "source", text, "destination",
                            path, "mode", job_artifact_mode_name(artifact->mode), "options",
                            options, "headers", expand_map(m, artifact->headers), "insecure",
                            artifact->insecure, "executable", executable);
    if (!order->json)
        return err_set(m->e, -EINVAL, "the artifact \"%.100s\" has a text that is no UTF-8", text);
    m->n++;
    order->destination = json_string_value(json_object_get(order->json, "destination"));
    return artifact->chown
               ? find_user(m, json_is_true(json_object_get(m->task->def->config, "userns")),
                           order->json)
               : 0;
}

static int add(struct maker *m, const struct job_artifact *artifact, bool executable)
{
    struct artifact_order *order = &m->orders[m->n];
    const char *source = taskenv_expand(m->env, artifact->source, m->bag);
    autojson json_t *options = expand_map(m, artifact->options);
    int r = add_checked(m, artifact, executable, source, options);
    autofree char *text = NULL;

    if (r)
        return r;
    text = json_dumps(order->json, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return err_sys(m->e, -ENOMEM, "order an artifact");
    order->hash = hash(text);
    /* What follows does not change the result. */
    (void)json_object_set_new(order->json, "stage",
                              json_sprintf(".artifact-%s-%zu", m->task->def->name, m->n - 1));
    add_limits(order->json, m->config, order->timeout_s);
    return 0;
}

static int add_old(struct maker *m)
{
    const char *sum = json_string_value(json_object_get(m->task->def->config, "checksum"));
    json_t *options = json_object(), *headers = json_object();
    const struct job_artifact artifact = {
        .source = (char *)old_source(m->task),
        .destination = (char *)"local/",
        .options = options,
        .headers = headers,
    };
    int r;

    if (sum && *sum)
        (void)json_object_set_new(options, "checksum", json_string(sum));
    r = add(m, &artifact, true);
    json_decref(options);
    json_decref(headers);
    return r;
}

int artifact_orders_make(const struct task *task, struct artifact_order **ret_orders, size_t *ret_n,
                         struct err *e)
{
    const struct config *config = task->alloc->manager->config;
    autobag struct bag bag = BAG_INIT;
    struct taskenv env;
    struct maker m = {.task = task, .config = &config->artifact, .env = &env, .bag = &bag, .e = e};
    int r = 0;

    m.orders = calloc(task->def->n_artifacts + 1, sizeof(*m.orders));
    if (!m.orders)
        return err_sys(e, -ENOMEM, "order artifacts");
    taskenv_of(&env, task);
    for (size_t i = 0; !r && i < task->def->n_artifacts; i++)
        r = add(&m, &task->def->artifacts[i], false);
    if (!r && old_source(task))
        r = add_old(&m);
    taskenv_deinit(&env);
    if (r) {
        artifact_orders_free(m.orders, m.n);
        return r;
    }
    *ret_orders = m.orders;
    *ret_n = m.n;
    return 0;
}

void artifact_orders_free(struct artifact_order *orders, size_t n)
{
    for (size_t i = 0; i < n; i++)
        json_decref(orders[i].json);
    free(orders);
}
