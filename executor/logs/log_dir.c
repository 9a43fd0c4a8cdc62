/* SPDX-License-Identifier: MIT */
#include "executor/logs/log_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/sys.h"

/* The log directory's path below the shared one, or NULL where it lies elsewhere. */
static const char *below_shared(const struct exec_spec *spec)
{
    size_t n = spec->shared_dir ? strlen(spec->shared_dir) : 0;
    bool below = n && !strncmp(spec->log_dir, spec->shared_dir, n) && spec->log_dir[n] == '/';

    return below ? spec->log_dir + n + 1 : NULL;
}

/* Returns the descriptor, as open_safely() does. */
static int open_shared(const struct exec_spec *spec)
{
    int fd = open(spec->shared_dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static int open_safely(const struct exec_spec *spec)
{
    const char *path = below_shared(spec);
    autofd int base = -1;
    int fd;

    if (path) {
        base = open_shared(spec);
        if (base < 0)
            return base;
        fd = sys_openat2(base, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0,
                         RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    } else {
        fd = open(spec->log_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    return fd < 0 ? -errno : fd;
}

/* Gives the new directory `name` the owner and mode of the one at `model`. Tasks may write to the
 * directory it is in, and may have put another one in its place: only what is as we made it is
 * touched, and none of theirs can be. */
static int dress(int base, const char *name, int model)
{
    autofd int fd = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat as, is;

    if (fd < 0 || fstat(model, &as) < 0 || fstat(fd, &is) < 0)
        return -errno;
    if (is.st_uid != geteuid() || (is.st_mode & 0777) != 0700) /* S_ISGID is inherited */
        return -EEXIST;
    if (geteuid() == 0 && fchown(fd, as.st_uid, as.st_gid) < 0)
        return -errno;
    return fchmod(fd, as.st_mode & 07777) < 0 ? -errno : 0;
}

/* Makes a directory that was removed once more, where it was directly in the shared one. */
static int make_again(const struct log_dir *d)
{
    const char *name = below_shared(d->spec);
    autofd int base = -1;
    struct stat st;

    if (!name || strchr(name, '/') || fstat(d->fd, &st) < 0 || st.st_nlink > 0)
        return -ENOENT;
    base = open_shared(d->spec);
    if (base < 0)
        return base;
    return mkdirat(base, name, 0700) < 0 ? -errno : dress(base, name, d->fd);
}

static void take_identity(struct log_dir *d)
{
    struct stat st;

    if (fstat(d->fd, &st) < 0)
        return; /* cannot fail on an open descriptor; the next check would mend it */
    d->dev = st.st_dev;
    d->ino = st.st_ino;
}

int log_dir_open(struct log_dir *d, const struct exec_spec *spec, struct err *e)
{
    *d = (struct log_dir)LOG_DIR_INIT;
    d->spec = spec;
    if (spec->logs.disabled)
        return 0;
    d->fd = open_safely(spec);
    if (d->fd < 0) {
        int r = d->fd;

        d->fd = -1;
        return err_sys(e, r, "open the log directory %s", spec->log_dir);
    }
    take_identity(d);
    return 0;
}

void log_dir_adopt(struct log_dir *d, const struct exec_spec *spec, int fd)
{
    *d = (struct log_dir){.fd = fd, .spec = spec};
    if (fd >= 0)
        take_identity(d);
}

void log_dir_check(struct log_dir *d)
{
    autofd int fd = -1;
    struct stat st;

    if (stat(d->spec->log_dir, &st) == 0 && st.st_dev == d->dev && st.st_ino == d->ino)
        return;
    fd = open_safely(d->spec);
    if (fd == -ENOENT && make_again(d) == 0) {
        d->made++;
        fd = open_safely(d->spec);
    }
    if (fd < 0 || fstat(fd, &st) < 0 || (st.st_dev == d->dev && st.st_ino == d->ino))
        return;
    if (dup3(fd, d->fd, O_CLOEXEC) < 0)
        return;
    take_identity(d);
    d->generation++;
}

void log_dir_close(struct log_dir *d)
{
    close_fd(&d->fd);
}
