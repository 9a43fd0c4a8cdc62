/* SPDX-License-Identifier: MIT
 *
 * Everything is reached from a descriptor of the directory it is in, and what was looked at is what
 * is changed: a plain file or directory is opened by way of an O_PATH descriptor of it, so that
 * nothing else can have taken its place, and no device is ever opened.
 */
#include "manager/disk/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/sys.h"

struct walk {
    bool labels;
    uint32_t project;
    struct walk_result result;
    void *linked; /* inodes with several names that were seen, for tsearch(3) */
    struct err *e;
};

static int by_inode(const void *a, const void *b)
{
    const ino_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Whether it is the first of an inode's names. */
static bool is_first(struct walk *w, const struct stat *st)
{
    ino_t *inode = malloc(sizeof(*inode)), **found;

    if (!inode)
        abort();
    *inode = st->st_ino;
    found = tsearch(inode, &w->linked, by_inode);
    if (!found)
        abort();
    if (*found == inode)
        return true;
    free(inode);
    return false;
}

/* Counting goes on without what cannot be looked at. */
static int give_up(struct walk *w, int r, const char *what, const char *name)
{
    if (r == -ENOENT)
        return 0;
    if (w->labels || r == -ENOMEM || r == -EMFILE || r == -ENFILE)
        return err_sys(w->e, r, "%s \"%.200s\"", what, name);
    w->result.partial = true;
    return 0;
}

static int set_project(const struct walk *w, int fd, const struct stat *st)
{
    struct fsxattr attr;
    uint32_t inherit = S_ISDIR(st->st_mode) ? FS_XFLAG_PROJINHERIT : 0;

    if (ioctl(fd, FS_IOC_FSGETXATTR, &attr) < 0)
        return -errno;
    if (attr.fsx_projid == w->project && (attr.fsx_xflags & inherit) == inherit)
        return 0;
    if (!attr.fsx_projid && !inherit && st->st_nlink > 1)
        return 0;
    attr.fsx_projid = w->project;
    attr.fsx_xflags |= inherit;
    return ioctl(fd, FS_IOC_FSSETXATTR, &attr) < 0 ? -errno : 0;
}

/* What `fd`, which is O_PATH, stands for. */
static int open_for_real(int fd, int flags)
{
    char path[40];
    int real;

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    real = open(path, flags | O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    return real < 0 ? -errno : real;
}

static int walk_dir(struct walk *w, int *dir, const char *name, const struct stat *st, int depth);

static int walk_entry(struct walk *w, int parent, const char *name, int depth)
{
    autofd int fd = sys_openat2(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0,
                                RESOLVE_NO_XDEV | RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
    autofd int real = -1;
    struct stat st;

    if (fd < 0 && errno == EXDEV)
        return 0; /* a mount */
    if (fd < 0 || fstat(fd, &st) < 0)
        return give_up(w, -errno, "look at", name);
    w->result.files++;
    if (S_ISDIR(st.st_mode) || st.st_nlink < 2 || is_first(w, &st))
        w->result.bytes += (uint64_t)st.st_blocks * 512;
    if (!S_ISDIR(st.st_mode) && (!w->labels || !S_ISREG(st.st_mode)))
        return 0;
    real = open_for_real(fd, S_ISDIR(st.st_mode) ? O_DIRECTORY : 0);
    close_fd(&fd); /* so that a level of depth takes one descriptor */
    if (real < 0)
        return give_up(w, real, "open", name);
    if (S_ISDIR(st.st_mode))
        return walk_dir(w, &real, name, &st, depth);
    return give_up(w, set_project(w, real, &st), "set the project of", name);
}

/* Closes *dir. */
static int walk_dir(struct walk *w, int *dir, const char *name, const struct stat *st, int depth)
{
    autodir DIR *stream = fdopendir(*dir);
    struct dirent *entry;
    int r = 0;

    if (!stream)
        return give_up(w, -errno, "list", name);
    *dir = -1;
    if (depth > WALK_DEPTH_MAX)
        return give_up(w, -ELOOP, "go deeper than", name);
    while (!r && (errno = 0, entry = readdir(stream)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = walk_entry(w, dirfd(stream), entry->d_name, depth + 1);
    if (!r && errno)
        r = give_up(w, -errno, "list", name);
    if (!r && w->labels)
        r = give_up(w, set_project(w, dirfd(stream), st), "set the project of", name);
    return r;
}

static int walk_all(struct walk *w, int top, struct walk_result *ret)
{
    autofd int dir = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    int r;

    if (dir < 0 || fstat(dir, &st) < 0)
        return err_sys(w->e, -errno, "open the directory");
    w->result = (struct walk_result){.files = 1, .bytes = (uint64_t)st.st_blocks * 512};
    r = walk_dir(w, &dir, ".", &st, 0);
    tdestroy(w->linked, free);
    if (!r)
        *ret = w->result;
    return r;
}

int walk_count(int top, struct walk_result *ret, struct err *e)
{
    return walk_all(&(struct walk){.e = e}, top, ret);
}

int walk_label(int top, uint32_t project, struct walk_result *ret, struct err *e)
{
    return walk_all(&(struct walk){.labels = true, .project = project, .e = e}, top, ret);
}
