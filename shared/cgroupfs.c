/* SPDX-License-Identifier: MIT
 *
 * Killing without cgroup.kill: a process that forks between the reading of cgroup.procs and the
 * signal would leave a child behind, so the group is frozen first; a frozen process dies once it is
 * thawed. A v1 freezer may still be freezing when its list is read. What was missed then, the next
 * call finds.
 */
#include "shared/cgroupfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/cleanup.h"

enum {
    KILL_ROUNDS = 64
};

int cgroupfs_write(int dir, const char *file, const char *text)
{
    autofd int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

int cgroupfs_write_number(int dir, const char *file, uint64_t number)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    return cgroupfs_write(dir, file, text);
}

ssize_t cgroupfs_read(int dir, const char *file, char *buf, size_t size)
{
    autofd int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = read(fd, buf, size - 1);
    if (n < 0)
        return -errno;
    buf[n] = '\0';
    return n;
}

int cgroupfs_read_number(int dir, const char *file, uint64_t *ret_number)
{
    char text[32], *end;
    ssize_t n = cgroupfs_read(dir, file, text, sizeof(text));
    uint64_t number;

    if (n < 0)
        return (int)n;
    if (strcmp(text, "max\n") == 0) {
        *ret_number = UINT64_MAX;
        return 0;
    }
    number = strtoull(text, &end, 10);
    if (end == text || (*end && *end != '\n'))
        return -EINVAL;
    *ret_number = number;
    return 0;
}

uint64_t cgroupfs_value(const char *text, const char *key)
{
    size_t n = strlen(key);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, n) == 0 && line[n] == ' ')
            return strtoull(line + n + 1, NULL, 10);
    }
    return 0;
}

int cgroupfs_freeze(int dir, bool frozen)
{
    int r = cgroupfs_write(dir, "cgroup.freeze", frozen ? "1" : "0");

    return r == -ENOENT ? cgroupfs_write(dir, "freezer.state", frozen ? "FROZEN" : "THAWED") : r;
}

/* Calls `visit` for each group directly below `dir`. */
static void for_each_child(int dir, void (*visit)(int dir, const char *name, void *arg), void *arg)
{
    autofd int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    autodir DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (!stream)
        return;
    (void)take_fd(&fd);
    while ((entry = readdir(stream)))
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            visit(dir, entry->d_name, arg);
}

struct kill_count {
    size_t found;
    int error;
};

static void kill_listed(int dir, struct kill_count *count);

static void kill_child(int dir, const char *name, void *arg)
{
    autofd int child = openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    if (child >= 0)
        kill_listed(child, arg);
}

/* Kills what cgroup.procs lists, here and below. Zombies are not listed. */
static void kill_listed(int dir, struct kill_count *count)
{
    autofd int fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    autoclose FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
    int pid;

    if (!f) {
        count->error = -errno;
        return;
    }
    (void)take_fd(&fd);
    while (fscanf(f, "%d", &pid) == 1) {
        if (pid <= 0) /* of another pid namespace: it cannot be named from here */
            continue;
        count->found++;
        if (kill(pid, SIGKILL) < 0 && errno != ESRCH)
            count->error = -errno;
    }
    for_each_child(dir, kill_child, count);
}

int cgroupfs_kill(int dir)
{
    struct kill_count count;
    bool frozen;
    int r = cgroupfs_write(dir, "cgroup.kill", "1"), rounds = 0;

    if (r != -ENOENT)
        return r;
    frozen = cgroupfs_freeze(dir, true) == 0;
    do {
        count = (struct kill_count){0};
        kill_listed(dir, &count);
    } while (!frozen && count.found && !count.error && ++rounds < KILL_ROUNDS);
    if (frozen)
        (void)cgroupfs_freeze(dir, false);
    return count.error;
}

static void remove_child(int dir, const char *name, void *arg)
{
    (void)arg;
    (void)cgroupfs_remove(dir, name);
}

int cgroupfs_remove(int parent, const char *name)
{
    autofd int dir = -1;

    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno != EBUSY)
        return -errno;
    dir = openat(parent, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return errno == ENOENT ? 0 : -errno;
    for_each_child(dir, remove_child, NULL);
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}
