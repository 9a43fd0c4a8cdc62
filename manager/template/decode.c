/* SPDX-License-Identifier: MIT */
#include "manager/template/decode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/template/base64.h"
#include "manager/template/http.h"
#include "shared/cleanup.h"

static int bad(struct err *e, const char *who)
{
    return err_set(e, -EPROTO, "%s answers with something else than its documentation says", who);
}

static json_t *member(const json_t *json, const char *name)
{
    json_t *value = json_object_get(json, name);

    return value ? json_incref(value) : json_null();
}

/* ---- Consul ---- */

static json_t *value_of(const json_t *item)
{
    const char *text = json_string_value(json_object_get(item, "Value"));
    size_t size = text ? strlen(text) : 0;
    autofree char *out = malloc(size + 4);

    if (!out || base64_decode(text ? text : "", size, false, out, &size))
        return NULL;
    return json_stringn_nocheck(out, size);
}

static json_t *pair(const json_t *item, const char *prefix)
{
    const char *path = json_string_value(json_object_get(item, "Key")), *key = path;
    size_t n = strlen(prefix);

    if (!path)
        return NULL;
    if (strncmp(path, prefix, n) == 0)
        key += n;
    key += strspn(key, "/");
    return json_pack("{s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o}", "Path", path, "Key", key, "Value",
                     value_of(item), "CreateIndex", member(item, "CreateIndex"), "ModifyIndex",
                     member(item, "ModifyIndex"), "LockIndex", member(item, "LockIndex"), "Flags",
                     member(item, "Flags"), "Session", member(item, "Session"));
}

int decode_pairs(const char *body, size_t size, const char *prefix, json_t **ret, struct err *e)
{
    autofree char *bare = strndup(prefix, strcspn(prefix, "@"));
    json_t *all = json_loadb(body, size, 0, NULL), *list = json_array(), *item;
    bool ok = bare && list && json_is_array(all);
    size_t i;

    json_array_foreach(all, i, item)
    {
        if (ok && json_array_append_new(list, pair(item, bare + strspn(bare, "/"))))
            ok = false;
    }
    json_decref(all);
    if (!ok) {
        json_decref(list);
        return bad(e, "Consul");
    }
    *ret = list;
    return 0;
}

/* ---- Vault ---- */

/* Version 2 of the engine keeps what it deleted, without its data. */
static bool is_deleted(const json_t *data)
{
    const json_t *metadata = json_object_get(data, "metadata");
    const char *when = json_string_value(json_object_get(metadata, "deletion_time"));

    return when && *when && !json_is_object(json_object_get(data, "data"));
}

int decode_secret(const char *body, size_t size, json_t **ret, struct err *e)
{
    json_t *json = json_loadb(body, size, 0, NULL), *data = json_object_get(json, "data");
    int r = json_is_object(data) ? 0 : bad(e, "Vault");

    *ret = NULL;
    if (!r && !is_deleted(data)) {
        *ret = json_pack("{s:O,s:o,s:o,s:o,s:o}", "Data", data, "LeaseID", member(json, "lease_id"),
                         "LeaseDuration", member(json, "lease_duration"), "Renewable",
                         member(json, "renewable"), "RequestID", json_string(""));
        r = *ret ? 0 : err_sys(e, -ENOMEM, "read a secret");
    }
    json_decref(json);
    return r;
}

int decode_names(const char *body, size_t size, json_t **ret, struct err *e)
{
    json_t *json = json_loadb(body, size, 0, NULL);
    json_t *keys = json_object_get(json_object_get(json, "data"), "keys"), *item;
    bool ok = json_is_array(keys);
    size_t i;

    json_array_foreach(keys, i, item) ok = ok && json_is_string(item);
    if (ok)
        *ret = json_incref(keys);
    json_decref(json);
    return ok ? 0 : bad(e, "Vault");
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

char *decode_mount(const char *body, const char *path, const char *query, bool list)
{
    json_t *json = body ? json_loads(body, 0, NULL) : NULL, *data = json_object_get(json, "data");
    const char *mount = json_string_value(json_object_get(data, "path"));
    const char *version =
        json_string_value(json_object_get(json_object_get(data, "options"), "version"));
    size_t n = mount ? strlen(mount) : 0;
    bool second = version && strcmp(version, "2") == 0 && n && mount[n - 1] == '/' &&
                  strncmp(path, mount, n - 1) == 0 && (!path[n - 1] || path[n - 1] == '/');
    const char *rest = second ? path + n - 1 + (path[n - 1] == '/') : path;
    const char *part = list ? "metadata/" : "data/";
    autofree char *head = NULL, *escaped = NULL;
    char *out = NULL;

    if (second && (begins(rest, "data/") || begins(rest, "metadata/") || begins(rest, "subkeys/")))
        second = false;
    if (asprintf(&head, "%.*s%s%s", second ? (int)n : 0, mount ? mount : "", second ? part : "",
                 second ? rest : path) < 0)
        head = NULL;
    escaped = head ? http_escape(head) : NULL;
    if (!escaped || asprintf(&out, "/v1/%s%s%s", escaped, list ? "?list=true" : query, "") < 0)
        out = NULL;
    json_decref(json);
    return out;
}
