/* SPDX-License-Identifier: MIT
 *
 * Files and their names. What is no absolute path is looked for where the job file is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/hcl/functions.h"

enum {
    MAX_FILES = 65536, /* that fileset() looks at */
    MAX_FILE_DEPTH = 64,
};

/* Whether this host's files may be looked at. */
static int allowed(struct call *c)
{
    if (c->x->ev->options->files)
        return 0;
    return call_fail(c, "%s() is for the command line: the manager reads no files for a job file",
                     c->name);
}

/* Argument `i` as a path from here: malloc'ed. */
static int take_path(struct call *c, size_t i, char **ret)
{
    const char *base = c->x->ev->options->base_dir, *path;
    int r = allowed(c);

    if (r == 0)
        r = call_text(c, i, &path);
    if (r < 0)
        return r;
    if (asprintf(ret, "%s%s%s", base && *path != '/' ? base : "", base && *path != '/' ? "/" : "",
                 path) < 0)
        return -ENOMEM;
    return 0;
}

/* The file's bytes, with a NUL behind them. */
static int read_bytes(struct call *c, char **ret, size_t *ret_size)
{
    autofree char *path = NULL, *text = NULL;
    int r = take_path(c, 0, &path);
    autofd int fd = r < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t size = 0, room = 4096;
    struct stat st;
    ssize_t n = 1;

    if (r < 0)
        return r;
    if (fd < 0 || fstat(fd, &st) < 0)
        return call_fail(c, "%.100s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size > HCL_MAX_BYTES)
        return call_fail(c, "%.100s is no file of at most %d bytes", path, HCL_MAX_BYTES);
    while (n > 0) {
        char *grown = size + 1 < room && text ? text : realloc(text, room *= 2);

        if (!grown)
            return -ENOMEM;
        text = grown;
        n = read(fd, text + size, room - size - 1);
        if (n < 0)
            return call_fail(c, "%.100s cannot be read: %s", path, strerror(errno));
        size += (size_t)n;
        if (size > HCL_MAX_BYTES)
            return call_fail(c, "%.100s is no file of at most %d bytes", path, HCL_MAX_BYTES);
    }
    text[size] = '\0';
    *ret = take_ptr(text);
    *ret_size = size;
    return 0;
}

static int f_file(struct call *c)
{
    autofree char *text = NULL;
    size_t size;
    int r = read_bytes(c, &text, &size);

    return r < 0 ? r : call_give_bytes(c, text, size);
}

static int f_filebase64(struct call *c)
{
    autofree char *text = NULL;
    size_t size;
    int r = read_bytes(c, &text, &size);

    return r < 0 ? r : call_give_base64(c, text, size);
}

static int f_fileexists(struct call *c)
{
    autofree char *path = NULL;
    int r = take_path(c, 0, &path);
    struct stat st;

    return r < 0 ? r : call_give_bool(c, stat(path, &st) == 0 && S_ISREG(st.st_mode));
}

/* ---- fileset() ---- */

struct fileset {
    struct call *c;
    size_t looked_at;
};

static int add_files(struct fileset *fs, const char *dir, const char *name, const char *pattern,
                     unsigned int depth);

/* What is in `dir` and fits the first part of `pattern`, which ends before `rest`. */
static int match_entries(struct fileset *fs, const char *dir, const char *name, const char *pattern,
                         const char *rest, unsigned int depth)
{
    char part[NAME_MAX + 1];
    bool any_depth, last = !*rest;
    struct dirent *entry;
    DIR *open_dir;
    int r = 0;

    if ((size_t)(rest - pattern) > NAME_MAX)
        return call_fail(fs->c, "a part of the pattern of fileset() is too long");
    memcpy(part, pattern, (size_t)(rest - pattern));
    part[rest - pattern] = '\0';
    any_depth = strcmp(part, "**") == 0;
    if (any_depth && !last) /* no directory at all */
        r = add_files(fs, dir, name, rest + 1, depth);
    open_dir = r == 0 ? opendir(dir) : NULL;
    while (r == 0 && open_dir && (entry = readdir(open_dir))) {
        autofree char *path = NULL, *inner = NULL;
        struct stat st;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            (!any_depth && fnmatch(part, entry->d_name, 0) != 0))
            continue;
        if (++fs->looked_at > MAX_FILES)
            r = call_fail(fs->c, "fileset() looks at more than %d files", MAX_FILES);
        else if (asprintf(&path, "%s/%s", dir, entry->d_name) < 0 ||
                 asprintf(&inner, "%s%s%s", name, *name ? "/" : "", entry->d_name) < 0)
            r = -ENOMEM;
        else if ((any_depth ? lstat : stat)(path, &st) < 0)
            continue;
        else if (S_ISDIR(st.st_mode) && (any_depth || !last))
            r = add_files(fs, path, inner, any_depth ? pattern : rest + 1, depth + 1);
        else if (last && (S_ISREG(st.st_mode) ||
                          (S_ISLNK(st.st_mode) && stat(path, &st) == 0 && S_ISREG(st.st_mode))))
            r = call_add_text(fs->c, inner, strlen(inner));
    }
    if (open_dir)
        (void)closedir(open_dir);
    return r;
}

/* `name`: of `dir`, from where fileset() begins. */
static int add_files(struct fileset *fs, const char *dir, const char *name, const char *pattern,
                     unsigned int depth)
{
    const char *rest = strchrnul(pattern, '/');

    if (depth > MAX_FILE_DEPTH)
        return call_fail(fs->c, "fileset() goes deeper than %d directories", MAX_FILE_DEPTH);
    return match_entries(fs, dir, name, pattern, rest, depth);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct hcl_value *)a)->string, ((const struct hcl_value *)b)->string);
}

static int f_fileset(struct call *c)
{
    struct fileset fs = {.c = c};
    autofree char *dir = NULL;
    const char *pattern;
    size_t kept = 0;
    int r = take_path(c, 0, &dir);

    if (r == 0)
        r = call_text(c, 1, &pattern);
    if (r == 0 && strpbrk(pattern, "{\\"))
        r = call_fail(c, "the pattern of fileset() has *, ?, [a-z] and **, but no { and \\");
    call_give_list(c);
    if (r == 0)
        r = add_files(&fs, dir, "", pattern, 0);
    if (r < 0 || !c->ret->n_items)
        return r;
    qsort(c->ret->items, c->ret->n_items, sizeof(*c->ret->items), by_text);
    for (size_t i = 0; i < c->ret->n_items; i++) /* "**" twice finds some twice */
        if (i == 0 || strcmp(c->ret->items[i].string, c->ret->items[kept - 1].string) != 0)
            c->ret->items[kept++] = c->ret->items[i];
    c->ret->n_items = kept;
    return 0;
}

/* ---- names ---- */

/* Without ".", ".." and doubled slashes, in place; `path` is absolute. */
static void clean(char *path)
{
    char *to = path;

    for (const char *at = path; *at;) {
        size_t n;

        at += strspn(at, "/");
        n = strcspn(at, "/");
        if (n == 2 && strncmp(at, "..", 2) == 0) {
            while (to > path && *--to != '/')
                ;
        } else if (n && !(n == 1 && *at == '.')) {
            *to++ = '/';
            memmove(to, at, n);
            to += n;
        }
        at += n;
    }
    if (to == path)
        *to++ = '/';
    *to = '\0';
}

static int f_abspath(struct call *c)
{
    autofree char *here = NULL, *whole = NULL;
    const char *path;
    int r = allowed(c);

    if (r == 0)
        r = call_text(c, 0, &path);
    if (r < 0)
        return r;
    here = getcwd(NULL, 0);
    if (!here || asprintf(&whole, "%s/%s", *path == '/' ? "" : here, path) < 0)
        return -ENOMEM;
    clean(whole);
    return call_give_text(c, whole, strlen(whole));
}

/* "~/x" in the home directory. */
static int f_pathexpand(struct call *c)
{
    const char *path, *home = getenv("HOME");
    autofree char *whole = NULL;
    int r = allowed(c);

    if (r == 0)
        r = call_text(c, 0, &path);
    if (r < 0)
        return r;
    if (*path != '~')
        return call_give_text(c, path, strlen(path));
    if (path[1] && path[1] != '/')
        return call_fail(c, "pathexpand() knows ~/ only, not another user's home");
    if (!home || !*home)
        return call_fail(c, "pathexpand() finds no HOME in the environment");
    if (asprintf(&whole, "%s%s", home, path + 1) < 0)
        return -ENOMEM;
    return call_give_text(c, whole, strlen(whole));
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

const struct function functions_file[] = {
    {"abspath", 1, 1, f_abspath},
    {"basename", 1, 1, f_basename},
    {"dirname", 1, 1, f_dirname},
    {"file", 1, 1, f_file},
    {"filebase64", 1, 1, f_filebase64},
    {"fileexists", 1, 1, f_fileexists},
    {"fileset", 2, 2, f_fileset},
    {"pathexpand", 1, 1, f_pathexpand},
    {0},
};
