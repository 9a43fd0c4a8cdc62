/* SPDX-License-Identifier: MIT
 *
 * Each step down to a destination is opened without following links, and made if it is missing; the
 * file itself is written beside its place and renamed into it. A task that exchanges directories
 * meanwhile exchanges its own.
 */
#include "manager/template/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/sys.h"

#define SAFE (RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)

/* ---- reading ---- */

static const char *beneath(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    if (strncmp(path, dir, n) != 0 || (path[n] && path[n] != '/'))
        return NULL;
    return path + n + strspn(path + n, "/");
}

/* Where `path` is: "web/local/x" from the allocation's directory; NULL: not in it. */
static char *place(const struct files *files, const char *path)
{
    char *out = NULL;
    json_t *pair;
    size_t i;

    json_array_foreach(files->paths, i, pair)
    {
        const char *rest = beneath(path, json_string_value(json_array_get(pair, 0)));

        if (rest)
            return asprintf(&out, "%s/%s", json_string_value(json_array_get(pair, 1)), rest) < 0
                       ? NULL
                       : out;
    }
    if (*path == '/' || asprintf(&out, "%s/%s", files->task, path) < 0)
        return NULL;
    return out;
}

/* Links are followed as long as they stay in the task's directory, or in the shared one. */
static int open_in_alloc(const struct files *files, const char *where)
{
    autofree char *top = strndup(where, strcspn(where, "/"));
    const char *rest = where + strcspn(where, "/");
    autofd int dir = -1;
    int fd;

    if (!top)
        return -ENOMEM;
    rest += strspn(rest, "/");
    dir = sys_openat2(files->alloc, top, O_PATH | O_DIRECTORY | O_CLOEXEC, 0,
                      SAFE | RESOLVE_NO_SYMLINKS);
    if (dir < 0)
        return -errno;
    fd =
        sys_openat2(dir, *rest ? rest : ".", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0, SAFE);
    return fd < 0 ? -errno : fd;
}

/* What was seen of it, so that a change behind our back is noticed. */
int files_note(struct files *files, const char *path, int fd)
{
    json_t *file = json_pack("{s:s}", "path", path);
    struct stat st;

    if (file && fd >= 0 && fstat(fd, &st) == 0) {
        (void)json_object_set_new(file, "ino", json_integer((json_int_t)st.st_ino));
        (void)json_object_set_new(file, "size", json_integer((json_int_t)st.st_size));
        (void)json_object_set_new(
            file, "mtime",
            json_integer((json_int_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec));
    }
    return json_array_append_new(files->read, file) ? -ENOMEM : 0;
}

static int open_path(struct files *files, const char *path, struct err *e)
{
    autofree char *where = place(files, path);
    int fd;

    if (!where && files->sandbox)
        return err_set(e, -EPERM,
                       "%s lies outside of the task's directories (the agent's template { "
                       "disable_file_sandbox = true } lets templates read files of this host)",
                       path);
    if (where) {
        fd = open_in_alloc(files, where);
    } else {
        fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        fd = fd < 0 ? -errno : fd;
    }
    if (files_note(files, where ? where : path, fd))
        return close_fd(&fd), err_sys(e, -ENOMEM, "read %s", path);
    if (fd == -EXDEV)
        return err_set(e, fd, "%s leads out of the task's directories, by \"..\" or a link", path);
    return fd < 0 ? err_sys(e, fd, "open %s", path) : fd;
}

static int read_all(int fd, size_t max, char **ret_data, size_t *ret_size)
{
    size_t size = 0, room = 4096;
    autofree char *data = malloc(room);
    ssize_t n;

    while (data) {
        if (room - size < 2) {
            char *grown = room > max ? NULL : realloc(data, room * 2);

            if (!grown)
                return room > max ? -EFBIG : -ENOMEM;
            data = grown;
            room *= 2;
        }
        n = read(fd, data + size, room - size - 1);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            break;
        size += n > 0 ? (size_t)n : 0;
        if (size > max)
            return -EFBIG;
    }
    if (!data)
        return -ENOMEM;
    data[size] = '\0';
    *ret_data = take_ptr(data);
    *ret_size = size;
    return 0;
}

int files_read(struct files *files, const char *path, char **ret_data, size_t *ret_size,
               struct err *e)
{
    autofd int fd = open_path(files, path, e);
    struct stat st;
    int r;

    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_set(e, -EINVAL, "%s is no plain file", path);
    r = read_all(fd, FILES_MAX_READ, ret_data, ret_size);
    if (r == -EFBIG)
        return err_set(e, r, "%s is larger than %d bytes", path, FILES_MAX_READ);
    return r ? err_sys(e, r, "read %s", path) : 0;
}

/* ---- writing ---- */

/* The directory of `path`, made if need be; *ret_name: what is left of it. */
static int open_parent(const struct files *files, const char *path, const char **ret_name)
{
    int dir = fcntl(files->alloc, F_DUPFD_CLOEXEC, 3);

    while (dir >= 0) {
        size_t n = strcspn(path, "/");
        autofree char *step = strndup(path, n);
        int next;

        if (!path[n]) {
            *ret_name = path;
            return dir;
        }
        if (!step || (mkdirat(dir, step, 0777) < 0 && errno != EEXIST))
            next = step ? -errno : -ENOMEM;
        else if ((next = openat(dir, step, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
            next = -errno;
        (void)close(dir);
        dir = next;
        path += n + 1;
    }
    return dir;
}

static bool is_so_already(int dir, const char *name, const struct files_output *output,
                          const char *data, size_t size)
{
    autofd int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    autofree char *there = NULL;
    struct stat st;
    size_t n;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (size_t)st.st_size != size ||
        (st.st_mode & 07777) != output->perms || st.st_nlink != 1 ||
        (output->uid >= 0 && st.st_uid != (uid_t)output->uid) ||
        (output->gid >= 0 && st.st_gid != (gid_t)output->gid))
        return false;
    return read_all(fd, size, &there, &n) == 0 && n == size && memcmp(there, data, size) == 0;
}

static int write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t n = write(fd, data, size);

        if (n < 0 && errno != EINTR)
            return -errno;
        data += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int fill(int fd, const struct files_output *output, const char *data, size_t size)
{
    int r = write_all(fd, data, size);

    if (r)
        return r;
    if ((output->uid >= 0 || output->gid >= 0) &&
        fchown(fd, (uid_t)output->uid, (gid_t)output->gid) < 0)
        return -errno;
    return fchmod(fd, output->perms) < 0 ? -errno : 0;
}

static int replace(int dir, const char *name, const struct files_output *output, const char *data,
                   size_t size)
{
    char temp[48];
    uint64_t hash = 14695981039346656037u; /* FNV-1a: what a killed renderer left is found again */
    int fd, r;

    for (const char *c = name; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    (void)snprintf(temp, sizeof(temp), ".template-%016llx", (unsigned long long)hash);
    (void)unlinkat(dir, temp, 0);
    fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    r = fill(fd, output, data, size);
    if (close(fd) < 0 && !r)
        r = -errno;
    if (!r && renameat(dir, temp, dir, name) < 0)
        r = -errno;
    if (r)
        (void)unlinkat(dir, temp, 0);
    return r;
}

int files_write(const struct files *files, const struct files_output *output, const char *data,
                size_t size, bool *ret_changed, struct err *e)
{
    const char *name = NULL;
    autofd int dir = open_parent(files, output->path, &name);
    int r;

    if (dir == -ELOOP || dir == -ENOTDIR)
        return err_set(e, dir,
                       "the way to the destination %s has a link or a file in it, where there is "
                       "to be a directory; links are not followed",
                       output->path);
    if (dir < 0)
        return err_sys(e, dir, "open the directory of %s", output->path);
    *ret_changed = !is_so_already(dir, name, output, data, size);
    r = *ret_changed ? replace(dir, name, output, data, size) : 0;
    return r ? err_sys(e, r, "write %s", output->path) : 0;
}
