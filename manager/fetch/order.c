/* SPDX-License-Identifier: MIT */
#include "manager/fetch/order.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/procid.h"

static const char *const modes[FETCH_MODE_N] = {"any", "file", "dir"};

static bool is_clean(const char *path)
{
    if (!*path || *path == '/')
        return false;
    while (*path) {
        size_t n = strcspn(path, "/");

        if (n == 0 || (n == 1 && path[0] == '.') || (n == 2 && path[0] == '.' && path[1] == '.'))
            return false;
        path += n + (path[n] == '/');
    }
    return true;
}

static int read_mode(const char *text, enum fetch_mode *ret_mode, struct err *e)
{
    for (int i = 0; i < FETCH_MODE_N; i++)
        if (strcmp(text, modes[i]) == 0) {
            *ret_mode = (enum fetch_mode)i;
            return 0;
        }
    return err_set(e, -EINVAL, "mode \"%.40s\" is none of any, file and dir", text);
}

static bool all_strings(const json_t *list)
{
    const json_t *value;
    size_t i;

    if (list && !json_is_array(list))
        return false;
    json_array_foreach(list, i, value) if (!json_is_string(value)) return false;
    return true;
}

/* A header that holds a line's end would be two. */
static int check_headers(const json_t *headers, struct err *e)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)headers, name, value)
    {
        const char *text = json_string_value(value);

        if (!text || !*name || strpbrk(name, ": \r\n\t") || strpbrk(text, "\r\n"))
            return err_set(e, -EINVAL, "\"%.60s\" is no HTTP header", name);
    }
    return 0;
}

int fetch_order_read(json_t *json, struct fetch_order *ret_order, struct err *e)
{
    const char *source = "", *mode = "any";
    json_t *options = NULL, *headers = NULL, *extra = NULL, *files = NULL;
    json_int_t uid = 0, gid = 0, bytes = 0, unpacked = 0, files_max = 0;
    int insecure = 0, executable = 0, chown = 0, isolated = 1, inspected = 1, r;
    struct fetch_order order = {.inspected = true};
    json_error_t bad;

    if (json_unpack_ex(json, &bad, 0,
                       "{s:s, s:s, s:s, s?s, s?o, s?o, s?b, s?b, s?b, s?I, s?I, s?b, s?b, s?o, s?o,"
                       " s:I, s:I, s:I, s:F}",
                       "source", &source, "destination", &order.destination, "stage", &order.stage,
                       "mode", &mode, "options", &options, "headers", &headers, "insecure",
                       &insecure, "executable", &executable, "chown", &chown, "uid", &uid, "gid",
                       &gid, "isolated", &isolated, "inspected", &inspected, "file_paths", &files,
                       "extra_paths", &extra, "max_bytes", &bytes, "max_unpacked", &unpacked,
                       "max_files", &files_max, "timeout", &order.timeout_s) < 0)
        return err_set(e, -EINVAL, "the order is not understood: %s", bad.text);
    if (!is_clean(order.destination) || !is_clean(order.stage) || strchr(order.stage, '/'))
        return err_set(e, -EINVAL, "the destination \"%.200s\" is no clean path",
                       order.destination);
    if (bytes <= 0 || unpacked <= 0 || files_max <= 0 || !(order.timeout_s > 0) || uid < 0 ||
        gid < 0 || uid >= UINT32_MAX || gid >= UINT32_MAX)
        return err_set(e, -EINVAL, "a limit or an id in the order is out of its range");
    if (!all_strings(extra) || !all_strings(files))
        return err_set(e, -EINVAL, "a list of paths in the order is no list of texts");
    r = read_mode(mode, &order.mode, e);
    if (!r)
        r = check_headers(headers, e);
    if (!r)
        r = artifact_source_parse(source, json_is_object(options) ? options : NULL, &order.source,
                                  e);
    if (r)
        return r;
    order.headers = headers;
    order.extra_paths = extra;
    order.insecure = insecure;
    order.executable = executable;
    order.chown = chown;
    order.file_paths = files;
    order.isolated = isolated;
    order.inspected = inspected;
    order.uid = (uid_t)uid;
    order.gid = (gid_t)gid;
    order.max_bytes = (uint64_t)bytes;
    order.max_unpacked = (uint64_t)unpacked;
    order.max_files = (uint64_t)files_max;
    order.json = json_incref(json);
    *ret_order = order;
    return 0;
}

/* Of all that was ordered; and after the machine's end a file may have lost what was written to it
 * last, without being any shorter. */
int fetch_order_key(const struct fetch_order *order, char ret_key[FETCH_KEY_BYTES], struct err *e)
{
    autofree char *text = json_dumps(order->json, JSON_COMPACT | JSON_SORT_KEYS);
    char boot[BOOT_ID_BYTES];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int r = procid_boot_id(boot);

    if (!r && (!text || !ctx || !EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) ||
               !EVP_DigestUpdate(ctx, boot, strlen(boot)) ||
               !EVP_DigestUpdate(ctx, text, strlen(text)) || !EVP_DigestFinal_ex(ctx, digest, &n)))
        r = -ENOMEM;
    EVP_MD_CTX_free(ctx);
    if (r)
        return err_sys(e, r, "tell one order from another");
    for (unsigned int i = 0; i < n; i++)
        (void)sprintf(ret_key + 2 * i, "%02x", digest[i]);
    return 0;
}

void fetch_order_deinit(struct fetch_order *order)
{
    artifact_source_deinit(&order->source);
    json_decref(order->json);
    *order = (struct fetch_order){0};
}
