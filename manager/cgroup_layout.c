/* SPDX-License-Identifier: MIT
 *
 * Three kinds of hosts. Pure v2: one tree carries limits and the kill switch. Hybrid: a v2 tree
 * without controllers is the kill switch, v1 trees carry the limits. Pure v1: as hybrid, and the
 * freezer stands in for the kill switch. Nothing outside <mount>/<parent>/<node id> is written but
 * the cgroup.subtree_control files on the way there.
 */
#include "manager/cgroup_layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/log.h"
#include "shared/sys.h"

struct mounts {
    char unified[PATH_MAX];
    char memory[PATH_MAX];
    char cpu[PATH_MAX];
    char freezer[PATH_MAX];
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
    if (has_option(options, "memory"))
        note(found->memory, point);
    if (has_option(options, "cpu"))
        note(found->cpu, point);
    if (has_option(options, "freezer"))
        note(found->freezer, point);
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

static int write_file(int dirfd, const char *name, const char *text)
{
    autofd int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return -errno;
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

/* Hands the controllers of `dir` on to its children. */
static int enable_controllers(const char *dir)
{
    autofd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (file_has_word(dir, "cgroup.subtree_control", "cpu") &&
        file_has_word(dir, "cgroup.subtree_control", "memory"))
        return 0;
    return fd < 0 ? -errno : write_file(fd, "cgroup.subtree_control", "+cpu +memory");
}

/* Makes <mount>/<parent>/<node id>, parent possibly of several parts; `controllers`: hands them
 * down on the way. */
static int make_node_dir(const char *mount, const char *parent, const char *node_id,
                         bool controllers, char **ret_dir)
{
    autofree char *dir = NULL;
    int r = 0;

    if (asprintf(&dir, "%s/%s/%s", mount, parent, node_id) < 0)
        return -ENOMEM;
    for (char *p = dir + strlen(mount); !r && p; p = strchr(p + 1, '/')) {
        *p = '\0';
        if (mkdir(dir, 0755) < 0 && errno != EEXIST)
            r = -errno;
        if (!r && controllers)
            r = enable_controllers(dir);
        *p = '/';
    }
    if (!r && mkdir(dir, 0755) < 0 && errno != EEXIST)
        r = -errno;
    if (!r && controllers)
        r = enable_controllers(dir);
    if (!r)
        *ret_dir = take_ptr(dir);
    return r;
}

static void give_up(struct cgroup_layout *layout, const char *what, int r)
{
    static const struct {
        int error;
        const char *text;
    } mends[] = {
        {-EACCES, "; start the manager as root"},
        {-EPERM, "; start the manager as root"},
        {-EROFS, "; mount the cgroup file system writable"},
        {-EBUSY, "; move the processes of that group into a child group"},
    };
    const char *mend = "";
    char *reason = NULL;

    for (size_t i = 0; i < ARRAY_LEN(mends); i++)
        if (mends[i].error == r)
            mend = mends[i].text;
    if (asprintf(&reason, "can't make this node's cgroup in %s: %s%s", what, strerror(-r), mend) <
        0)
        abort();
    cgroup_layout_deinit(layout);
    layout->reason = reason;
}

void cgroup_layout_init(struct cgroup_layout *layout, const char *parent, const char *node_id)
{
    struct mounts found = {0};
    struct {
        const char *mount;
        char **slot;
    } v1[] = {{found.memory, &layout->dirs.memory},
              {found.cpu, &layout->dirs.cpu},
              {found.freezer, &layout->dirs.freezer}};
    bool v2;
    int r;

    *layout = (struct cgroup_layout){.version = ""};
    r = find_mounts(&found);
    if (r || (!found.unified[0] && !found.memory[0] && !found.freezer[0])) {
        layout->reason =
            strdup("no cgroup file system is mounted; mount one: mount -t cgroup2 none "
                   "/sys/fs/cgroup");
        return;
    }
    v2 = found.unified[0] && file_has_word(found.unified, "cgroup.controllers", "memory") &&
         file_has_word(found.unified, "cgroup.controllers", "cpu");
    if (found.unified[0]) {
        r = make_node_dir(found.unified, parent, node_id, v2, &layout->dirs.unified);
        if (r) {
            give_up(layout, found.unified, r);
            return;
        }
        found.freezer[0] = '\0'; /* cgroup.kill is better */
    }
    layout->dirs.v2_controllers = v2;
    for (size_t i = 0; !v2 && i < ARRAY_LEN(v1); i++) {
        if (v1[i].mount[0] &&
            (r = make_node_dir(v1[i].mount, parent, node_id, false, v1[i].slot))) {
            give_up(layout, v1[i].mount, r);
            return;
        }
    }
    layout->version = v2 ? "v2" : (found.unified[0] ? "hybrid" : "v1");
}

void cgroup_layout_deinit(struct cgroup_layout *layout)
{
    free(layout->dirs.unified);
    free(layout->dirs.memory);
    free(layout->dirs.cpu);
    free(layout->dirs.freezer);
    free(layout->reason);
    *layout = (struct cgroup_layout){.version = ""};
}

/* For the killing below: every directory in use, the one with the kill switch first. */
static size_t list_dirs(const struct cgroup_layout *layout, const char *ret_dirs[4])
{
    const struct spec_cgroup *d = &layout->dirs;
    const char *all[] = {d->unified, d->freezer, d->memory, d->cpu};
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i])
            ret_dirs[n++] = all[i];
    return n;
}

/* v1 has no kill switch: stop the group so that it cannot fork, kill each, let them die. */
static void kill_one_by_one(int leaf_fd)
{
    autofd int fd = openat(leaf_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    autoclose FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
    int pid;

    if (!f)
        return;
    (void)take_fd(&fd);
    (void)write_file(leaf_fd, "freezer.state", "FROZEN");
    while (fscanf(f, "%d", &pid) == 1)
        (void)kill(pid, SIGKILL); /* frozen: it cannot have been replaced by another process */
    (void)write_file(leaf_fd, "freezer.state", "THAWED");
}

/* Removes the group at `name` and those a task made below it. */
static int remove_tree(int parent_fd, const char *name)
{
    autofd int fd = -1;
    autodir DIR *dir = NULL;
    struct dirent *entry;

    if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return -errno;
    (void)take_fd(&fd);
    while ((entry = readdir(dir)))
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            (void)remove_tree(dirfd(dir), entry->d_name);
    if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0)
        return 0;
    return errno == EBUSY ? -EAGAIN : -errno;
}

static int clear_leaf(int dir_fd, const char *name, bool kill_first)
{
    autofd int leaf_fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    if (leaf_fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (kill_first && write_file(leaf_fd, "cgroup.kill", "1") < 0)
        kill_one_by_one(leaf_fd);
    return remove_tree(dir_fd, name);
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
    const char *dirs[4];
    size_t n = list_dirs(layout, dirs);
    int worst = 0;

    for (size_t i = 0; i < n; i++) {
        int r = clear_dir(dirs[i], i == 0, keep, arg);

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
    const char *dirs[4];
    size_t n = list_dirs(layout, dirs);

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
