/* SPDX-License-Identifier: MIT
 *
 * Descriptors, the files and pipes that manager and executor share, and their locks. As the manual
 * pages say, where it matters: a POSIX lock goes with the first descriptor its process closes; a
 * pipe loses what is in it with the last process that has it open; descriptors outlive an exec
 * where they are told to.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/proto/wire.h"
#include "tests/sim/sim.h"

struct fd {
    enum fd_type type;
    struct proc *owner;
    struct dir *dir;     /* DIR, STATUS, CTL, EVT */
    struct proc *target; /* PID, REPORT */
    bool reads, stays;   /* … over an exec */
    char *data;          /* MEM */
    size_t size;
};

static struct fd fds[FDS_MAX];

int __wrap_open(const char *path, int flags, ...);
int __wrap_openat(int at, const char *name, int flags, ...);
int __wrap_close(int fd);
void fifo_litter(struct fifo *f)
{
    char unread[sizeof(f->data)], bytes[64];
    size_t n = 1 + dice(sizeof(bytes)), len = f->len;

    if (!f->opens || n > sizeof(f->data) - len)
        return;
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)dice(one_in(2) ? 4 : 256);
    memcpy(unread, f->data, len);
    f->len = 0;
    (void)fifo_put(f, bytes, n);
    (void)fifo_put(f, unread, len);
    trace("foreign bytes in a pipe");
}

ssize_t __wrap_read(int fd, void *buf, size_t size);
ssize_t __wrap___read_chk(int fd, void *buf, size_t size, size_t room);
ssize_t __wrap_write(int fd, const void *buf, size_t size);
void status_spoil(struct dir *dir)
{
    struct task_status newest = newest_record(&dir->status);

    if (dir->lock || !newest.seq || newest.state == TASK_STATE_DEAD)
        return;
    trace("the record of %s is lost", dir->path);
    memset(dir->status.data, 0, sizeof(dir->status.data));
    dir->synced = dir->status;
    check_forget(dir);
}

ssize_t __wrap_pread(int fd, void *buf, size_t size, off_t at);
ssize_t __wrap___pread_chk(int fd, void *buf, size_t size, off_t at, size_t room);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t size, off_t at);
int __wrap_fdatasync(int fd);
int __wrap_sync_file_range(int fd, off_t at, off_t size, unsigned int flags);
int __wrap_posix_fallocate(int fd, off_t at, off_t size);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_unlink(const char *path);
int __wrap_mkfifo(const char *path, mode_t mode);
int __wrap_mkfifoat(int at, const char *name, mode_t mode);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_ftruncate(int fd, off_t size);
off_t __wrap_lseek(int fd, off_t at, int whence);
int __wrap_memfd_create(const char *name, unsigned int flags);
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t size);
ssize_t __wrap_readlink(const char *path, char *buf, size_t size);
int __wrap_poll(struct pollfd *pollfds, nfds_t n, int timeout_ms);

/* What is not the calling process's memory. */
static void *keep(void *p, size_t size)
{
    struct proc *before = current;

    current = NULL;
    p = realloc(p, size);
    current = before;
    return p;
}

struct dir *fd_dir(int fd)
{
    return fds[fd - FD_BASE].dir;
}

struct proc *fd_target(int fd)
{
    return fds[fd - FD_BASE].target;
}

static struct fifo *fifo_of(const struct fd *f)
{
    return f->type == FD_CTL ? &f->dir->ctl : f->type == FD_EVT ? &f->dir->evt : NULL;
}

static void fd_close(struct fd *f)
{
    struct fifo *fifo = fifo_of(f);

    if (fifo) {
        fifo->readers -= f->reads;
        if (--fifo->opens == 0)
            fifo->len = 0;
    }
    if (f->type == FD_STATUS && f->dir->lock == f->owner)
        f->dir->lock = NULL;
    free(f->data);
    *f = (struct fd){0};
}

void fd_close_all(struct proc *p, bool exec)
{
    for (int i = 0; i < FDS_MAX; i++)
        if (fds[i].type && fds[i].owner == p && !(exec && fds[i].stays))
            fd_close(&fds[i]);
}

/* Directories and files */

struct dir *dir_find(const char *path)
{
    for (int i = world.n_dirs - 1; i >= 0; i--)
        if (strcmp(world.dirs[i].path, path) == 0)
            return &world.dirs[i];
    return NULL;
}

struct dir *dir_make(const char *path)
{
    struct dir *dir = dir_find(path);

    if (!dir) {
        dir = &world.dirs[world.n_dirs++];
        world.full |= world.n_dirs > DIRS_MAX - 32;
        *dir = (struct dir){0};
        (void)snprintf(dir->path, sizeof(dir->path), "%s", path);
    }
    dir->made = true;
    return dir;
}

/* The directory of a path, and the name in it ("" for the directory itself); NULL: not ours. */
static struct dir *resolve(const char *path, const char **ret_name)
{
    char head[sizeof(world.dirs[0].path)];
    const char *slash = strrchr(path, '/');
    struct dir *dir = dir_find(path);

    *ret_name = "";
    if (dir || !slash || (size_t)(slash - path) >= sizeof(head))
        return dir;
    memcpy(head, path, (size_t)(slash - path));
    head[slash - path] = '\0';
    *ret_name = slash + 1;
    return dir_find(head);
}

static struct fd *fd_get(int fd)
{
    struct fd *f = fd >= FD_BASE && fd < FD_BASE + FDS_MAX ? &fds[fd - FD_BASE] : NULL;

    return f && f->type ? f : NULL;
}

int fd_new(int type, struct dir *dir, struct proc *target)
{
    for (int i = 0; i < FDS_MAX; i++)
        if (!fds[i].type) {
            fds[i] = (struct fd){.type = type, .owner = current, .dir = dir, .target = target};
            return FD_BASE + i;
        }
    abort();
}

static int open_fifo(struct dir *dir, enum fd_type type, int flags)
{
    struct fd probe = {.type = type, .dir = dir};
    struct fifo *fifo = fifo_of(&probe);
    bool reads = (flags & O_ACCMODE) != O_WRONLY;
    int fd;

    if (!fifo->exists)
        return fail_with(ENOENT);
    if (!reads && !fifo->readers)
        return fail_with(ENXIO);
    fd = fd_new(type, dir, NULL);
    fd_get(fd)->reads = reads;
    fifo->opens++;
    fifo->readers += reads;
    return fd;
}

static int open_name(struct dir *dir, const char *name, int flags)
{
    if (!dir || !dir->made)
        return fail_with(ENOENT);
    if (!*name)
        return fd_new(FD_DIR, dir, NULL);
    if (strcmp(name, WIRE_CTL) == 0)
        return open_fifo(dir, FD_CTL, flags);
    if (strcmp(name, WIRE_EVT) == 0)
        return open_fifo(dir, FD_EVT, flags);
    if (strcmp(name, WIRE_SPEC) == 0)
        return dir->spec ? fd_new(FD_SINK, NULL, NULL) : fail_with(ENOENT);
    if (strcmp(name, WIRE_STATUS) != 0 || (!dir->status.exists && !(flags & O_CREAT)))
        return fail_with(ENOENT);
    if (!dir->status.exists)
        dir->status = (struct status_file){.exists = true};
    return fd_new(FD_STATUS, dir, NULL);
}

int __wrap_open(const char *path, int flags, ...)
{
    const char *name;
    struct dir *dir = resolve(path, &name);

    sys_enter();
    if (strncmp(path, "/sim/allocs/", strlen("/sim/allocs/")) == 0)
        return fd_new(FD_SINK, NULL, NULL); /* for executor.out */
    return open_name(dir, name, flags);
}

int __wrap_openat(int at, const char *name, int flags, ...)
{
    struct fd *f = fd_get(at);

    sys_enter();
    if (f && f->type == FD_SINK)
        return fd_new(FD_SINK, NULL, NULL);
    return f && f->type == FD_DIR ? open_name(f->dir, name, flags) : fail_with(ENOENT);
}

int __wrap_close(int fd)
{
    struct fd *f = fd_get(fd);

    sys_enter();
    if (!f)
        return fail_with(EBADF);
    fd_close(f);
    return 0;
}

bool fifo_put(struct fifo *f, const char *data, size_t size)
{
    if (size > sizeof(f->data) - f->len)
        return false;
    memcpy(f->data + f->len, data, size);
    f->len += size;
    return true;
}

ssize_t __wrap_read(int fd, void *buf, size_t size)
{
    struct fd *f = fd_get(fd);
    struct fifo *fifo = f ? fifo_of(f) : NULL;

    sys_enter();
    if (!fifo)
        return fail_with(EBADF);
    if (!fifo->len)
        return fail_with(EAGAIN);
    if (size > fifo->len)
        size = fifo->len;
    memcpy(buf, fifo->data, size);
    memmove(fifo->data, fifo->data + size, fifo->len - size);
    fifo->len -= size;
    return (ssize_t)size;
}

ssize_t __wrap___read_chk(int fd, void *buf, size_t size, size_t room)
{
    (void)room;
    return __wrap_read(fd, buf, size);
}

ssize_t __wrap_write(int fd, const void *buf, size_t size)
{
    struct fd *f = fd_get(fd);
    struct fifo *fifo = f ? fifo_of(f) : NULL;

    sys_enter();
    if (!f)
        return fail_with(EBADF);
    if (f->type == FD_SINK)
        return (ssize_t)size;
    if (f->type == FD_MEM) {
        f->data = keep(f->data, f->size + size);
        memcpy(f->data + f->size, buf, size);
        f->size += size;
        return (ssize_t)size;
    }
    if (!fifo->readers)
        return fail_with(EPIPE);
    if (!world.calm && one_in(100))
        fifo_litter(fifo);
    return fifo_put(fifo, buf, size) ? (ssize_t)size : fail_with(EAGAIN);
}

ssize_t __wrap_pread(int fd, void *buf, size_t size, off_t at)
{
    struct fd *f = fd_get(fd);

    sys_enter();
    if (!f || f->type != FD_STATUS || !f->dir->status.exists)
        return fail_with(EBADF);
    memcpy(buf, f->dir->status.data + at, size);
    return (ssize_t)size;
}

ssize_t __wrap___pread_chk(int fd, void *buf, size_t size, off_t at, size_t room)
{
    (void)room;
    return __wrap_pread(fd, buf, size, at);
}

ssize_t __wrap_pwrite(int fd, const void *buf, size_t size, off_t at)
{
    struct fd *f = fd_get(fd);

    sys_enter();
    if (!f || f->type != FD_STATUS)
        return fail_with(EBADF);
    check_record(f->dir, buf, size);
    memcpy(f->dir->status.data + at, buf, size);
    return (ssize_t)size;
}

int __wrap_fdatasync(int fd)
{
    struct fd *f = fd_get(fd);

    sys_enter();
    f->dir->synced = f->dir->status;
    return 0;
}

/* Nothing is certain to be on the disk after it. */
int __wrap_sync_file_range(int fd, off_t at, off_t size, unsigned int flags)
{
    (void)fd;
    (void)at;
    (void)size;
    (void)flags;
    return 0;
}

int __wrap_posix_fallocate(int fd, off_t at, off_t size)
{
    (void)fd;
    (void)at;
    (void)size;
    return 0;
}

static int lock(struct fd *f, int command, struct flock *l)
{
    struct proc *holder = f->dir->lock;

    if (holder && holder != f->owner) {
        if (command == F_SETLK)
            return fail_with(EAGAIN);
        l->l_type = F_WRLCK;
        l->l_pid = holder->pid;
    } else if (command == F_GETLK) {
        l->l_type = F_UNLCK;
    } else {
        f->dir->lock = f->owner;
    }
    return 0;
}

int __wrap_fcntl(int fd, int command, ...)
{
    struct fd *f = fd_get(fd);
    va_list ap;
    int r = 0;

    sys_enter();
    if (!f)
        return fail_with(EBADF);
    va_start(ap, command);
    if (command == F_SETLK || command == F_GETLK)
        r = lock(f, command, va_arg(ap, struct flock *));
    else if (command == F_SETFD)
        f->stays = !(va_arg(ap, int) & FD_CLOEXEC);
    va_end(ap);
    return r;
}

int __wrap_unlink(const char *path)
{
    const char *name;
    struct dir *dir = resolve(path, &name);

    sys_enter();
    if (!dir)
        return fail_with(ENOENT);
    if (strcmp(name, WIRE_SPEC) == 0) {
        free(dir->spec);
        dir->spec = NULL;
    } else if (strcmp(name, WIRE_STATUS) == 0) {
        dir->status = (struct status_file){0};
    }
    return 0;
}

static int make_fifo(struct dir *dir, const char *name)
{
    struct fifo *fifo = strcmp(name, WIRE_CTL) == 0 ? &dir->ctl : &dir->evt;

    sys_enter();
    if (fifo->exists)
        return fail_with(EEXIST);
    fifo->exists = true;
    return 0;
}

int __wrap_mkfifo(const char *path, mode_t mode)
{
    const char *name;
    struct dir *dir = resolve(path, &name);

    (void)mode;
    return dir && dir->made ? make_fifo(dir, name) : fail_with(ENOENT);
}

int __wrap_mkfifoat(int at, const char *name, mode_t mode)
{
    (void)mode;
    return make_fifo(fd_get(at)->dir, name);
}

/* Memory files, for an executor's upgrade */

int __wrap_memfd_create(const char *name, unsigned int flags)
{
    (void)name;
    (void)flags;
    sys_enter();
    return fd_new(FD_MEM, NULL, NULL);
}

int __wrap_fstat(int fd, struct stat *st)
{
    struct fd *f = fd_get(fd);

    *st = (struct stat){.st_mode = S_IFREG | 0600, .st_nlink = 1};
    st->st_size = f->type == FD_MEM ? (off_t)f->size : 0;
    return 0;
}

int __wrap_ftruncate(int fd, off_t size)
{
    (void)fd;
    (void)size;
    return 0;
}

off_t __wrap_lseek(int fd, off_t at, int whence)
{
    (void)fd;
    (void)whence;
    return at;
}

void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
    (void)at;
    (void)size;
    (void)prot;
    (void)flags;
    (void)offset;
    return fd_get(fd)->data;
}

int __wrap_munmap(void *at, size_t size)
{
    (void)at;
    (void)size;
    return 0;
}

ssize_t __wrap_readlink(const char *path, char *buf, size_t size)
{
    (void)path;
    (void)buf;
    (void)size;
    return fail_with(ENOENT);
}

bool fd_is_ready(int fd, int events)
{
    struct fd *f = fd_get(fd);

    if (!f)
        violated("descriptor %d is watched, but not open", fd);
    switch (f->type) {
    case FD_PID:
        return !f->target->alive;
    case FD_REPORT:
        return !f->target->alive || f->target->executed || f->target->setup_error;
    case FD_CTL:
    case FD_EVT:
        return events & EV_WRITE ? !fifo_of(f)->readers || fifo_of(f)->len <= FIFO_BYTES / 2
                                 : fifo_of(f)->len > 0;
    default:
        return false;
    }
}

int __wrap_poll(struct pollfd *pollfds, nfds_t n, int timeout_ms)
{
    (void)timeout_ms;
    sys_enter();
    pollfds->revents = 0;
    if (n != 1 || !fd_is_ready(pollfds->fd, EV_READ))
        return 0;
    pollfds->revents = POLLIN;
    return 1;
}
