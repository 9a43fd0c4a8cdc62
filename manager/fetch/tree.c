/* SPDX-License-Identifier: MIT
 *
 * Everything is done beneath descriptors. A plain file with several names must have all of them in
 * the tree: else a name outside would stay for it, which a later change of the owner would reach.
 */
#include "manager/fetch/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/fetch/unpack.h"
#include "shared/cleanup.h"
#include "shared/sys.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

struct names { /* of one inode with several */
    ino_t inode;
    nlink_t left;
};

struct walk {
    const struct tree_rules *rules;
    bool settles; /* the second time: owners and modes are changed, once all was looked at */
    uint64_t files, bytes;
    void *linked; /* of struct names, by inode */
    char path[PATH_MAX];
    struct err *e;
};

static bool is_dots(const char *name)
{
    return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* A stream of its own; `dir` stays where it is. */
static DIR *list(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);

    if (!stream && fd >= 0)
        (void)close(fd);
    return stream;
}

static int by_inode(const void *a, const void *b)
{
    const struct names *x = a, *y = b;

    return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static int refuse(struct walk *w, const char *what)
{
    return err_set(w->e, -EINVAL, "\"%.300s\" in the artifact %s", w->path, what);
}

/* ---- looking through ---- */

static int count_name(struct walk *w, const struct stat *st)
{
    struct names *names, **found;

    if (st->st_nlink < 2)
        return 0;
    names = malloc(sizeof(*names));
    if (!names)
        return err_sys(w->e, -ENOMEM, "look through the artifact");
    *names = (struct names){.inode = st->st_ino, .left = st->st_nlink};
    found = tsearch(names, &w->linked, by_inode);
    if (!found || *found != names)
        free(names);
    if (!found)
        return err_sys(w->e, -ENOMEM, "look through the artifact");
    (*found)->left--;
    return 0;
}

static int check_link(struct walk *w, int dir, const char *name)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

    if (n < 0)
        return err_sys(w->e, -errno, "read the link \"%.300s\"", w->path);
    target[n] = '\0';
    if (!w->rules->inspected || unpack_link_stays(w->path, target))
        return 0;
    return err_set(w->e, -EINVAL,
                   "\"%.200s\" in the artifact is a symbolic link to \"%.200s\", which is or may "
                   "come to be outside",
                   w->path, target);
}

/* `fd` is O_PATH: the very thing that was looked at is changed. */
static int set_owner(struct walk *w, int fd, const struct stat *st)
{
    char path[40];

    if (w->rules->chown &&
        fchownat(fd, "", w->rules->uid, w->rules->gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(w->e, -errno, "give \"%.300s\" to its user", w->path);
    if (S_ISLNK(st->st_mode) || !(st->st_mode & 07000))
        return 0;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return chmod(path, st->st_mode & 0777) < 0
               ? err_sys(w->e, -errno, "change the mode of \"%.300s\"", w->path)
               : 0;
}

static int walk_dir(struct walk *w, int dir, int depth);

static int check_entry(struct walk *w, int dir, const char *name, const struct stat *st)
{
    int r = 0;

    if (st->st_uid != w->rules->maker)
        return refuse(w, "belongs to another user");
    if (++w->files > w->rules->max_files)
        return err_set(w->e, -EFBIG, "the artifact has more than %llu files",
                       (unsigned long long)w->rules->max_files);
    w->bytes += (uint64_t)st->st_blocks * 512;
    if (S_ISREG(st->st_mode))
        r = count_name(w, st);
    else if (S_ISLNK(st->st_mode))
        r = check_link(w, dir, name);
    else if (!S_ISDIR(st->st_mode))
        r = refuse(w, "is neither a file, a directory nor a link");
    if (!r && w->bytes > w->rules->max_bytes)
        r = err_set(w->e, -EFBIG, "the artifact is larger than %llu bytes",
                    (unsigned long long)w->rules->max_bytes);
    return r;
}

static int walk_entry(struct walk *w, int dir, const char *name, int depth)
{
    autofd int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), sub = -1;
    struct stat st;
    int r;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(w->e, -errno, "look at \"%.300s\"", w->path);
    r = w->settles ? set_owner(w, fd, &st) : check_entry(w, dir, name, &st);
    if (r || !S_ISDIR(st.st_mode))
        return r;
    sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return sub < 0 ? err_sys(w->e, -errno, "open \"%.300s\"", w->path)
                   : walk_dir(w, sub, depth + 1);
}

static int walk_dir(struct walk *w, int dir, int depth)
{
    autodir DIR *stream = list(dir);
    size_t len = strlen(w->path);
    struct dirent *entry;
    int r = 0;

    if (depth > 2 * UNPACK_DEPTH_MAX)
        return refuse(w, "is too deep");
    if (!stream)
        return err_sys(w->e, -errno, "list \"%.300s\"", w->path);
    while (!r && (entry = readdir(stream))) {
        if (is_dots(entry->d_name))
            continue;
        if (snprintf(w->path + len, sizeof(w->path) - len, "%s%s", len ? "/" : "", entry->d_name) >=
            (int)(sizeof(w->path) - len))
            return refuse(w, "has too long a path");
        r = walk_entry(w, dir, entry->d_name, depth);
        if (!r)
            w->path[len] = '\0';
    }
    return r;
}

static bool outside;

static void note_outside(const void *node, VISIT visit, int depth)
{
    const struct names *const *names = node;

    (void)depth;
    if ((visit == preorder || visit == leaf) && (*names)->left)
        outside = true;
}

int tree_settle(int dir, const struct tree_rules *rules, struct err *e)
{
    struct walk w = {.rules = rules, .e = e};
    int r = walk_dir(&w, dir, 0);

    outside = false;
    twalk(w.linked, note_outside);
    tdestroy(w.linked, free);
    if (!r && outside)
        r = err_set(e, -EINVAL, "a file of the artifact has a name outside of it");
    w.settles = true;
    return r ? r : walk_dir(&w, dir, 0);
}

/* ---- moving ---- */

static int merge_entry(int from, int to, const char *name, struct err *e)
{
    autofd int source = -1, target = -1;
    int r;

    if (renameat2(from, name, to, name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EEXIST)
        return err_sys(e, -errno, "move \"%.200s\" into its place", name);
    source = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (source < 0) { /* no directory: it takes the place of a file or link */
        if (renameat(from, name, to, name) == 0)
            return 0;
        return err_sys(e, -errno, "put \"%.200s\" in the place of what is there", name);
    }
    target = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (target >= 0) {
        r = tree_merge(source, target, e);
        return r ? err_wrap(e, "%.100s", name) : 0;
    }
    if (unlinkat(to, name, 0) < 0 || renameat(from, name, to, name) < 0)
        return err_sys(e, -errno, "put the directory \"%.200s\" in the place of what is there",
                       name);
    return 0;
}

int tree_merge(int from, int to, struct err *e)
{
    autodir DIR *stream = list(from);
    struct dirent *entry;
    int r = 0;

    if (!stream)
        return err_sys(e, -errno, "list what was got");
    while (!r && (entry = readdir(stream)))
        if (!is_dots(entry->d_name))
            r = merge_entry(from, to, entry->d_name, e);
    return r;
}

int tree_move_file(int from, int to, const char *name, struct err *e)
{
    autodir DIR *stream = list(from);
    char only[NAME_MAX + 1] = "";
    struct dirent *entry;
    struct stat st = {0};
    int n = 0;

    if (!stream)
        return err_sys(e, -errno, "list what was got");
    while ((entry = readdir(stream)))
        if (!is_dots(entry->d_name) && n++ == 0)
            (void)snprintf(only, sizeof(only), "%s", entry->d_name);
    if (n != 1 || fstatat(from, only, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return err_set(e, -EINVAL,
                       "with mode = \"file\" an artifact is one file, and this is %s; use mode = "
                       "\"any\" or \"dir\"",
                       n > 1    ? "several"
                       : n == 0 ? "empty"
                                : "no plain file");
    if (renameat(from, only, to, name) < 0)
        return err_sys(e, -errno, "put the artifact in its place \"%.200s\"", name);
    return 0;
}

/* ---- removing ---- */

static int empty(int dir)
{
    autodir DIR *stream = list(dir);
    struct dirent *entry;
    int r = stream ? 0 : -errno;

    while (!r && (entry = readdir(stream)))
        if (!is_dots(entry->d_name))
            r = tree_remove(dir, entry->d_name);
    return r;
}

int tree_empty(const char *path)
{
    autofd int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return dir < 0 ? -errno : empty(dir);
}

int tree_remove(int dir, const char *name)
{
    autofd int sub = -1;
    int r;

    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (sub < 0)
        return -errno;
    (void)fchmod(sub, 0700);
    r = empty(sub);
    if (r)
        return r;
    return unlinkat(dir, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}
