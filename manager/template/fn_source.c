/* SPDX-License-Identifier: MIT
 *
 * What a template asks for outside of itself. What is not there counts as missing, and stands as an
 * empty value meanwhile: so one run finds all that is missing.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "manager/template/engine.h"
#include "shared/cleanup.h"

static int name_of(struct call *c, size_t i, const char **ret)
{
    size_t size;
    int r = call_string(c, i, ret, &size);

    if (!r && strlen(*ret) != size)
        r = call_fail(c, "there is a NUL in the name");
    return r;
}

/* ---- env ---- */

static int fn_env(struct call *c, json_t **ret)
{
    json_t *value;
    const char *name;
    int r = name_of(c, 0, &name);

    if (r)
        return r;
    value = json_object_get(c->ev->in->env, name);
    if (c->fn->id == TMPL_FN_MUST_ENV && !json_string_length(value))
        return call_fail(c, "the variable %.64s is not set, or empty", name);
    if (!value && c->fn->id == TMPL_FN_ENV_OR_DEFAULT) {
        const char *bytes;
        size_t size;

        *ret = c->args[1];
        return call_string(c, 1, &bytes, &size);
    }
    return eval_string(c->ev, value ? json_string_value(value) : "", json_string_length(value),
                       ret);
}

/* ---- sources ---- */

static int note_missing(struct call *c, enum eval_source source, const char *name)
{
    static const char *const forms[EVAL_SOURCE_N] = {
        [EVAL_FILE] = "file",           [EVAL_KEY] = "kv.block",
        [EVAL_KEYS] = "kv.list",        [EVAL_SECRET] = "vault.read",
        [EVAL_SECRETS] = "vault.list",  [EVAL_VAR] = "nomad.var.block",
        [EVAL_VARS] = "nomad.var.list",
    };
    json_t *missing = c->ev->missing, *item;
    char text[256];
    size_t i;

    (void)snprintf(text, sizeof(text), "%s(%.200s)", forms[source], name);
    json_array_foreach(missing, i, item) if (strcmp(json_string_value(item), text) == 0) return 0;
    if (json_array_size(missing) >= EVAL_MAX_MISSING)
        return 0;
    return json_array_append_new(missing, json_string_nocheck(text)) ? -ENOMEM : 0;
}

/* 0: *ret_value is there, and in the pool; EVAL_MISSING. */
static int fetch(struct call *c, enum eval_source source, const char *name, json_t **ret_value)
{
    struct eval *ev = c->ev;
    struct err e = ERR_INIT;
    json_t *value = NULL;
    int r;

    if (!ev->in->fetch)
        return EVAL_MISSING;
    r = eval_step(ev, 64);
    if (r)
        return r;
    r = ev->in->fetch(ev->in->arg, source, name, &value, &e);
    if (r < 0)
        return eval_fail(ev, c->pos, r, "%s: %s", c->fn->name, e.text);
    if (r)
        return r;
    r = eval_spend(ev, json_string_length(value) + 64 * (json_array_size(value) + 1));
    if (r) {
        json_decref(value);
        return r;
    }
    return eval_keep(ev, value, ret_value);
}

/* For those that wait until it is there. */
static int want(struct call *c, enum eval_source source, const char *name, json_t **ret_value)
{
    int r = fetch(c, source, name, ret_value);

    if (r != EVAL_MISSING)
        return r;
    r = note_missing(c, source, name);
    return r ? r : EVAL_MISSING;
}

static enum eval_source source_of(enum tmpl_function_id id)
{
    switch (id) {
    case TMPL_FN_FILE:
        return EVAL_FILE;
    case TMPL_FN_SECRET:
        return EVAL_SECRET;
    case TMPL_FN_SECRETS:
        return EVAL_SECRETS;
    case TMPL_FN_NOMAD_VAR:
    case TMPL_FN_NOMAD_VAR_EXISTS:
        return EVAL_VAR;
    default:
        return EVAL_KEY;
    }
}

/* key, file, secret, secrets, nomadVar. While it is missing: "" for text, no value else. */
static int fn_get(struct call *c, json_t **ret)
{
    enum eval_source source = source_of(c->fn->id);
    const char *name;
    int r = name_of(c, 0, &name);

    if (!r && !*name) /* an empty name comes of a value that is missing itself */
        r = EVAL_MISSING;
    else if (!r)
        r = want(c, source, name, ret);
    if (r != EVAL_MISSING)
        return r;
    return source == EVAL_FILE || source == EVAL_KEY ? eval_string(c->ev, "", 0, ret) : 0;
}

static int fn_exists(struct call *c, json_t **ret)
{
    const char *name;
    json_t *value;
    int r = name_of(c, 0, &name);

    if (!r)
        r = fetch(c, source_of(c->fn->id), name, &value);
    return r < 0 ? r : eval_keep(c->ev, json_boolean(r == 0), ret);
}

static int fn_key_or_default(struct call *c, json_t **ret)
{
    const char *name, *bytes;
    size_t size;
    int r = name_of(c, 0, &name);

    if (!r)
        r = call_string(c, 1, &bytes, &size);
    if (!r)
        r = fetch(c, EVAL_KEY, name, ret);
    if (r == EVAL_MISSING)
        *ret = c->args[1];
    return r < 0 ? r : 0;
}

/* ---- lists ---- */

/* Whether a key below the prefix is one of the list: ls has no deeper ones, tree no directories. */
static bool is_listed(const struct call *c, const char *key)
{
    size_t n = strlen(key);

    if (!n || key[n - 1] == '/')
        return false;
    return c->fn->id == TMPL_FN_TREE || c->fn->id == TMPL_FN_SAFE_TREE || !strchr(key, '/');
}

static int fn_list_keys(struct call *c, json_t **ret)
{
    bool safe = c->fn->id == TMPL_FN_SAFE_LS || c->fn->id == TMPL_FN_SAFE_TREE;
    json_t *all = NULL, *list = NULL, *item;
    const char *prefix;
    size_t i;
    int r = name_of(c, 0, &prefix);

    if (!r)
        r = eval_keep(c->ev, json_array(), &list);
    if (!r && *prefix)
        r = fetch(c, EVAL_KEYS, prefix, &all);
    if (r < 0)
        return r;
    *ret = list;
    json_array_foreach(all, i, item)
    {
        const char *key = json_string_value(json_object_get(item, "Key"));

        if (key && is_listed(c, key) && json_array_append(list, item))
            return -ENOMEM;
    }
    if (safe && !json_array_size(list))
        return note_missing(c, EVAL_KEYS, prefix);
    return eval_step(c->ev, json_array_size(all));
}

static int fn_list_vars(struct call *c, json_t **ret)
{
    const char *prefix = "";
    int r = c->n ? name_of(c, 0, &prefix) : 0;

    if (!r)
        r = fetch(c, EVAL_VARS, prefix, ret);
    if (r < 0)
        return r;
    if (r == EVAL_MISSING) {
        r = eval_keep(c->ev, json_array(), ret);
        if (r)
            return r;
    }
    if (c->fn->id == TMPL_FN_NOMAD_VAR_LIST_SAFE && !json_array_size(*ret))
        return note_missing(c, EVAL_VARS, prefix);
    return 0;
}

const function functions_source[TMPL_FN_N] = {
    [TMPL_FN_ENV] = fn_env,
    [TMPL_FN_MUST_ENV] = fn_env,
    [TMPL_FN_ENV_OR_DEFAULT] = fn_env,
    [TMPL_FN_FILE] = fn_get,
    [TMPL_FN_KEY] = fn_get,
    [TMPL_FN_KEY_EXISTS] = fn_exists,
    [TMPL_FN_KEY_OR_DEFAULT] = fn_key_or_default,
    [TMPL_FN_LS] = fn_list_keys,
    [TMPL_FN_SAFE_LS] = fn_list_keys,
    [TMPL_FN_TREE] = fn_list_keys,
    [TMPL_FN_SAFE_TREE] = fn_list_keys,
    [TMPL_FN_SECRET] = fn_get,
    [TMPL_FN_SECRETS] = fn_get,
    [TMPL_FN_NOMAD_VAR] = fn_get,
    [TMPL_FN_NOMAD_VAR_EXISTS] = fn_exists,
    [TMPL_FN_NOMAD_VAR_LIST] = fn_list_vars,
    [TMPL_FN_NOMAD_VAR_LIST_SAFE] = fn_list_vars,
};
