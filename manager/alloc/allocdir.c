/* SPDX-License-Identifier: MIT
 *
 * Everything is made relative to descriptors opened with O_NOFOLLOW, and owners, modes and the
 * mount are set through those descriptors, so that a task swapping a directory for a link meanwhile
 * gains nothing. The allocation's directory itself is root's alone.
 */
#include "manager/alloc/allocdir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/place.h"

enum {
    NOBODY = 65534, /* where the password file has no "nobody" */
};

struct owner {
    uid_t uid;
    gid_t gid;
};

/* Looked up once: it is asked for several times per task. */
static const struct owner *nobody(void)
{
    static struct owner owner;
    static int known;

    if (!known) {
        const struct passwd *pw = getpwnam("nobody");

        owner = pw ? (struct owner){pw->pw_uid, pw->pw_gid} : (struct owner){NOBODY, NOBODY};
        known = 1;
    }
    return &owner;
}

/* Makes and opens `name`; a directory there already keeps its owner and mode. */
static int make_dir(int parent, const char *name, mode_t mode, const struct owner *owner)
{
    autofd int fd = -1;
    int fresh = mkdirat(parent, name, 0700) == 0;

    if (!fresh && errno != EEXIST)
        return -errno;
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fresh && owner && geteuid() == 0 && fchown(fd, owner->uid, owner->gid) < 0)
        return -errno;
    if (fresh && fchmod(fd, mode) < 0)
        return -errno;
    return take_fd(&fd);
}

static int make_in(int parent, const char *name, mode_t mode, const struct owner *owner,
                   const char *where, struct err *e)
{
    int fd = make_dir(parent, name, mode, owner);

    if (fd < 0)
        err_sys(e, fd, "make directory %s/%s", where, name);
    return fd;
}

int allocdir_make_all(const char *allocs_dir, struct err *e)
{
    int r = place_make_parents(allocs_dir);
    int fd = r ? r : make_dir(AT_FDCWD, allocs_dir, geteuid() == 0 ? 0711 : 0700, NULL);

    if (fd < 0)
        return err_sys(e, fd, "make the directory for allocations %s", allocs_dir);
    (void)close(fd);
    return 0;
}

int allocdir_make(const char *alloc_dir, struct err *e)
{
    autofd int fd = make_in(AT_FDCWD, alloc_dir, 0755, NULL, "", e);

    return fd < 0 ? fd : 0;
}

int allocdir_build(const char *alloc_dir, struct err *e)
{
    static const char *const shared[] = {"data", "logs", "tmp"};
    autofd int alloc_fd = make_in(AT_FDCWD, alloc_dir, 0755, NULL, "", e);
    autofd int shared_fd = -1;

    if (alloc_fd < 0)
        return alloc_fd;
    shared_fd = make_in(alloc_fd, "alloc", 0777, nobody(), alloc_dir, e);
    if (shared_fd < 0)
        return shared_fd;
    for (size_t i = 0; i < ARRAY_LEN(shared); i++) {
        autofd int fd = make_in(shared_fd, shared[i], 0777, nobody(), alloc_dir, e);

        if (fd < 0)
            return fd;
    }
    return 0;
}

static int mount_secrets(int task_fd, int secrets_fd, int64_t secrets_mb)
{
    static const char *const more[] = {",noswap", ""};
    struct stat task_st, secrets_st;
    char target[32], options[64];

    if (geteuid() != 0)
        return 0; /* as Nomad: a plain directory */
    if (fstat(task_fd, &task_st) < 0 || fstat(secrets_fd, &secrets_st) < 0)
        return -errno;
    if (task_st.st_dev != secrets_st.st_dev)
        return 0; /* mounted by an earlier start */
    (void)snprintf(target, sizeof(target), "/proc/self/fd/%d", secrets_fd);
    for (size_t i = 0; i < ARRAY_LEN(more); i++) {
        (void)snprintf(options, sizeof(options), "size=%lldm,mode=0777%s", (long long)secrets_mb,
                       more[i]);
        if (mount("tmpfs", target, "tmpfs", MS_NOEXEC | MS_NOSUID | MS_NODEV, options) == 0)
            return 0;
        if (errno != EINVAL) /* kernels before 6.4 have no noswap */
            break;
    }
    return -errno;
}

int allocdir_build_task(const char *alloc_dir, const char *task, int64_t secrets_mb, struct err *e)
{
    autofd int alloc_fd = open(alloc_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    autofd int task_fd = -1, local_fd = -1, tmp_fd = -1, secrets_fd = -1;
    int r;

    if (!*task || *task == '.' || strchr(task, '/') || strcmp(task, "alloc") == 0)
        return err_set(e, -EINVAL, "task name \"%s\" can't be a directory in the allocation", task);
    if (alloc_fd < 0)
        return err_sys(e, -errno, "open %s", alloc_dir);
    if ((task_fd = make_in(alloc_fd, task, 0777, nobody(), alloc_dir, e)) < 0)
        return task_fd;
    if ((local_fd = make_in(task_fd, "local", 0777, nobody(), task, e)) < 0)
        return local_fd;
    if ((tmp_fd = make_in(task_fd, "tmp", 01777, NULL, task, e)) < 0)
        return tmp_fd;
    if ((secrets_fd = make_in(task_fd, "secrets", geteuid() == 0 ? 0777 : 0700, NULL, task, e)) < 0)
        return secrets_fd;
    r = mount_secrets(task_fd, secrets_fd, secrets_mb);
    return r ? err_sys(e, r, "mount a tmpfs on %s/%s/secrets", alloc_dir, task) : 0;
}

void allocdir_say(const char *alloc_dir, const char *task, const char *text)
{
    autofd int allocs = open(alloc_dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), dir = -1,
               fd = -1;
    char when[CLOCK_TEXT_BYTES];
    struct stat st;

    if (allocs >= 0)
        dir = openat(allocs, task, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir >= 0)
        fd = openat(dir, "executor.out", O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1)
        return;
    clock_format(clock_now_ns(CLOCK_REALTIME), when);
    (void)dprintf(fd, "%s %s\n", when, text);
}

int allocdir_unmount_task(const char *alloc_dir, const char *task)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/%s/secrets", alloc_dir, task) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        return 0;
    /* Not a mount point, not there, or not ours to unmount: nothing is mounted. */
    return errno == EINVAL || errno == ENOENT || errno == EPERM ? 0 : -errno;
}

static void unmount_other(const char *point, const char *allocs_dir,
                          bool (*keep)(void *arg, const char *id), void *arg)
{
    size_t n = strlen(allocs_dir);
    char id[37];

    if (strncmp(point, allocs_dir, n) != 0 || point[n] != '/' ||
        sscanf(point + n, "/%36[^/]/", id) != 1 || keep(arg, id))
        return;
    if (umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        log_info("alloc %s: unmounted %s, left by a dead task", id, point);
    else
        log_warn("alloc %s: unmount %s: %s", id, point, strerror(errno));
}

/* The list is taken first, and undone from its end: later mounts may lie on earlier ones. */
void allocdir_unmount_others(const char *allocs_dir, bool (*keep)(void *arg, const char *id),
                             void *arg)
{
    autoclose FILE *f = fopen("/proc/self/mountinfo", "re");
    autofree char *line = NULL;
    char **points = NULL;
    size_t n = 0, size = 0;

    while (f && getline(&line, &size, f) > 0) {
        char **grown;
        char *point;

        if (sscanf(line, "%*s %*s %*s %*s %ms", &point) != 1)
            continue;
        grown = reallocarray(points, n + 1, sizeof(*points));
        if (!grown)
            abort();
        points = grown;
        points[n++] = point;
    }
    while (n) {
        unmount_other(points[--n], allocs_dir, keep, arg);
        free(points[n]);
    }
    free(points);
}
