/* SPDX-License-Identifier: MIT
 *
 * Nothing is kept between rounds but what Vault and Consul said: a round reads files and variables
 * anew, and writes what has changed.
 */
#include "manager/template/render.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "manager/template/deps.h"
#include "manager/template/envfile.h"
#include "manager/template/eval.h"
#include "manager/template/files.h"
#include "manager/template/vars.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/helper.h"

struct round {
    const json_t *order;
    struct deps deps;
    struct files files;
    const char *const *denied;
    json_t *missing; /* of all templates */
    unsigned int uses;
};

static const char *text_of(const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));

    return text ? text : "";
}

static bool is_set(const json_t *json, const char *name)
{
    return json_is_true(json_object_get(json, name));
}

static json_int_t number(const json_t *json, const char *name)
{
    return json_integer_value(json_object_get(json, name));
}

/* ---- what templates ask for ---- */

static int fetch_file(struct round *round, const char *name, json_t **ret, struct err *e)
{
    autofree char *data = NULL;
    size_t size;
    int r = files_read(&round->files, name, &data, &size, e);

    if (r == -ENOENT || r == -ENOTDIR)
        return EVAL_MISSING;
    if (!r)
        *ret = json_stringn_nocheck(data, size);
    return r || *ret ? r : err_sys(e, -ENOMEM, "read %s", name);
}

/* What lies beneath the directory of variables is watched as files are. */
static void note_var(struct round *round, const char *dir, const char *name)
{
    autofree char *path = NULL;
    autofd int fd = -1;

    if (!*dir || asprintf(&path, *name ? "%s/%s.json" : "%s", dir, name) < 0)
        return;
    fd = open(path, O_PATH | O_CLOEXEC);
    (void)files_note(&round->files, path, fd);
}

static int fetch(void *arg, enum eval_source source, const char *name, json_t **ret, struct err *e)
{
    struct round *round = arg;
    const char *dir = text_of(round->order, "vars");
    int r;

    switch (source) {
    case EVAL_FILE:
        return fetch_file(round, name, ret, e);
    case EVAL_VAR:
        note_var(round, dir, name);
        r = vars_read(dir, name, ret, e);
        return r == -ENOENT && *dir ? EVAL_MISSING : r;
    case EVAL_VARS:
        note_var(round, dir, "");
        return vars_list(dir, name, ret, e);
    default:
        return deps_fetch(&round->deps, source, name, ret, e);
    }
}

/* ---- one template ---- */

static json_t *digest(const char *data, size_t size)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
    unsigned int n = 0;

    (void)EVP_Digest(data, size, bytes, &n, EVP_sha256(), NULL);
    for (unsigned int i = 0; i < n; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    return json_string(hex);
}

static int read_text(struct round *round, const json_t *t, char **ret_text, size_t *ret_size,
                     struct err *e)
{
    const char *source = json_string_value(json_object_get(t, "source"));
    const json_t *data = json_object_get(t, "data");
    int r;

    if (!source) {
        *ret_size = json_string_length(data);
        *ret_text = strndup(text_of(t, "data"), *ret_size);
        return *ret_text ? 0 : err_sys(e, -ENOMEM, "read a template");
    }
    r = files_read(&round->files, source, ret_text, ret_size, e);
    return r ? err_wrap(e, "the source of the template %s", text_of(t, "name")), r : 0;
}

static int evaluate(struct round *round, const json_t *t, const char *text, size_t size,
                    struct eval_output *ret, struct err *e)
{
    const char *source = json_string_value(json_object_get(t, "source"));
    const struct tmpl_options options = {
        .left = text_of(t, "left"), .right = text_of(t, "right"), .denied = round->denied};
    const struct eval_input input = {
        .env = json_object_get(round->order, "env"),
        .fetch = fetch,
        .arg = round,
        .now_ns = clock_now_ns(CLOCK_REALTIME),
        .error_on_missing_key = is_set(t, "strict"),
    };
    struct tmpl *tmpl = NULL;
    int r = tmpl_parse(source ? source : text_of(t, "name"), text, size, &options, &tmpl, e);

    if (r)
        return r;
    round->uses |= tmpl->uses;
    r = eval_run(tmpl, &input, ret, e);
    tmpl_free(tmpl);
    return r;
}

static int put(struct round *round, const json_t *t, size_t i, const struct eval_output *output,
               struct err *e)
{
    const struct files_output where = {
        .path = text_of(t, "destination"),
        .perms = (mode_t)number(t, "perms"),
        .uid = number(t, "uid"),
        .gid = number(t, "gid"),
    };
    json_t *env = NULL, *message;
    bool changed;
    int r = is_set(t, "env") ? envfile_parse(output->text, output->size, &env, e) : 0;

    if (r)
        return err_wrap(e, "the template %s", text_of(t, "name")), r;
    r = files_write(&round->files, &where, output->text, output->size, &changed, e);
    if (r) {
        json_decref(env);
        return r;
    }
    message = json_pack("{s:i,s:o,s:b}", "render", (int)i, "sha",
                        digest(output->text, output->size), "changed", changed);
    if (env)
        (void)json_object_set_new(message, "env", env);
    helper_say(message);
    return 0;
}

static int do_template(struct round *round, const json_t *t, size_t i, struct err *e)
{
    struct eval_output output = {0};
    autofree char *text = NULL;
    size_t size;
    int r = read_text(round, t, &text, &size, e);

    if (!r)
        r = evaluate(round, t, text, size, &output, e);
    if (!r && json_array_size(output.missing))
        r = json_array_extend(round->missing, output.missing) ? -ENOMEM : 0;
    else if (!r)
        r = put(round, t, i, &output, e);
    eval_output_deinit(&output);
    return r;
}

/* ---- rounds ---- */

/* Each file once, as it was when it was read first. */
static json_t *watched(const json_t *files)
{
    json_t *seen = json_object(), *list = json_array(), *file;
    size_t i;

    json_array_foreach((json_t *)files, i, file)
    {
        const char *path = json_string_value(json_object_get(file, "path"));

        if (json_object_get(seen, path))
            continue;
        (void)json_object_set_new(seen, path, json_true());
        (void)json_array_append(list, file);
    }
    json_decref(seen);
    return list;
}

/* Missing files and variables are looked for again by whoever watches; the rest here. */
static bool stays(const struct round *round, bool done)
{
    return deps_any(&round->deps) && !(done && is_set(round->order, "once"));
}

static int do_round(struct round *round, struct err *e)
{
    const json_t *templates = json_object_get(round->order, "templates");
    json_t *t;
    size_t i;
    int r = 0;

    json_decref(round->files.read);
    json_decref(round->missing);
    round->files.read = json_array();
    round->missing = json_array();
    json_array_foreach((json_t *)templates, i, t)
    {
        if (!r)
            r = do_template(round, t, i, e);
    }
    if (r)
        return r;
    if (json_array_size(round->missing))
        helper_say(json_pack("{s:O,s:o,s:b}", "missing", round->missing, "watch",
                             watched(round->files.read), "stays", stays(round, false)));
    else
        helper_say(json_pack("{s:b,s:o,s:b}", "done", 1, "watch", watched(round->files.read),
                             "stays", stays(round, true)));
    return 0;
}

static void tell_trouble(const char *text)
{
    helper_say(json_pack("{s:s}", "trouble", text));
}

/* What may be mended by others meanwhile. */
static bool may_pass(int code)
{
    return code == -EAGAIN || code == -EACCES || code == -EPROTO || code == -ENOSPC ||
           code == -EDQUOT || code == -EROFS || code == -ENOENT || code == -EIO || code == -ENOMEM;
}

static int run(struct round *round)
{
    struct err e = ERR_INIT;
    bool first = true, done = false;
    int r;

    do {
        r = do_round(round, &e);
        if (r && first) {
            helper_say(json_pack("{s:s,s:b}", "error", e.text, "may_pass", may_pass(r)));
            return EXIT_FAILURE;
        }
        if (r)
            tell_trouble(e.text);
        first = first && r == 0 && json_array_size(round->missing) > 0 ? true : false;
        done = !r && !json_array_size(round->missing);
        if (!stays(round, done))
            break;
        if (done) { /* nobody is to wait before the task runs */
            round->deps.quiet_ms = (long)number(round->order, "quiet_ms");
            round->deps.quiet_max_ms = (long)number(round->order, "quiet_max_ms");
        }
        deps_wait(&round->deps, tell_trouble);
    } while (true);
    return EXIT_SUCCESS;
}

/* ---- the order ---- */

static struct deps_retry retry_of(const json_t *order, const char *name)
{
    const json_t *retry = json_object_get(order, name);

    return (struct deps_retry){.attempts = (long)number(retry, "attempts"),
                               .backoff_ms = (long)number(retry, "backoff_ms"),
                               .max_backoff_ms = (long)number(retry, "max_backoff_ms")};
}

static const char **denied_of(const json_t *order)
{
    const json_t *list = json_object_get(order, "denied");
    const char **names = calloc(json_array_size(list) + 1, sizeof(*names));

    for (size_t i = 0; names && i < json_array_size(list); i++)
        names[i] = json_string_value(json_array_get(list, i));
    return names;
}

int render(const json_t *order)
{
    autofree const char **denied = denied_of(order);
    struct round round = {
        .order = order,
        .denied = denied,
        .files = {.alloc = RENDER_ALLOC_FD,
                  .task = text_of(order, "task"),
                  .paths = json_object_get(order, "paths"),
                  .sandbox = is_set(order, "sandbox")},
    };
    int code;

    deps_init(&round.deps);
    round.deps.vault.order = json_object_get(order, "vault");
    round.deps.consul.order = json_object_get(order, "consul");
    round.deps.vault_retry = retry_of(order, "vault_retry");
    round.deps.consul_retry = retry_of(order, "consul_retry");
    round.deps.wait_ms = (long)number(order, "wait_ms");
    round.deps.stale = is_set(order, "stale");
    code = run(&round);
    deps_deinit(&round.deps);
    json_decref(round.files.read);
    json_decref(round.missing);
    return code;
}
