/* SPDX-License-Identifier: MIT
 *
 * Builds the root in a private mount namespace and pivots into it. executor/isolation/mount.h says
 * how mount points are kept safe from links the task may have left behind.
 */
#include "executor/isolation/root.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "executor/isolation/mount.h"
#include "executor/isolation/rootless.h"
#include "executor/report.h"
#include "shared/cleanup.h"
#include "shared/proto/wire.h"
#include "shared/sys.h"

int root_stage_private(struct plan *plan, const char **ret_arg)
{
    (void)plan;
    *ret_arg = "/";
    /* Not MS_SLAVE: the pivot needs a private parent, and nothing mounted later on the host should
     * reach into a running task. */
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

static int mount_task_dir(const char *dir, int *ret_root_fd)
{
    autofd int tree =
        sys_open_tree(AT_FDCWD, dir, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    int r = tree < 0 ? -errno : mount_attach(tree, AT_FDCWD, dir, MOUNT_ATTR_TASK, 0);

    if (!r)
        *ret_root_fd = take_fd(&tree);
    return r;
}

static int mount_tmpfs(const char *dir, int *ret_root_fd)
{
    autofd int root = -1;

    if (mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") < 0)
        return -errno;
    root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 || mkdirat(root, "tmp", 0) < 0 || fchmodat(root, "tmp", 01777, 0) < 0)
        return -errno;
    *ret_root_fd = take_fd(&root);
    return 0;
}

int root_stage_base(struct plan *plan, const char **ret_arg)
{
    *ret_arg = plan->spec->task_dir;
    return plan->tmpfs_root ? mount_tmpfs(*ret_arg, &plan->root_fd)
                            : mount_task_dir(*ret_arg, &plan->root_fd);
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
        if (n < 0 && errno == ENOENT)
            continue;
        if (n > 0) {
            content[n] = '\0';
            r = copy_link(plan->root_fd, b, content);
        }
        if (r == -ENOTSUP)
            r = mount_bind(plan->root_fd, AT_FDCWD, b->source, b->target,
                           MOUNT_ATTR_TASK | MOUNT_ATTR_RDONLY, true);
        if (r < 0)
            return r;
    }
    return 0;
}

int root_stage_shared(struct plan *plan, const char **ret_arg)
{
    *ret_arg = plan->spec->shared_dir;
    return mount_bind(plan->root_fd, AT_FDCWD, plan->spec->shared_dir, "/alloc", MOUNT_ATTR_TASK,
                      false);
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

static const char *const device_dirs[] = {"pts", "shm"};

static const char *const device_links[][2] = {
    {"/proc/self/fd", "fd"},       {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
    {"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"},
};

static int make_usual_device(const struct plan *plan, int dev_fd, const struct device *device)
{
    if (plan->spec->rootless)
        return rootless_show_device(plan->root_fd, device->name);
    return mknodat(dev_fd, device->name, S_IFCHR | 0666, makedev(device->major, device->minor)) < 0
               ? -errno
               : 0;
}

static int fill_dev(const struct plan *plan, int dev_fd, const char **ret_arg)
{
    for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
        int r;

        *ret_arg = devices[i].name;
        r = make_usual_device(plan, dev_fd, &devices[i]);
        if (r)
            return r;
    }
    for (size_t i = 0; i < ARRAY_LEN(device_dirs); i++) {
        *ret_arg = device_dirs[i];
        if (mkdirat(dev_fd, device_dirs[i], 0755) < 0)
            return -errno;
    }
    for (size_t i = 0; i < ARRAY_LEN(device_links); i++) {
        *ret_arg = device_links[i][1];
        if (symlinkat(device_links[i][0], dev_fd, device_links[i][1]) < 0)
            return -errno;
    }
    return 0;
}

static int make_device(const struct plan *plan, const struct spec_device *device)
{
    const struct exec_spec *spec = plan->spec;
    const char *name = strrchr(device->target, '/') + 1;
    mode_t mode = (strchr(device->permissions, 'r') ? 0400 : 0) |
                  (strchr(device->permissions, 'w') ? 0200 : 0);
    autofd int dir = -1;
    char path[PATH_MAX];
    struct stat st;

    if (stat(device->source, &st) < 0)
        return -errno;
    if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
        return -ENODEV;
    (void)snprintf(path, sizeof(path), "%.*s", (int)(name - device->target), device->target);
    dir = mount_point(plan->root_fd, path, false);
    if (dir < 0)
        return dir;
    if (mknodat(dir, name, (st.st_mode & S_IFMT) | mode, st.st_rdev) < 0 ||
        (spec->set_user && fchownat(dir, name, spec_host_id(spec, spec->uid),
                                    spec_host_id(spec, spec->gid), AT_SYMLINK_NOFOLLOW) < 0))
        return -errno;
    return 0;
}

static int make_devices(const struct plan *plan, const char **ret_arg)
{
    int r = 0;

    for (size_t i = 0; !r && i < plan->spec->n_devices; i++) {
        *ret_arg = plan->spec->devices[i].source;
        r = make_device(plan, &plan->spec->devices[i]);
    }
    return r;
}

int root_stage_dev(struct plan *plan, const char **ret_arg)
{
    autofd int dev_fd = -1;
    mode_t mask = umask(0);
    int r;

    *ret_arg = "/dev";
    r = mount_new(plan->root_fd, "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_STRICTATIME,
                  "mode=755,size=64k");
    if (!r) {
        dev_fd = openat(plan->root_fd, "dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = dev_fd < 0 ? -errno : fill_dev(plan, dev_fd, ret_arg);
        if (!r)
            r = make_devices(plan, ret_arg);
    }
    (void)umask(mask);
    if (r)
        return r;
    *ret_arg = "/dev/pts";
    /* Group tty is not in a rootless task's user namespace. */
    r = mount_new(dev_fd, "pts", "devpts", MS_NOSUID | MS_NOEXEC,
                  plan->spec->rootless ? "newinstance,ptmxmode=0666,mode=0620"
                                       : "newinstance,ptmxmode=0666,mode=0620,gid=5");
    if (r)
        return r;
    *ret_arg = "/dev/shm";
    r = mount_new(dev_fd, "shm", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV,
                  "mode=1777,size=65536k");
    if (r)
        return r;
    if (plan->spec->private_ipc) { /* an mqueue mount shows the queues of its ipc namespace */
        *ret_arg = "/dev/mqueue";
        r = mount_new(dev_fd, "mqueue", "mqueue", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL);
        if (r)
            return r;
    }
    *ret_arg = "/dev";
    return mount_read_only(dev_fd);
}

/* Kernel interfaces that would reach beyond the task or tell of others: hidden, or shown read-only.
 * The lists are the container runtimes' usual ones, but for the thermal_throttle directory of each
 * CPU, which would cost a mount for every CPU of the host. */
static const char *const masked_files[] = {
    "interrupts",  "kcore",      "keys",        "latency_stats",
    "sched_debug", "timer_list", "timer_stats", NULL,
};
static const char *const masked_dirs[] = {"acpi", "asound", "scsi", NULL};
static const char *const masked_in_sys[] = {"firmware", "devices/virtual/powercap", NULL};
static const char *const masked_in_hosts_sys[] = {"fs/cgroup", NULL};
static const char *const read_only[] = {"bus", "fs", "irq", "sys", "sysrq-trigger", NULL};

/* These three skip what this kernel lacks. */

/* Puts the null device over the files `names` in `fs`. It has the attributes of the task's /dev.
 * A clone is only made where it will be used: the end of a mount waits for a grace period of RCU.
 */
static int mask_files(const struct plan *plan, int fs, const char *const *names,
                      const char **ret_arg)
{
    int r = 0;

    for (; !r && *names; names++) {
        autofd int null = -1;

        *ret_arg = *names;
        if (faccessat(fs, *names, F_OK, 0) < 0) {
            r = errno == ENOENT ? 0 : -errno;
            continue;
        }
        null = sys_open_tree(plan->root_fd, "dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        r = null < 0 ? -errno : mount_move(null, fs, *names);
    }
    return r;
}

static int mask_dirs(int fs, const char *const *names, const char **ret_arg)
{
    int r = 0;

    for (; !r && *names; names++) {
        autofd int point = openat(fs, *names, O_PATH | O_DIRECTORY | O_CLOEXEC);

        *ret_arg = *names;
        if (point >= 0)
            r = mount_new_at(point, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV,
                             "size=0,mode=555");
        else if (errno != ENOENT)
            r = -errno;
    }
    return r;
}

static int freeze(int fs, const char *const *names, const char **ret_arg)
{
    int r = 0;

    for (; !r && *names; names++) {
        autofd int tree =
            sys_open_tree(fs, *names, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

        *ret_arg = *names;
        if (tree >= 0)
            r = mount_attach(tree, fs, *names,
                             MOUNT_ATTR_TASK | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC, 0);
        else if (errno != ENOENT)
            r = -errno;
    }
    return r;
}

static int cover_proc(const struct plan *plan, bool hosts, const char **ret_arg)
{
    autofd int proc = openat(plan->root_fd, "proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r = proc < 0 ? -errno : mask_files(plan, proc, masked_files, ret_arg);

    if (!r)
        r = mask_dirs(proc, masked_dirs, ret_arg);
    return r || hosts ? r
                      : freeze(proc, read_only, ret_arg); /* the host's is read-only as a whole */
}

static int mask_sys(const struct plan *plan, const char *const *names, const char **ret_arg)
{
    autofd int sys = openat(plan->root_fd, "sys", O_PATH | O_DIRECTORY | O_CLOEXEC);

    return sys < 0 ? -errno : mask_dirs(sys, names, ret_arg);
}

/* Where parts of the host's /proc are covered, as in most containers, no new one may be mounted
 * that would show them; nor one of a pid namespace that is not the user namespace's. */
static int show_hosts_proc(const struct plan *plan, const char **ret_arg)
{
    struct report note = {.kind = REPORT_NOTE};
    int r = rootless_show_kernel(plan, "/proc");

    if (!r && plan->spec->private_pid) {
        (void)strncpy(note.arg, WIRE_NOTE_PROC, sizeof(note.arg) - 1);
        report_send(plan->report_fd, &note);
    }
    return r ? r : cover_proc(plan, true, ret_arg);
}

int root_stage_proc(struct plan *plan, const char **ret_arg)
{
    int r;

    *ret_arg = "/proc";
    r = mount_new(plan->root_fd, "/proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL);
    if (r == -EPERM && plan->spec->rootless)
        return show_hosts_proc(plan, ret_arg);
    return r ? r : cover_proc(plan, false, ret_arg);
}

int root_stage_sys(struct plan *plan, const char **ret_arg)
{
    int r;

    *ret_arg = "/sys";
    r = mount_new(plan->root_fd, "/sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV,
                  NULL);
    if (r == -EPERM && plan->spec->rootless) { /* without a network namespace of its own */
        r = rootless_show_kernel(plan, "/sys");
        if (!r)
            r = mask_sys(plan, masked_in_hosts_sys, ret_arg);
    }
    return r ? r : mask_sys(plan, masked_in_sys, ret_arg);
}

/* The sources are taken before the mounts become private: only then are they peers of the host's.
 */
int root_stage_open_volumes(struct plan *plan, const char **ret_arg)
{
    for (size_t i = 0; i < plan->spec->n_mounts; i++) {
        *ret_arg = plan->spec->mounts[i].source;
        plan->volume_fds[i] =
            sys_open_tree(AT_FDCWD, *ret_arg, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
        if (plan->volume_fds[i] < 0)
            return -errno;
    }
    return 0;
}

static const unsigned long propagations[SPEC_PROPAGATION_N] = {
    [SPEC_PROPAGATION_PRIVATE] = MS_PRIVATE,
    [SPEC_PROPAGATION_SLAVE] = MS_SLAVE,
    [SPEC_PROPAGATION_SHARED] = MS_SHARED,
};

int root_stage_volumes(struct plan *plan, const char **ret_arg)
{
    for (size_t i = 0; i < plan->spec->n_mounts; i++) {
        const struct spec_mount *m = &plan->spec->mounts[i];
        uint64_t attrs = MOUNT_ATTR_TASK | (m->read_only ? MOUNT_ATTR_RDONLY : 0);
        autofd int point = -1;
        struct stat st;
        int r;

        *ret_arg = m->target;
        if (fstat(plan->volume_fds[i], &st) < 0)
            return -errno;
        point = mount_point(plan->root_fd, m->target, !S_ISDIR(st.st_mode));
        if (point < 0)
            return point;
        r = mount_attach(plan->volume_fds[i], point, "", attrs, propagations[m->propagation]);
        if (r)
            return r;
    }
    return 0;
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
