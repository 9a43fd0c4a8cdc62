/* SPDX-License-Identifier: MIT
 *
 * A bind in the kernel ignores "read-only" (mount(2)); the flag is set on the detached tree with
 * mount_setattr(2), recursively, before the tree is attached, so it is never writable for an
 * instant. Where that call is missing, or forbidden by a filter around the manager, the tree is
 * attached first and every mount in it is remounted; nothing of the task runs yet, so no one can
 * use the instant between. That way reads /proc/self/mountinfo and may allocate: this side of the
 * clone has memory of its own and one thread.
 */
#include "executor/isolation/mount.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/sys.h"

#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

static int make_point(int root_fd, const char *path, bool file)
{
    autofd int dir = openat(root_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    char name[NAME_MAX + 1];

    while (dir >= 0) {
        const char *end;
        bool last;
        int next;

        path += strspn(path, "/");
        end = path + strcspn(path, "/");
        last = end[strspn(end, "/")] == '\0';
        if (end == path)
            return take_fd(&dir);
        if ((size_t)(end - path) > NAME_MAX)
            return -ENAMETOOLONG;
        memcpy(name, path, (size_t)(end - path));
        name[end - path] = '\0';
        path = end;
        if (last && file) {
            int made =
                openat(dir, name, O_CREAT | O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);

            if (made >= 0)
                (void)close(made);
        } else if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST) {
            return -errno;
        }
        next = sys_openat2(dir, name, O_PATH | O_CLOEXEC, 0, BENEATH);
        if (next < 0)
            return -errno;
        (void)close(dir);
        dir = next;
    }
    return -errno;
}

int mount_point(int root_fd, const char *path, bool file)
{
    const char *relative = path + strspn(path, "/");
    int point = sys_openat2(root_fd, *relative ? relative : ".", O_PATH | O_CLOEXEC, 0, BENEATH);

    if (point >= 0)
        return point;
    return errno == ENOENT ? make_point(root_fd, path, file) : -errno;
}

int mount_move(int tree, int dir, const char *name)
{
    return sys_move_mount(tree, "", dir, name, MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) <
                   0
               ? -errno
               : 0;
}

/* ---- without mount_setattr(2) ---- */

static const struct {
    uint64_t attr;
    unsigned long kept; /* ST_* of statvfs(3), which are the MS_* of the same meaning */
} flags_of[] = {
    {MOUNT_ATTR_RDONLY, ST_RDONLY},
    {MOUNT_ATTR_NOSUID, ST_NOSUID},
    {MOUNT_ATTR_NODEV, ST_NODEV},
    {MOUNT_ATTR_NOEXEC, ST_NOEXEC},
    {0, ST_NOATIME},
    {0, ST_NODIRATIME},
};

/* Adds to one attached mount; a remount replaces all flags, so those it has are said again. */
static int remount(int fd, uint64_t attrs, unsigned long propagation)
{
    unsigned long flags = MS_REMOUNT | MS_BIND;
    struct statvfs now;
    char path[32];

    if (fstatvfs(fd, &now) < 0)
        return -errno;
    for (size_t i = 0; i < ARRAY_LEN(flags_of); i++)
        if ((flags_of[i].attr & attrs) || (flags_of[i].kept & now.f_flag))
            flags |= flags_of[i].kept;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (mount(NULL, path, NULL, flags, NULL) < 0 ||
        (propagation && mount(NULL, path, NULL, propagation, NULL) < 0))
        return -errno;
    return 0;
}

static int mount_id(int fd)
{
    char path[48], *line = NULL;
    size_t size = 0;
    FILE *info;
    int id = -1;

    (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    info = fopen(path, "re");
    while (info && id < 0 && getline(&line, &size, info) > 0)
        (void)sscanf(line, "mnt_id: %d", &id);
    free(line);
    if (info)
        (void)fclose(info);
    return id;
}

/* mountinfo writes blanks and backslashes as \\ooo. */
static void unescape(char *path)
{
    char *to = path;

    for (; *path; path++) {
        unsigned int byte;

        if (*path == '\\' && sscanf(path + 1, "%3o", &byte) == 1) {
            *to++ = (char)byte;
            path += 3;
        } else {
            *to++ = *path;
        }
    }
    *to = '\0';
}

/* The mounts below a mount: found in mountinfo, where parents come before their children. */
struct family {
    int ids[1024];
    size_t n;
};

static bool is_of(const struct family *family, int id)
{
    for (size_t i = 0; i < family->n; i++)
        if (family->ids[i] == id)
            return true;
    return false;
}

static int remount_line(char *line, struct family *family, uint64_t attrs,
                        unsigned long propagation)
{
    autofree char *path = malloc(strlen(line) + 1);
    autofd int fd = -1;
    int id, parent;

    if (!path)
        return -ENOMEM;
    if (sscanf(line, "%d %d %*s %*s %s", &id, &parent, path) != 3 || !is_of(family, parent))
        return 0;
    if (family->n == ARRAY_LEN(family->ids))
        return -E2BIG;
    family->ids[family->n++] = id;
    unescape(path);
    fd = sys_openat2(AT_FDCWD, path, O_PATH | O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS);
    return fd < 0 ? -errno : remount(fd, attrs, propagation);
}

static int remount_tree(int tree, uint64_t attrs, unsigned long propagation)
{
    autoclose FILE *mounts = fopen("/proc/self/mountinfo", "re");
    struct family family = {.ids = {mount_id(tree)}, .n = 1};
    char *line = NULL;
    size_t size = 0;
    int r = mounts ? remount(tree, attrs, propagation) : -errno;

    while (!r && getline(&line, &size, mounts) > 0)
        r = remount_line(line, &family, attrs, propagation);
    free(line);
    return r;
}

/* ---- */

int mount_attach(int tree, int dir, const char *name, uint64_t attrs, unsigned long propagation)
{
    int r;

    if (sys_mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, attrs, propagation) == 0)
        return mount_move(tree, dir, name);
    if (errno != ENOSYS)
        return -errno;
    r = mount_move(tree, dir, name);
    return r ? r : remount_tree(tree, attrs, propagation);
}

int mount_bind(int root_fd, int from_fd, const char *source, const char *target, uint64_t attrs,
               bool optional)
{
    autofd int tree = -1, point = -1;
    struct stat st;

    tree = sys_open_tree(from_fd, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (tree < 0)
        return optional && errno == ENOENT ? 0 : -errno;
    if (fstat(tree, &st) < 0)
        return -errno;
    point = mount_point(root_fd, target, !S_ISDIR(st.st_mode));
    return point < 0 ? point : mount_attach(tree, point, "", attrs, 0);
}

int mount_new_at(int point, const char *type, unsigned long flags, const char *data)
{
    char path[32];

    /* mount(2) takes no descriptor. */
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", point);
    return mount(type, path, type, flags, data) < 0 ? -errno : 0;
}

int mount_new(int root_fd, const char *target, const char *type, unsigned long flags,
              const char *data)
{
    autofd int point = mount_point(root_fd, target, false);

    return point < 0 ? point : mount_new_at(point, type, flags, data);
}

int mount_read_only(int fd)
{
    if (sys_mount_setattr(fd, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY, 0) == 0)
        return 0;
    return errno == ENOSYS ? remount(fd, MOUNT_ATTR_RDONLY, 0) : -errno;
}
