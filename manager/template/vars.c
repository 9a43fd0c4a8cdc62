/* SPDX-License-Identifier: MIT
 *
 * The directory is the operator's; the path is the job's, and stays beneath it.
 */
#include "manager/template/vars.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/sys.h"

enum {
    MAX_DEPTH = 32,
    MAX_VARS = 10000,
    MAX_BYTES = 1 << 20,
};

static int open_dir(const char *dir, struct err *e)
{
    int fd;

    if (!*dir)
        return err_set(e, -ENOENT,
                       "this node has no variables: its operator sets client { template { "
                       "variables_dir } }");
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_sys(e, -errno, "open the directory of variables %s", dir) : fd;
}

static int check_items(const char *path, json_t *json, json_t **ret_items, struct err *e)
{
    json_t *inner = json_object_get(json, "Items"), *items = json_is_object(inner) ? inner : json;
    const char *key;
    json_t *value;

    if (!json_is_object(items))
        return err_set(e, -EINVAL, "the variable %s is no object of strings", path);
    json_object_foreach(items, key, value)
    {
        if (!json_is_string(value))
            return err_set(e, -EINVAL, "the item \"%.64s\" of the variable %s is no string", key,
                           path);
    }
    *ret_items = json_incref(items);
    return 0;
}

int vars_read(const char *dir, const char *path, json_t **ret_items, struct err *e)
{
    autofd int top = open_dir(dir, e), fd = -1;
    autofree char *name = NULL;
    json_error_t error;
    struct stat st;
    json_t *json;
    int r;

    if (top < 0)
        return top;
    if (asprintf(&name, "%s.json", path) < 0)
        return -ENOMEM;
    fd = sys_openat2(top, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0,
                     RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
    if (fd < 0)
        return err_sys(e, -errno, "read the variable %s", path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > MAX_BYTES)
        return err_set(e, -EINVAL, "the variable %s is no plain file of up to %d bytes", path,
                       MAX_BYTES);
    json = json_loadfd(fd, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        return err_set(e, -EINVAL, "the variable %s: line %d: %s", path, error.line, error.text);
    r = check_items(path, json, ret_items, e);
    json_decref(json);
    return r;
}

static int list_below(int parent, const char *path, const char *prefix, unsigned int depth,
                      json_t *list);

static int list_one(int dir, const char *path, const struct dirent *entry, const char *prefix,
                    unsigned int depth, json_t *list)
{
    size_t n = strlen(entry->d_name), m = strlen(prefix);
    autofree char *full = NULL;

    if (entry->d_name[0] == '.')
        return 0;
    if (asprintf(&full, "%s%s%s", path, *path ? "/" : "", entry->d_name) < 0)
        return -ENOMEM;
    if (entry->d_type == DT_DIR) {
        autofd int below = openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return below < 0 ? 0 : list_below(below, full, prefix, depth + 1, list);
    }
    if (n < 6 || strcmp(entry->d_name + n - 5, ".json") != 0)
        return 0;
    full[strlen(full) - 5] = '\0';
    if (strncmp(full, prefix, m) != 0 || json_array_size(list) >= MAX_VARS)
        return 0;
    return json_array_append_new(list, json_pack("{s:s}", "Path", full)) ? -ENOMEM : 0;
}

static int list_below(int parent, const char *path, const char *prefix, unsigned int depth,
                      json_t *list)
{
    int fd = depth > MAX_DEPTH ? -1 : fcntl(parent, F_DUPFD_CLOEXEC, 3), r = 0;
    autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (fd >= 0 && !dir)
        (void)close(fd);
    while (dir && !r && (entry = readdir(dir)))
        r = list_one(fd, path, entry, prefix, depth, list);
    return r;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(json_string_value(json_object_get(*(json_t *const *)a, "Path")),
                  json_string_value(json_object_get(*(json_t *const *)b, "Path")));
}

int vars_list(const char *dir, const char *prefix, json_t **ret_list, struct err *e)
{
    autofd int top = open_dir(dir, e);
    json_t *list = json_array(), *sorted = json_array();
    autofree json_t **items = NULL;
    size_t n;
    int r = top < 0 ? top : list && sorted ? list_below(top, "", prefix, 0, list) : -ENOMEM;

    n = json_array_size(list);
    items = calloc(n + 1, sizeof(*items));
    for (size_t i = 0; items && i < n; i++)
        items[i] = json_array_get(list, i);
    if (items)
        qsort(items, n, sizeof(*items), by_path);
    for (size_t i = 0; !r && i < n; i++)
        if (!items || json_array_append(sorted, items[i]))
            r = err_sys(e, -ENOMEM, "list variables");
    json_decref(list);
    if (r) {
        json_decref(sorted);
        return r;
    }
    *ret_list = sorted;
    return 0;
}
