/* SPDX-License-Identifier: MIT
 *
 * Three kinds of hosts. Pure v2: one tree carries limits and the kill switch. Hybrid: a v2 tree
 * without controllers is the kill switch, v1 trees carry the limits. Pure v1: as hybrid, and the
 * freezer stands in for the kill switch. Nothing outside <mount>/<parent>/<node id> is written but
 * the cgroup.subtree_control files on the way there. A task without a manager has its leaves right
 * below the mounts: nothing is made for it that another such task could still need or already take
 * away. Who is not root works below its own v2 group, where that was left to it, and without v1.
 */
#include "shared/cgroup_layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cgroupfs.h"
#include "shared/cleanup.h"
#include "shared/device_filter.h"
#include "shared/log.h"
#include "shared/proto/wire.h"
#include "shared/sys.h"

/* Where the manager and its executors are in a group that was left to it. */
#define SUPERVISOR "/supervisor"

/* The v1 controllers of struct spec_cgroup, by the name they are mounted under. */
static const struct tree {
    const char *controller;
    size_t dir;    /* offset in struct spec_cgroup */
    bool optional; /* tasks that do not ask for it can run without */
} trees[] = {
    {"memory", offsetof(struct spec_cgroup, memory), false},
    {"cpu", offsetof(struct spec_cgroup, cpu), false},
    {"pids", offsetof(struct spec_cgroup, pids), true},
    {"cpuset", offsetof(struct spec_cgroup, cpuset), true},
    {"blkio", offsetof(struct spec_cgroup, io), true},
    {"cpuacct", offsetof(struct spec_cgroup, cpuacct), true},
    {"devices", offsetof(struct spec_cgroup, devices), true},
    {"freezer", offsetof(struct spec_cgroup, freezer), false},
};
enum {
    N_TREES = ARRAY_LEN(trees)
};

struct mounts {
    char unified[PATH_MAX];
    char v1[N_TREES][PATH_MAX];
};

static bool has_option(const char *options, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = options; (p = strstr(p, name)); p += n)
        if ((p == options || p[-1] == ',') && (p[n] == ',' || p[n] == '\0'))
            return true;
    return false;
}

static void note(char slot[PATH_MAX], const char *mount_point)
{
    if (!slot[0])
        (void)snprintf(slot, PATH_MAX, "%s", mount_point);
}

/* One line of proc_pid_mountinfo(5); mount points with escaped characters are passed over. */
static void note_mount(struct mounts *found, char *line)
{
    char point[PATH_MAX], type[64], options[1024];
    char *tail = strstr(line, " - ");

    if (!tail || sscanf(line, "%*s %*s %*s %*s %4095s", point) != 1 || strchr(point, '\\') ||
        sscanf(tail, " - %63s %*s %1023s", type, options) != 2)
        return;
    if (strcmp(type, "cgroup2") == 0)
        note(found->unified, point);
    if (strcmp(type, "cgroup") != 0)
        return;
    for (size_t i = 0; i < N_TREES; i++)
        if (has_option(options, trees[i].controller))
            note(found->v1[i], point);
}

static int find_mounts(struct mounts *found)
{
    autoclose FILE *f = fopen("/proc/self/mountinfo", "re");
    autofree char *line = NULL;
    size_t size = 0;

    if (!f)
        return -errno;
    while (getline(&line, &size, f) > 0)
        note_mount(found, line);
    return 0;
}

static bool file_has_word(const char *dir, const char *name, const char *word)
{
    char path[PATH_MAX], text[512] = "", *save = NULL;
    autofd int fd = -1;

    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path) ||
        (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0 || read(fd, text, sizeof(text) - 1) < 0)
        return false;
    for (char *w = strtok_r(text, " \n", &save); w; w = strtok_r(NULL, " \n", &save))
        if (strcmp(w, word) == 0)
            return true;
    return false;
}

/* Hands the controllers of `dir` on to its children, as far as they are not: those every task
 * needs, and of the others those there are. */
static int enable_controllers(const char *dir)
{
    static const char *const names[] = {"cpu", "memory", "pids", "cpuset", "io"};
    autofd int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char text[16];
        int r;

        if (file_has_word(dir, "cgroup.subtree_control", names[i]))
            continue;
        (void)snprintf(text, sizeof(text), "+%s", names[i]);
        r = cgroupfs_write(fd, "cgroup.subtree_control", text);
        if (r < 0 && i < 2)
            return r;
    }
    return 0;
}

/* Makes <mount><below>, which is "" or starts with a slash; `controllers`: hands them down on the
 * way. */
static int make_node_dir(const char *mount, const char *below, bool controllers, char **ret_dir)
{
    autofree char *dir = NULL;
    char *end, cut;
    int r = 0;

    if (asprintf(&dir, "%s%s", mount, below) < 0)
        return -ENOMEM;
    end = dir + strlen(mount);
    do {
        cut = *end;
        *end = '\0';
        if (mkdir(dir, 0755) < 0 && errno != EEXIST)
            r = -errno;
        if (!r && controllers)
            r = enable_controllers(dir);
        *end = cut;
        end = cut ? strchrnul(end + 1, '/') : end;
    } while (!r && cut);
    if (!r)
        *ret_dir = take_ptr(dir);
    return r;
}

#define ONLY_ROOT                                                                                  \
    "; only root may, or a user inside a group that was left to it (systemd-run --user --scope "   \
    "-p Delegate=yes)"

static void give_up(struct cgroup_layout *layout, const char *what, int r)
{
    static const struct {
        int error;
        const char *text;
    } mends[] = {
        {-EACCES, ONLY_ROOT},
        {-EPERM, ONLY_ROOT},
        {-EROFS, "; mount the cgroup file system writable"},
        {-EBUSY, "; move the processes of that group into a child group"},
    };
    const char *mend = "";
    char *reason = NULL;

    for (size_t i = 0; i < ARRAY_LEN(mends); i++)
        if (mends[i].error == r)
            mend = mends[i].text;
    if (asprintf(&reason, "can't make a cgroup in %s: %s%s", what, strerror(-r), mend) < 0)
        abort();
    cgroup_layout_deinit(layout);
    layout->reason = reason;
}

static char **slot_of(struct cgroup_layout *layout, size_t tree)
{
    return (char **)((char *)&layout->dirs + trees[tree].dir);
}

/* A new v1 cpuset has neither CPUs nor memory nodes, and so lets nobody in: it gets its parent's,
 * from `mount` down to `dir`. */
static int fill_cpusets(const char *mount, const char *dir)
{
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    autofd int fd = open(mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
    autofree char *path = strdup(dir + strlen(mount));
    int r = fd < 0 ? -errno : 0;
    char *save = NULL;

    for (char *part = strtok_r(path, "/", &save); !r && part; part = strtok_r(NULL, "/", &save)) {
        int child = openat(fd, part, O_PATH | O_DIRECTORY | O_CLOEXEC);

        for (size_t i = 0; child >= 0 && !r && i < ARRAY_LEN(files); i++) {
            char text[1024];
            ssize_t n = cgroupfs_read(child, files[i], text, sizeof(text));

            if (n > 1) /* not only the newline: set already */
                continue;
            n = cgroupfs_read(fd, files[i], text, sizeof(text));
            r = n < 0 ? (int)n : cgroupfs_write(child, files[i], text);
        }
        close_fd(&fd);
        fd = child;
        r = fd < 0 ? -ENOENT : r;
    }
    return r;
}

/* The unified tree counts CPU time, cgroup.kill is better than a freezer, and one program for the
 * devices takes fewer system calls than v1's list. */
static bool unified_does(const char *controller)
{
    return strcmp(controller, "cpuacct") == 0 || strcmp(controller, "freezer") == 0 ||
           (strcmp(controller, "devices") == 0 && device_filter_probe() == 0);
}

static int init_v1(struct cgroup_layout *layout, const struct mounts *found, const char *below,
                   const char **ret_mount)
{
    for (size_t i = 0; i < N_TREES; i++) {
        const char *mount = found->v1[i], *controller = trees[i].controller;
        int r;

        if (!mount[0] || (layout->dirs.unified && unified_does(controller)))
            continue;
        *ret_mount = mount;
        r = make_node_dir(mount, below, false, slot_of(layout, i));
        if (!r && strcmp(controller, "cpuset") == 0) {
            r = fill_cpusets(mount, layout->dirs.cpuset);
            layout->cpuset_root = strdup(mount);
        }
        if (r && !trees[i].optional)
            return r;
        if (r)
            free(take_ptr(*slot_of(layout, i)));
    }
    layout->memory = layout->dirs.memory;
    layout->cpu = layout->dirs.cpu;
    layout->pids = layout->dirs.pids;
    layout->cpuset = layout->dirs.cpuset;
    layout->io = layout->dirs.io;
    layout->devices = layout->dirs.devices || (layout->dirs.unified && device_filter_probe() == 0);
    return 0;
}

static int enter(const char *dir)
{
    autofd int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -errno : cgroupfs_write(fd, "cgroup.procs", "0");
}

static bool may_write(const char *dir, const char *name)
{
    char path[PATH_MAX];

    return snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path) &&
           access(path, W_OK) == 0;
}

/* This process's own group in the v2 tree, as proc_pid_cgroup(5) has it; "" for the root. */
static void find_own(const char *mount, char own[PATH_MAX])
{
    autoclose FILE *f = fopen("/proc/self/cgroup", "re");
    char line[PATH_MAX];
    size_t n;

    own[0] = '\0';
    while (f && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::/", 4) == 0 && line[4])
            (void)snprintf(own, PATH_MAX, "%s%s", mount, line + 3);
    }
    n = strlen(own);
    if (n > strlen(SUPERVISOR) && strcmp(own + n - strlen(SUPERVISOR), SUPERVISOR) == 0)
        own[n - strlen(SUPERVISOR)] = '\0';
}

/* Below what to make groups: who is not root can do so in the own group if that was left to it,
 * nowhere else. */
static void choose_base(const char *mount, char base[PATH_MAX])
{
    find_own(mount, base);
    if (geteuid() == 0 || !may_write(base, ".") || !may_write(base, "cgroup.procs"))
        (void)snprintf(base, PATH_MAX, "%s", mount);
}

/* A group that hands controllers down may hold no process itself (cgroup-v2.rst, "No Internal
 * Process Constraint"): this one goes a group further down, and its children with it. */
static int make_room(const char *base)
{
    autofree char *dir = NULL;

    if (asprintf(&dir, "%s" SUPERVISOR, base) < 0)
        return -ENOMEM;
    return mkdir(dir, 0755) < 0 && errno != EEXIST ? -errno : enter(dir);
}

static int init_unified(struct cgroup_layout *layout, const char *mount, const char *below)
{
    char base[PATH_MAX];
    bool v2;
    int r = 0;

    choose_base(mount, base);
    v2 = file_has_word(base, "cgroup.controllers", "memory") &&
         file_has_word(base, "cgroup.controllers", "cpu");
    if (v2 && strcmp(base, mount) != 0)
        r = make_room(base);
    if (!r)
        r = make_node_dir(base, below, v2, &layout->dirs.unified);
    if (r || !v2)
        return r;
    layout->base_len = strlen(base);
    layout->dirs.v2_controllers = layout->memory = layout->cpu = true;
    layout->pids = file_has_word(layout->dirs.unified, "cgroup.subtree_control", "pids");
    layout->cpuset = file_has_word(layout->dirs.unified, "cgroup.subtree_control", "cpuset");
    layout->io = file_has_word(layout->dirs.unified, "cgroup.subtree_control", "io");
    layout->devices = device_filter_probe() == 0;
    return 0;
}

/* Makes the shared cpuset, and reads which CPUs there are. Without them nobody gets cores. */
static int init_shared(struct cgroup_layout *layout, const char *dir)
{
    bool v2 = layout->dirs.v2_controllers;
    autofd int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    char cpus[1024];
    int r;

    if (fd < 0 ||
        cgroupfs_read(fd, v2 ? "cpuset.cpus.effective" : "cpuset.cpus", cpus, sizeof(cpus)) < 0)
        return -errno;
    cpus[strcspn(cpus, "\n")] = '\0';
    if (asprintf(&layout->shared, "%s/shared", dir) < 0)
        return -ENOMEM;
    r = mkdir(layout->shared, 0755) < 0 && errno != EEXIST ? -errno : 0;
    if (!r && v2)
        r = enable_controllers(layout->shared);
    else if (!r && !(r = fill_cpusets(dir, layout->shared)))
        r = enter(layout->shared);
    layout->cpus = strdup(cpus);
    return layout->cpus ? r : -ENOMEM;
}

static void try_shared(struct cgroup_layout *layout)
{
    const char *dir = layout->dirs.v2_controllers ? layout->dirs.unified : layout->dirs.cpuset;

    if (!layout->cpuset || init_shared(layout, dir) == 0)
        return;
    layout->cpuset = false;
    free(take_ptr(layout->shared));
    free(take_ptr(layout->cpus));
}

static void protect(const char *path, uint64_t bytes)
{
    autofd int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 ? -errno : cgroupfs_write_number(fd, "memory.low", bytes);

    if (r < 0)
        log_warn("tasks with memory_max may not keep their memory when it runs short: cannot write "
                 "%llu to %s/memory.low: %s",
                 (unsigned long long)bytes, path, strerror(-r));
}

/* What the groups directly below keep. */
static uint64_t kept_below(const char *path)
{
    autodir DIR *dir = opendir(path);
    uint64_t total = 0, bytes;
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        char file[NAME_MAX + sizeof("/memory.low")];

        (void)snprintf(file, sizeof(file), "%s/memory.low", entry->d_name);
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
            cgroupfs_read_number(dirfd(dir), file, &bytes) == 0)
            total = bytes > UINT64_MAX - total ? UINT64_MAX : total + bytes;
    }
    return total;
}

void cgroup_layout_protect(const struct cgroup_layout *layout, uint64_t shared, uint64_t own)
{
    autofree char *dir = layout->dirs.v2_controllers ? strdup(layout->dirs.unified) : NULL;
    char *slash;

    if (!dir)
        return;
    if (layout->shared)
        protect(layout->shared, shared);
    protect(dir, shared + own);
    /* The groups above may be those of other nodes, too. */
    while ((slash = strrchr(dir, '/')) && slash > dir + layout->base_len) {
        *slash = '\0';
        protect(dir, kept_below(dir));
    }
}

void cgroup_layout_share(const struct cgroup_layout *layout, const char *cpus)
{
    autofd int fd = layout->shared ? open(layout->shared, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    int r = fd < 0 ? -errno : cgroupfs_write(fd, "cpuset.cpus", cpus);

    if (r < 0)
        log_warn("tasks with cores share them with others: cannot write %s to %s/cpuset.cpus: %s",
                 cpus, layout->shared ? layout->shared : "?", strerror(-r));
}

static bool any_mounted(const struct mounts *found)
{
    bool any = found->unified[0];

    for (size_t i = 0; i < N_TREES; i++)
        any |= found->v1[i][0];
    return any;
}

static void init_dirs(struct cgroup_layout *layout, const char *below)
{
    autofree struct mounts *found = calloc(1, sizeof(*found));
    const char *mount;
    int r = found ? find_mounts(found) : -ENOMEM;

    *layout = (struct cgroup_layout){.version = ""};
    if (r || !any_mounted(found)) {
        layout->reason =
            strdup("no cgroup file system is mounted; mount one: mount -t cgroup2 none "
                   "/sys/fs/cgroup");
        return;
    }
    mount = found->unified;
    if (*mount)
        r = init_unified(layout, mount, below);
    if (!r && !layout->dirs.v2_controllers)
        r = init_v1(layout, found, below, &mount);
    if (r == -EACCES && layout->dirs.unified && geteuid() != 0)
        r = 0; /* no limits, but all of a task in hand */
    if (r)
        give_up(layout, mount, r);
    else
        layout->version = layout->dirs.v2_controllers ? "v2" : (*found->unified ? "hybrid" : "v1");
}

/* An init system may hold a place for executors beside this node's directory. */
static void find_executors(struct cgroup_layout *layout)
{
    const char *node = layout->dirs.unified;
    char *dir;

    if (!node)
        return;
    if (asprintf(&dir, "%.*s/" WIRE_EXECUTORS_GROUP, (int)(strrchr(node, '/') - node), node) < 0)
        abort();
    if (access(dir, F_OK) == 0)
        layout->dirs.executor = dir;
    else
        free(dir);
}

void cgroup_layout_init(struct cgroup_layout *layout, const char *parent, const char *node_id)
{
    autofree char *below = NULL;

    if (asprintf(&below, "/%s/%s", parent, node_id) < 0)
        abort();
    init_dirs(layout, below);
    if (layout->reason)
        return;
    try_shared(layout);
    find_executors(layout);
}

void cgroup_layout_init_roots(struct cgroup_layout *layout)
{
    init_dirs(layout, "");
}

void cgroup_layout_deinit(struct cgroup_layout *layout)
{
    free(layout->dirs.unified);
    free(layout->dirs.executor);
    for (size_t i = 0; i < N_TREES; i++)
        free(*slot_of(layout, i));
    free(layout->cpus);
    free(layout->shared);
    free(layout->cpuset_root);
    free(layout->reason);
    *layout = (struct cgroup_layout){.version = ""};
}

enum {
    DIRS_MAX = N_TREES + 2
};

/* For the killing below: every directory in use, the one to kill by first. */
static size_t list_dirs(const struct cgroup_layout *layout, const char *ret_dirs[DIRS_MAX])
{
    size_t n = 0;

    if (layout->dirs.v2_controllers && layout->shared)
        ret_dirs[n++] = layout->shared;
    if (layout->dirs.unified)
        ret_dirs[n++] = layout->dirs.unified;
    for (size_t i = N_TREES; i-- > 0;) /* the freezer is the last of them */
        if (*slot_of((struct cgroup_layout *)layout, i))
            ret_dirs[n++] = *slot_of((struct cgroup_layout *)layout, i);
    return n;
}

static int clear_leaf(int dir_fd, const char *name, bool kill_first)
{
    autofd int leaf_fd = openat(dir_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int r;

    if (leaf_fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (kill_first)
        (void)cgroupfs_kill(leaf_fd);
    r = cgroupfs_remove(dir_fd, name);
    return r == -EBUSY ? -EAGAIN : r;
}

/* Clears the leaves of one directory that `keep` does not want. The worst result wins. */
static int clear_dir(const char *path, bool kill_first, bool (*keep)(void *arg, const char *leaf),
                     void *arg)
{
    autodir DIR *dir = opendir(path);
    struct dirent *entry;
    int worst = 0;

    if (!dir)
        return errno == ENOENT ? 0 : -errno;
    while ((entry = readdir(dir))) {
        int r;

        if (entry->d_type != DT_DIR || entry->d_name[0] == '.' || keep(arg, entry->d_name))
            continue;
        r = clear_leaf(dirfd(dir), entry->d_name, kill_first);
        if (r && r != -EAGAIN)
            log_warn("cgroup %s/%s stays: %s", path, entry->d_name, strerror(-r));
        if (r && worst != -EAGAIN)
            worst = r;
    }
    return worst;
}

int cgroup_layout_reap(const struct cgroup_layout *layout,
                       bool (*keep)(void *arg, const char *leaf), void *arg)
{
    const char *dirs[DIRS_MAX];
    size_t n = list_dirs(layout, dirs);
    int worst = 0;

    for (size_t i = 0; i < n; i++) {
        bool kill_first = i == 0 || layout->dirs.v2_controllers;
        int r = clear_dir(dirs[i], kill_first, keep, arg);

        if (r && worst != -EAGAIN)
            worst = r;
    }
    return worst;
}

static bool is_other_task(void *arg, const char *leaf)
{
    const char *prefix = arg;
    size_t n = strlen(prefix);

    /* What follows must be the attempt: a task "a.b" is not the task "a". */
    return strncmp(leaf, prefix, n) != 0 || leaf[n] == '\0' ||
           leaf[n + strspn(leaf + n, "0123456789")] != '\0';
}

int cgroup_layout_kill_task(const struct cgroup_layout *layout, const char *alloc_id,
                            const char *task)
{
    char prefix[NAME_MAX + 1];

    (void)snprintf(prefix, sizeof(prefix), "%s.%s.", alloc_id, task);
    return cgroup_layout_reap(layout, is_other_task, prefix);
}

void cgroup_layout_remove(const struct cgroup_layout *layout)
{
    const char *dirs[DIRS_MAX];
    size_t n = list_dirs(layout, dirs);

    if (layout->shared && layout->cpuset_root)
        (void)enter(layout->cpuset_root);
    if (layout->shared)
        (void)rmdir(layout->shared);
    for (size_t i = 0; i < n; i++) {
        char parent[PATH_MAX];
        char *slash;

        (void)snprintf(parent, sizeof(parent), "%s", dirs[i]);
        slash = strrchr(parent, '/');
        *slash = '\0';
        if (rmdir(dirs[i]) == 0)
            (void)rmdir(parent); /* the last node's manager takes the common parent away too */
    }
}
