/* SPDX-License-Identifier: MIT
 *
 * At most 16 KiB, hence written at once; anew before each start, so that a task finds what it was
 * dispatched with.
 */
#include "manager/task/payload.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/state.h"
#include "shared/cleanup.h"
#include "shared/job/launch.h"

enum {
    DIR_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
};

/* Opens the directory `name`; `make`: after making it, where it is missing. */
static int open_dir(int parent, const char *name, bool make)
{
    bool fresh = make && mkdirat(parent, name, 0755) == 0;
    int fd;

    if (make && !fresh && errno != EEXIST)
        return -errno;
    fd = openat(parent, name, DIR_FLAGS);
    if (fd < 0)
        return -errno;
    if (fresh)
        (void)fchmod(fd, 0755); /* whatever the umask is */
    return fd;
}

static int write_file(int dir, const char *name, const void *data, size_t size)
{
    autofd int fd = -1;
    ssize_t n;

    if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
        return -errno;
    fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    n = write(fd, data, size);
    if (n < 0 || (size_t)n < size)
        return n < 0 ? -errno : -ENOSPC;
    return fchmod(fd, 0755) < 0 ? -errno : 0;
}

/* Goes on from *dir to `name` below it. */
static int enter(int *dir, const char *name, bool make)
{
    int next = open_dir(*dir, name, make);

    if (next < 0)
        return next;
    close_fd(dir);
    *dir = next;
    return 0;
}

int payload_write(const char *alloc_dir, const char *task, const char *file, const void *data,
                  size_t size)
{
    autofree char *path = strdup(file);
    autofd int dir = open(alloc_dir, DIR_FLAGS);
    char *rest = path, *name;
    int r;

    if (dir < 0 || !path)
        return -errno;
    r = enter(&dir, task, false);
    if (!r)
        r = enter(&dir, "local", false);
    while (!r && (name = strsep(&rest, "/")) && rest)
        if (*name && strcmp(name, ".") != 0)
            r = enter(&dir, name, true);
    return r ? r : write_file(dir, name, data, size);
}

static bool is_wanted(const struct task *task)
{
    return task->def->dispatch_payload.set && *task->alloc->job->job->payload;
}

static int write_payload(struct task *task, struct err *e)
{
    const char *file = task->def->dispatch_payload.file;
    autofree unsigned char *data = NULL;
    size_t size;
    int r = launch_payload(task->alloc->job->job->payload, &data, &size);

    if (!r)
        r = payload_write(task->alloc->dir, task->def->name, file, data, size);
    return r ? err_sys(e, r, "write the payload to local/%s", file) : 0;
}

const struct prepare_step payload_step = {
    .name = "dispatch_payload", .wanted = is_wanted, .start = write_payload};
