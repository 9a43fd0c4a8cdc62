/* SPDX-License-Identifier: MIT
 *
 * Base64, JSON, files and their names.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/hcl/functions.h"
#include "shared/hcl/json.h"

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int f_base64encode(struct call *c)
{
    const char *text;
    int r = call_text(c, 0, &text);
    size_t n = r < 0 ? 0 : strlen(text);
    autofree char *out = malloc(4 * (n + 2) / 3 + 4);
    char *p = out;

    if (r < 0 || !out)
        return r < 0 ? r : -ENOMEM;
    for (size_t i = 0; i < n; i += 3) {
        unsigned int b = (unsigned int)(unsigned char)text[i] << 16;

        if (i + 1 < n)
            b |= (unsigned int)(unsigned char)text[i + 1] << 8;
        if (i + 2 < n)
            b |= (unsigned char)text[i + 2];
        *p++ = base64[b >> 18];
        *p++ = base64[b >> 12 & 63];
        *p++ = i + 1 < n ? base64[b >> 6 & 63] : '=';
        *p++ = i + 2 < n ? base64[b & 63] : '=';
    }
    return call_give_text(c, out, (size_t)(p - out));
}

static int f_base64decode(struct call *c)
{
    const char *text;
    int r = call_text(c, 0, &text);
    autofree char *out = r < 0 ? NULL : malloc(strlen(text) + 4);
    unsigned int bits = 0, n_bits = 0;
    json_t *probe;
    char *p = out;

    if (r < 0 || !out)
        return r < 0 ? r : -ENOMEM;
    for (; *text && *text != '='; text++) {
        const char *digit = strchr(base64, *text);

        if (!digit)
            return call_fail(c, "this is not base64");
        bits = bits << 6 | (unsigned int)(digit - base64);
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            *p = (char)(bits >> n_bits & 0xff);
            if (!*p++)
                return call_fail(c, "what base64decode() makes of this is no text");
        }
    }
    if (text[strspn(text, "=")])
        return call_fail(c, "this is not base64");
    *p = '\0';
    probe = json_string(out); /* NULL: not UTF-8 */
    if (!probe)
        return call_fail(c, "what base64decode() makes of this is no text");
    json_decref(probe);
    return call_give_text(c, out, (size_t)(p - out));
}

static int f_jsonencode(struct call *c)
{
    json_t *json = hcl_to_json(&c->args[0]);
    autofree char *text =
        json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;

    json_decref(json);
    return text ? call_give_text(c, text, strlen(text)) : -ENOMEM;
}

static int f_jsondecode(struct call *c)
{
    json_error_t error;
    const char *text;
    int r = call_text(c, 0, &text);
    json_t *json;

    if (r == 0)
        r = eval_account(c->x, c->at, 8 * strlen(text));
    if (r < 0)
        return r;
    json = json_loads(text, JSON_DECODE_ANY, &error);
    if (!json)
        return call_fail(c, "this is not JSON: line %d column %d: %.80s", error.line, error.column,
                         error.text);
    r = hcl_from_json(c->x->ev->arena, json, c->ret);
    json_decref(json);
    return r == -EINVAL ? call_fail(c, "this JSON has a text with a NUL, or is nested too deeply")
                        : r;
}

static int open_file(struct call *c, const char **ret_path)
{
    int r = call_text(c, 0, ret_path), fd;

    if (r < 0)
        return r;
    if (!c->x->ev->options->files)
        return call_fail(
            c, "%s() is for the command line: the manager reads no files for a job file", c->name);
    fd = open(*ret_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static int f_file(struct call *c)
{
    const char *path = "";
    autofd int fd = open_file(c, &path);
    autofree char *text = NULL;
    struct stat st;
    json_t *probe;
    ssize_t n;

    if (fd == -EINVAL)
        return fd;
    if (fd < 0 || fstat(fd, &st) < 0)
        return call_fail(c, "%.100s: %s", path, strerror(fd < 0 ? -fd : errno));
    if (!S_ISREG(st.st_mode) || st.st_size > HCL_MAX_BYTES)
        return call_fail(c, "%.100s is no file of at most %d bytes", path, HCL_MAX_BYTES);
    text = malloc((size_t)st.st_size + 1);
    n = text ? read(fd, text, (size_t)st.st_size) : -1;
    if (n < 0)
        return call_fail(c, "%.100s cannot be read", path);
    text[n] = '\0';
    probe = json_stringn(text, (size_t)n);
    json_decref(probe);
    if (!probe || strlen(text) != (size_t)n)
        return call_fail(c, "%.100s is not UTF-8 text", path);
    return call_give_text(c, text, (size_t)n);
}

static int f_fileexists(struct call *c)
{
    const char *path;
    autofd int fd = open_file(c, &path);
    struct stat st;

    if (fd == -EINVAL)
        return fd;
    return call_give_bool(c, fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode));
}

static int f_basename(struct call *c)
{
    const char *path, *slash;
    int r = call_text(c, 0, &path);

    if (r < 0)
        return r;
    slash = strrchr(path, '/');
    path = slash ? slash + 1 : path;
    return call_give_text(c, path, strlen(path));
}

static int f_dirname(struct call *c)
{
    const char *path, *slash;
    int r = call_text(c, 0, &path);

    if (r < 0)
        return r;
    slash = strrchr(path, '/');
    if (!slash)
        return call_give_text(c, ".", 1);
    return call_give_text(c, path, slash == path ? 1 : (size_t)(slash - path));
}

const struct function functions_data[] = {
    {"base64decode", 1, 1, f_base64decode},
    {"base64encode", 1, 1, f_base64encode},
    {"basename", 1, 1, f_basename},
    {"dirname", 1, 1, f_dirname},
    {"file", 1, 1, f_file},
    {"fileexists", 1, 1, f_fileexists},
    {"jsondecode", 1, 1, f_jsondecode},
    {"jsonencode", 1, 1, f_jsonencode},
    {0},
};
