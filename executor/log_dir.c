/* SPDX-License-Identifier: MIT */
#include "executor/log_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/cleanup.h"
#include "shared/sys.h"

/* Returns the descriptor. */
static int open_safely(const struct exec_spec *spec)
{
    const char *shared = spec->shared_dir, *dir = spec->log_dir;
    size_t n = shared ? strlen(shared) : 0;
    autofd int base = -1;
    int fd;

    if (n && strncmp(dir, shared, n) == 0 && dir[n] == '/') {
        base = open(shared, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (base < 0)
            return -errno;
        fd = sys_openat2(base, dir + n + 1, O_PATH | O_DIRECTORY | O_CLOEXEC, 0,
                         RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    } else {
        fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    return fd < 0 ? -errno : fd;
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
