/* SPDX-License-Identifier: MIT
 *
 * Paths come from clients, the tree under them from tasks that may be hostile, and we are root. So:
 * the path is cleaned as text first; then opened in one step that the kernel keeps beneath its base
 * directory (openat2), as O_PATH, which opens no device and waits for no pipe; then the rules are
 * checked on what was opened, by the name the kernel knows it under, not on the text. Nothing a
 * task renames or links meanwhile changes that.
 *
 * A task with its own root (exec) sees bind mounts that exist only in its mount namespace. Its
 * "<task>/bin/…" is shown from the host's directory that chroot_env binds there, as far as every
 * user may read that; "<task>/alloc/…" is the shared directory.
 */
#include "manager/api/fspath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/sys.h"

static const char secrets_dir[] = "secrets";
static const char shared_dir[] = "alloc";

int fspath_clean(const char *path, char *buf, size_t size)
{
    size_t len = 0;

    buf[0] = '\0';
    while (*path) {
        size_t n = strcspn(path, "/");

        if (n == 2 && path[0] == '.' && path[1] == '.') {
            char *slash = memrchr(buf, '/', len);

            if (!len)
                return -EXDEV;
            len = slash ? (size_t)(slash - buf) : 0;
        } else if (n && !(n == 1 && *path == '.')) {
            if (len + n + 2 > size)
                return -ENAMETOOLONG;
            if (len)
                buf[len++] = '/';
            memcpy(buf + len, path, n);
            len += n;
        }
        buf[len] = '\0';
        path += n + (path[n] == '/');
    }
    return 0;
}

/* What follows `dir` in `path` ("" if nothing does), or NULL when `path` is not below it. */
static const char *below(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    if (strncmp(path, dir, n) != 0 || (path[n] && path[n] != '/'))
        return NULL;
    return path[n] ? path + n + 1 : path + n;
}

/* 0: not in a secrets directory, 1: that directory itself, 2: below it. */
static int secrecy(const char *clean)
{
    const char *part = strchr(clean, '/'), *end;

    if (!part || below(clean, shared_dir)) /* "alloc" is no task */
        return 0;
    part++;
    end = part + strcspn(part, "/");
    if ((size_t)(end - part) != sizeof(secrets_dir) - 1 ||
        strncasecmp(part, secrets_dir, sizeof(secrets_dir) - 1) != 0)
        return 0;
    return *end ? 2 : 1;
}

static bool has_own_root(const struct job_task *task)
{
    return !strcmp(task->driver, "exec");
}

/* A directory to look in and the path there. */
struct place {
    const char *base;
    const char *rel;
    bool host; /* of the host's tree, not of the allocation's */
};

static struct place find_place(const struct alloc *alloc, const struct config *config,
                               const char *clean)
{
    struct place place = {.base = alloc->dir, .rel = clean};
    const char *inside = NULL;
    size_t longest = 0;

    for (size_t i = 0; i < alloc->group->n_tasks && !inside; i++)
        if (has_own_root(&alloc->group->tasks[i]))
            inside = below(clean, alloc->group->tasks[i].name);
    if (!inside || !*inside)
        return place;
    if (below(inside, shared_dir)) {
        place.rel = inside;
        return place;
    }
    for (size_t i = 0; i < config->n_chroot_env; i++) {
        const struct config_bind *bind = &config->chroot_env[i];
        const char *target = bind->target + strspn(bind->target, "/");
        const char *rest = *target ? below(inside, target) : NULL;

        if (rest && strlen(target) > longest) {
            longest = strlen(target);
            place = (struct place){.base = bind->source, .rel = rest, .host = true};
        }
    }
    return place;
}

static int fd_path(int fd, char buf[PATH_MAX])
{
    char link[32];
    ssize_t n;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, buf, PATH_MAX - 1);
    if (n < 0)
        return -errno;
    buf[n] = '\0';
    return 0;
}

/* Whether every user may reach and read what `path`, below `base`, names. */
static bool is_public(char *path, size_t base_size, const struct stat *st)
{
    struct stat dir;

    if (!(st->st_mode & S_IROTH) || (S_ISDIR(st->st_mode) && !(st->st_mode & S_IXOTH)))
        return false;
    for (char *slash = strchr(path + base_size, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool open = !*path || (!lstat(path, &dir) && (dir.st_mode & S_IXOTH));
        *slash = '/';
        if (!open)
            return false;
    }
    return true;
}

/* The rules, on what was opened. */
static int check_opened(int base_fd, bool host, struct fs_node *node, const char *path,
                        struct err *e)
{
    char base[PATH_MAX], real[PATH_MAX];
    int r;

    if ((r = fd_path(base_fd, base)) || (r = fd_path(node->fd, real)))
        return err_sys(e, r, "cannot look at %s", path);
    if (host)
        return is_public(real, strlen(base), &node->st)
                   ? 0
                   : err_set(e, -EACCES,
                             "%s is the host's, and only shown where every user may read it", path);
    const char *rel = below(real, base);
    int secret = rel ? secrecy(rel) : 0;
    if (secret == 2)
        return err_set(e, -EACCES, "Reading secret file prohibited: %s", path);
    node->secret = node->secret || secret;
    return 0;
}

static int open_place(const struct place *place, const char *path, struct fs_node *node,
                      struct err *e)
{
    autofd int base = open(place->base, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (base < 0 && errno == ENOTDIR && !*place->rel) /* chroot_env may bind a file */
        base = open(place->base, O_PATH | O_CLOEXEC);
    if (base < 0)
        return err_sys(e, -errno, "cannot look at %s", path);
    node->fd = *place->rel ? sys_openat2(base, place->rel, O_PATH | O_CLOEXEC, 0,
                                         RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
                           : fcntl(base, F_DUPFD_CLOEXEC, 0);
    if (node->fd < 0 && errno == EXDEV)
        return err_set(e, -EXDEV, "Path escapes the alloc directory: %s leads through a link",
                       path);
    if (node->fd < 0 && errno == ENOENT)
        return err_set(e, -ENOENT, "no such file or directory: %s", path);
    if (node->fd < 0 || fstat(node->fd, &node->st))
        return err_sys(e, -errno, "cannot look at %s", path);
    return check_opened(base, place->host, node, path, e);
}

int fspath_open(const struct alloc *alloc, const struct config *config, const char *path,
                struct fs_node *ret_node, struct err *e)
{
    struct fs_node node = FS_NODE_INIT;
    char clean[PATH_MAX];
    int r = fspath_clean(path, clean, sizeof(clean));

    if (alloc->collected || alloc->doomed)
        return err_set(e, -ENOENT,
                       "the directory of this allocation was removed some time after it had "
                       "finished, to make room (see gc_max_allocs and gc_disk_usage_threshold in "
                       "cleat.hcl(5))");
    if (r == -EXDEV)
        return err_set(e, r, "Path escapes the alloc directory: %s", path);
    if (r)
        return err_sys(e, r, "cannot look at that path");
    int secret = secrecy(clean);
    if (secret == 2)
        return err_set(e, -EACCES, "Reading secret file prohibited: %s", path);
    node.secret = secret == 1;
    struct place place = find_place(alloc, config, clean);
    r = open_place(&place, path, &node, e);
    if (r)
        fs_node_close(&node);
    else
        *ret_node = node;
    return r;
}

static int reopen(const struct fs_node *node, int flags, struct err *e)
{
    char link[32];
    int fd;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", node->fd);
    fd = open(link, flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return fd < 0 ? err_sys(e, -errno, "cannot open it") : fd;
}

int fspath_open_file(const struct fs_node *node, struct err *e)
{
    if (S_ISDIR(node->st.st_mode))
        return err_set(e, -EISDIR, "is a directory");
    if (!S_ISREG(node->st.st_mode))
        return err_set(e, -EINVAL, "is no regular file: its content is not shown");
    return reopen(node, O_NOCTTY, e);
}

int fspath_open_dir(const struct fs_node *node, struct err *e)
{
    if (!S_ISDIR(node->st.st_mode))
        return err_set(e, -ENOTDIR, "is not a directory");
    if (node->secret)
        return err_set(e, -EACCES, "Reading secret directory prohibited");
    return reopen(node, O_DIRECTORY, e);
}

void fs_node_close(struct fs_node *node)
{
    close_fd(&node->fd);
}
