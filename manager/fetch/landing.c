/* SPDX-License-Identifier: MIT */
#include "manager/fetch/landing.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/fetch/part.h"
#include "manager/fetch/tree.h"
#include "manager/fetch/work.h"
#include "shared/cleanup.h"
#include "shared/sys.h"

#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#define WORK "work"

static int step(int dir, const char *name, const struct fetch_order *order, struct err *e)
{
    int fd = sys_openat2(dir, name, OPEN_DIR, 0, BENEATH), r;

    if (fd < 0 && errno == ENOENT) {
        if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
            return err_sys(e, -errno, "make directory \"%.200s\" of the destination", name);
        fd = sys_openat2(dir, name, OPEN_DIR, 0, BENEATH);
        if (fd >= 0 && order->chown && fchown(fd, order->uid, order->gid) < 0) {
            r = err_sys(e, -errno, "give \"%.200s\" to the task's user", name);
            (void)close(fd);
            return r;
        }
    }
    if (fd >= 0)
        return fd;
    if (errno == ELOOP || errno == ENOTDIR || errno == EXDEV)
        return err_set(e, -ELOOP,
                       "\"%.100s\" of the destination \"%.200s\" is no directory but a link or a "
                       "file, which the task may have put there; remove it",
                       name, order->destination);
    return err_sys(e, -errno, "open \"%.200s\" of the destination", name);
}

/* To the directory that the destination is, or is in. */
static int walk(const struct fetch_order *order, struct landing *l, struct err *e)
{
    const char *path = order->destination;

    l->dir = dup(FETCH_ALLOC_FD);
    if (l->dir < 0)
        return err_sys(e, -errno, "use the allocation's directory");
    while (*path) {
        size_t n = strcspn(path, "/");
        int next;

        if (n >= sizeof(l->name))
            return err_set(e, -ENAMETOOLONG, "the destination \"%.200s\" has too long a name",
                           path);
        memcpy(l->name, path, n);
        l->name[n] = '\0';
        path += n + (path[n] == '/');
        if (!*path && order->mode == FETCH_MODE_FILE)
            return 0;
        next = step(l->dir, l->name, order, e);
        if (next < 0)
            return next;
        close_fd(&l->dir);
        l->dir = next;
    }
    l->name[0] = '\0';
    return 0;
}

/* A directory that was just made, and that nobody exchanged for another one. */
static int make_own(int dir, const char *name, int *ret_fd, struct err *e)
{
    struct stat st;
    int fd;

    if (mkdirat(dir, name, 0700) < 0)
        return err_sys(e, -errno,
                       "make a directory in the destination to get the artifact together");
    fd = sys_openat2(dir, name, OPEN_DIR, 0, BENEATH);
    if (fd < 0)
        return err_sys(e, -errno, "open \"%s\" in the destination", name);
    if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 077)) {
        (void)close(fd);
        return err_set(e, -EPERM, "\"%s\" in the destination was exchanged for another one", name);
    }
    *ret_fd = fd;
    return 0;
}

/* What an earlier attempt left is put aside, for what of it is still of use. */
static int put_aside(const struct landing *l, const struct fetch_order *order, const char *aside)
{
    int r = tree_remove(l->dir, aside);

    if (r == -ENAMETOOLONG)
        return tree_remove(l->dir, order->stage);
    if (r || renameat(l->dir, order->stage, l->dir, aside) == 0 || errno == ENOENT)
        return r;
    return -errno;
}

/* Its plain file, as the worker made it, and nothing else: who can write to the destination may
 * have put something else there. */
static bool save(int from, int to, const char *name, uid_t maker)
{
    struct stat st;

    return fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           st.st_uid == maker && st.st_nlink == 1 && renameat(from, name, to, name) == 0;
}

static int take_over(const struct landing *l, const struct confine *worker, const char *aside)
{
    autofd int stage = sys_openat2(l->dir, aside, OPEN_DIR, 0, BENEATH), work = -1;

    if (stage >= 0)
        work = sys_openat2(stage, WORK, OPEN_DIR, 0, BENEATH);
    if (work >= 0 && save(work, l->work, PART_FILE, worker->uid))
        (void)save(work, l->work, PART_NOTE, worker->uid);
    return tree_remove(l->dir, aside);
}

int landing_open(const struct fetch_order *order, const struct confine *worker,
                 struct landing *ret_landing, struct err *e)
{
    struct landing l = LANDING_INIT;
    char aside[NAME_MAX + 2];
    int r = walk(order, &l, e);

    (void)snprintf(aside, sizeof(aside), "%s~", order->stage);
    if (!r)
        r = put_aside(&l, order, aside);
    if (!r)
        r = make_own(l.dir, order->stage, &l.stage, e);
    if (!r)
        r = make_own(l.stage, WORK, &l.work, e);
    if (!r && worker->drop && fchown(l.work, worker->uid, worker->gid) < 0)
        r = err_sys(e, -errno, "give the work to user %u", worker->uid);
    if (!r)
        r = take_over(&l, worker, aside);
    if (r && !e->code)
        (void)err_sys(e, r, "remove what an earlier attempt left in \"%s\"", order->stage);
    if (r)
        landing_close(&l, order);
    else
        *ret_landing = l;
    return r;
}

static int settle(const struct landing *l, const struct fetch_order *order, int *ret_fd,
                  struct err *e)
{
    bool repository = order->source.kind == ARTIFACT_GIT || order->source.kind == ARTIFACT_HG;
    const char *subdir = order->source.subdir;
    struct tree_rules rules = {
        .maker = geteuid(),
        .chown = geteuid() == 0,
        .uid = order->chown ? order->uid : geteuid(),
        .gid = order->chown ? order->gid : getegid(),
        .inspected = order->inspected,
        .max_files = repository ? UINT64_MAX : order->max_files,
        .max_bytes = order->max_unpacked,
    };
    autofd int out = sys_openat2(l->work, WORK_TREE, OPEN_DIR, 0, BENEATH);
    struct stat st;
    int r;

    if (out < 0 || fstat(l->work, &st) < 0)
        return err_sys(e, -errno, "open what was got");
    /* Not by the worker: the first version of landlock lets nobody rename from one directory into
     * another. */
    if (order->source.archive == ARCHIVE_NONE &&
        renameat(l->work, PART_FILE, out, order->source.filename) < 0 && errno != ENOENT)
        return err_sys(e, -errno, "name it \"%.200s\"", order->source.filename);
    rules.maker = st.st_uid;
    r = tree_settle(out, &rules, e);
    if (r)
        return r;
    *ret_fd = *subdir ? sys_openat2(out, subdir, OPEN_DIR, 0, BENEATH) : take_fd(&out);
    return *ret_fd < 0 ? err_sys(e, -errno, "find the directory \"%.200s\" in the artifact", subdir)
                       : 0;
}

int landing_finish(const struct landing *l, const struct fetch_order *order, struct err *e)
{
    autofd int tree = -1;
    int r = settle(l, order, &tree, e);

    if (r)
        return r;
    return *l->name ? tree_move_file(tree, l->dir, l->name, e) : tree_merge(tree, l->dir, e);
}

void landing_close(struct landing *l, const struct fetch_order *order)
{
    close_fd(&l->work);
    close_fd(&l->stage);
    if (l->dir >= 0)
        (void)tree_remove(l->dir, order->stage);
    close_fd(&l->dir);
}
