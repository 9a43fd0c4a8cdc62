/* SPDX-License-Identifier: MIT
 *
 * A process may map its own user in its new namespace by itself, and one id only; for that it has
 * to give up setgroups(2) first (user_namespaces(7)). More ids are the setuid programs' of the
 * package uidmap, which act on the ranges of /etc/subuid and /etc/subgid from outside.
 */
#include "executor/isolation/rootless.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "executor/isolation/mount.h"
#include "shared/cleanup.h"
#include "shared/sys.h"

static int write_file(const char *path, const char *text)
{
    autofd int fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int map_one(const char *path, uint32_t inside, uint32_t outside)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%u %u 1\n", inside, outside);
    return write_file(path, text);
}

static int map_self(const struct plan *plan, const char **ret_arg)
{
    const struct exec_spec *spec = plan->spec;
    int r;

    *ret_arg = "/proc/self/setgroups";
    r = write_file(*ret_arg, "deny");
    if (r)
        return r;
    *ret_arg = "/proc/self/uid_map";
    r = map_one(*ret_arg, spec->uid, plan->own_uid);
    if (r)
        return r;
    *ret_arg = "/proc/self/gid_map";
    return map_one(*ret_arg, spec->gid, plan->own_gid);
}

int rootless_stage_ids(struct plan *plan, const char **ret_arg)
{
    unsigned char error;

    if (!plan->spec->n_subids)
        return map_self(plan, ret_arg);
    *ret_arg = "newuidmap, newgidmap";
    if (recv(plan->report_fd, &error, 1, 0) != 1)
        return -ECANCELED;
    return -error;
}

/* -ENOENT: there is no such program; -ERANGE: it would not. */
static int run_mapper(const char *program, pid_t pid, uint32_t own, uint32_t base, uint32_t size)
{
    char numbers[6][12];
    const uint32_t values[6] = {(uint32_t)pid, 0, own, 1, base, size};
    char *argv[] = {(char *)program, numbers[0], numbers[1], numbers[2], "1",
                    numbers[3],      numbers[4], numbers[5], NULL};
    int status = 0;
    pid_t mapper;

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        (void)snprintf(numbers[i], sizeof(numbers[i]), "%u", values[i]);
    mapper = vfork();
    if (mapper == 0) {
        (void)execv(program, argv);
        _exit(errno);
    }
    if (mapper < 0)
        return -errno;
    while (waitpid(mapper, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    if (status == 0)
        return 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == ENOENT ? -ENOENT : -ERANGE;
}

void rootless_map(const struct exec_spec *spec, pid_t pid, int report_fd)
{
    int r = run_mapper("/usr/bin/newuidmap", pid, geteuid(), spec->subuid, spec->n_subids);
    unsigned char error;

    if (!r)
        r = run_mapper("/usr/bin/newgidmap", pid, getegid(), spec->subgid, spec->n_subids);
    error = (unsigned char)-r;
    (void)send(report_fd, &error, 1, MSG_NOSIGNAL); /* a child that is gone is noticed otherwise */
}

int rootless_show_device(int root_fd, const char *name)
{
    char path[32];

    (void)snprintf(path, sizeof(path), "/dev/%s", name);
    return mount_bind(root_fd, AT_FDCWD, path, path, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, false);
}

int rootless_show_kernel(const struct plan *plan, const char *fs)
{
    return mount_bind(plan->root_fd, AT_FDCWD, fs, fs,
                      MOUNT_ATTR_TASK | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC, false);
}
