/* SPDX-License-Identifier: MIT
 *
 * Builds the root in a private mount namespace and pivots into it. The task directory belongs to
 * the task, which may have filled it with links during an earlier attempt: every mount point is
 * therefore made and opened beneath the root's descriptor with openat2(RESOLVE_NO_SYMLINKS), and
 * mounts are moved onto descriptors, never onto paths.
 *
 * A bind in the kernel ignores "read-only" (mount(2)); the flag is set on the detached tree with
 * mount_setattr(2), recursively, before the tree is attached, so it is never writable for an
 * instant.
 */
#include "executor/root.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/sys.h"

#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
#define ATTR_TASK (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

/* Opens `path` (absolute in the new root) as a mount point, making what is missing: directories,
 * and an empty file at the end when `file`. */
static int open_target(int root_fd, const char *path, bool file)
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

static int attach(int tree, int target)
{
    return sys_move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) <
                   0
               ? -errno
               : 0;
}

/* Shows `source` (as `from_fd` sees it) at `target`. A source that does not exist is left out when
 * `optional`, as chroot_env has it. */
static int bind(int root_fd, int from_fd, const char *source, const char *target, uint64_t attrs,
                bool optional)
{
    autofd int tree = -1, point = -1;
    struct stat st;

    tree = sys_open_tree(from_fd, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (tree < 0)
        return optional && errno == ENOENT ? 0 : -errno;
    if (fstat(tree, &st) < 0 ||
        sys_mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, attrs) < 0)
        return -errno;
    point = open_target(root_fd, target, !S_ISDIR(st.st_mode));
    if (point < 0)
        return point;
    return attach(tree, point);
}

static int mount_at(int root_fd, const char *target, const char *type, unsigned long flags,
                    const char *data)
{
    autofd int point = open_target(root_fd, target, false);
    char path[32];

    if (point < 0)
        return point;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d",
                   point); /* mount(2) takes no descriptor */
    return mount(type, path, type, flags, data) < 0 ? -errno : 0;
}

int root_stage_private(struct plan *plan, const char **ret_arg)
{
    (void)plan;
    *ret_arg = "/";
    /* Not MS_SLAVE: the pivot needs a private parent, and nothing mounted later on the host should
     * reach into a running task. */
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

int root_stage_base(struct plan *plan, const char **ret_arg)
{
    const char *dir = plan->spec->task_dir;
    autofd int tree = -1;

    *ret_arg = dir;
    if (plan->tmpfs_root) {
        if (mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") < 0)
            return -errno;
    } else {
        tree = sys_open_tree(AT_FDCWD, dir, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
        if (tree < 0 || sys_mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, ATTR_TASK) < 0 ||
            sys_move_mount(tree, "", AT_FDCWD, dir, MOVE_MOUNT_F_EMPTY_PATH) < 0)
            return -errno;
    }
    plan->root_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (plan->root_fd < 0)
        return -errno;
    if (plan->tmpfs_root &&
        (mkdirat(plan->root_fd, "tmp", 0) < 0 || fchmodat(plan->root_fd, "tmp", 01777, 0) < 0))
        return -errno;
    return 0;
}

/* A host path that is itself a link (on merged-/usr systems /bin is "usr/bin") becomes the same
 * link. */
static int copy_link(int root_fd, const struct spec_bind *bind_, const char *content)
{
    const char *name = bind_->target + strspn(bind_->target, "/");

    if (strchr(name, '/')) /* only beneath the root itself is the directory known to be no link */
        return -ENOTSUP;
    if (symlinkat(content, root_fd, name) < 0 && errno != EEXIST)
        return -errno;
    return 0;
}

int root_stage_binds(struct plan *plan, const char **ret_arg)
{
    for (size_t i = 0; i < plan->spec->n_binds; i++) {
        const struct spec_bind *b = &plan->spec->binds[i];
        char content[PATH_MAX];
        ssize_t n = readlink(b->source, content, sizeof(content) - 1);
        int r = -ENOTSUP;

        *ret_arg = b->source;
        if (n > 0) {
            content[n] = '\0';
            r = copy_link(plan->root_fd, b, content);
        }
        if (r == -ENOTSUP)
            r = bind(plan->root_fd, AT_FDCWD, b->source, b->target, ATTR_TASK | MOUNT_ATTR_RDONLY,
                     true);
        if (r < 0)
            return r;
    }
    return 0;
}

int root_stage_shared(struct plan *plan, const char **ret_arg)
{
    *ret_arg = plan->spec->shared_dir;
    return bind(plan->root_fd, AT_FDCWD, plan->spec->shared_dir, "/alloc", ATTR_TASK, false);
}

struct device {
    const char *name;
    unsigned int major, minor;
};

/* The device numbers are the kernel's (Documentation/admin-guide/devices.txt). */
static const struct device devices[] = {
    {"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
    {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
};

static const char *const device_links[][2] = {
    {"/proc/self/fd", "fd"},       {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
    {"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"},
};

static int fill_dev(int dev_fd, const char **ret_arg)
{
    for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
        *ret_arg = devices[i].name;
        if (mknodat(dev_fd, devices[i].name, S_IFCHR | 0666,
                    makedev(devices[i].major, devices[i].minor)) < 0)
            return -errno;
    }
    for (size_t i = 0; i < ARRAY_LEN(device_links); i++) {
        *ret_arg = device_links[i][1];
        if (symlinkat(device_links[i][0], dev_fd, device_links[i][1]) < 0)
            return -errno;
    }
    return 0;
}

int root_stage_dev(struct plan *plan, const char **ret_arg)
{
    autofd int dev_fd = -1;
    mode_t mask = umask(0);
    int r;

    *ret_arg = "/dev";
    r = mount_at(plan->root_fd, "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_STRICTATIME,
                 "mode=755,size=64k");
    if (!r) {
        dev_fd = openat(plan->root_fd, "dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = dev_fd < 0 ? -errno : fill_dev(dev_fd, ret_arg);
    }
    (void)umask(mask);
    if (r)
        return r;
    *ret_arg = "/dev/pts";
    r = mount_at(plan->root_fd, "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
                 "newinstance,ptmxmode=0666,mode=0620,gid=5");
    if (r)
        return r;
    *ret_arg = "/dev/shm";
    r = mount_at(plan->root_fd, "/dev/shm", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV,
                 "mode=1777,size=65536k");
    if (r)
        return r;
    if (plan->spec->private_ipc) { /* an mqueue mount shows the queues of its ipc namespace */
        *ret_arg = "/dev/mqueue";
        r = mount_at(plan->root_fd, "/dev/mqueue", "mqueue", MS_NOSUID | MS_NOEXEC | MS_NODEV,
                     NULL);
        if (r)
            return r;
    }
    *ret_arg = "/dev";
    return sys_mount_setattr(dev_fd, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY) < 0 ? -errno : 0;
}

/* Kernel interfaces that would reach beyond the task: hidden, or shown read-only. */
static const char *const proc_masked[] = {"kcore", "keys", "latency_stats", "timer_list"};
static const char *const proc_read_only[] = {"sys", "sysrq-trigger", "irq", "bus"};

int root_stage_proc(struct plan *plan, const char **ret_arg)
{
    autofd int proc_fd = -1;
    int r;

    *ret_arg = "/proc";
    r = mount_at(plan->root_fd, "/proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL);
    if (r)
        return r;
    proc_fd = openat(plan->root_fd, "proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (proc_fd < 0)
        return -errno;
    for (size_t i = 0; i < ARRAY_LEN(proc_masked); i++) {
        autofd int point = openat(proc_fd, proc_masked[i], O_PATH | O_CLOEXEC);
        autofd int null = -1;

        *ret_arg = proc_masked[i];
        if (point < 0)
            continue; /* this kernel does not have it */
        null = sys_open_tree(plan->root_fd, "dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (null < 0 || attach(null, point) < 0)
            return -errno;
    }
    for (size_t i = 0; i < ARRAY_LEN(proc_read_only); i++) {
        autofd int tree = sys_open_tree(proc_fd, proc_read_only[i],
                                        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
        autofd int point = openat(proc_fd, proc_read_only[i], O_PATH | O_CLOEXEC);

        *ret_arg = proc_read_only[i];
        if (point < 0)
            continue;
        if (tree < 0 ||
            sys_mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE,
                              ATTR_TASK | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC) < 0 ||
            attach(tree, point) < 0)
            return -errno;
    }
    return 0;
}

int root_stage_sys(struct plan *plan, const char **ret_arg)
{
    autofd int firmware = -1;
    int r;

    *ret_arg = "/sys";
    r = mount_at(plan->root_fd, "/sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV,
                 NULL);
    if (r)
        return r;
    firmware = openat(plan->root_fd, "sys/firmware", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (firmware < 0)
        return 0;
    *ret_arg = "/sys/firmware";
    return mount_at(firmware, ".", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV,
                    "size=0,mode=755");
}

/* Where the old root is a ramdisk, which cannot be pivoted away: the new root is mounted over it.
 * ".." from the new root leads to the new root, because it lies on top of its own parent. */
static int move_root(void)
{
    return mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0 ? -errno
                                                                                         : 0;
}

int root_stage_pivot(struct plan *plan, const char **ret_arg)
{
    *ret_arg = plan->spec->task_dir;
    if (plan->spec->no_pivot_root) {
        int r = fchdir(plan->root_fd) < 0 ? -errno : move_root();

        close_fd(&plan->root_fd);
        return r;
    }
    /* pivot_root(".", ".") stacks the old root on the new one; detaching "." takes it away again.
     */
    if (fchdir(plan->root_fd) < 0 || sys_pivot_root(".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
        chdir("/") < 0)
        return -errno;
    close_fd(&plan->root_fd);
    return 0;
}
