/* SPDX-License-Identifier: MIT
 *
 * Both facts come from /proc, which is enough: a process is looked up rarely, and by its owner.
 */
#include "shared/procid.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/cleanup.h"

/* Reads a small /proc file whole and terminates it. Returns its length. */
static ssize_t read_small(const char *path, char *buf, size_t size)
{
    autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = read(fd, buf, size - 1);
    if (n < 0)
        return -errno;
    buf[n] = '\0';
    return n;
}

int procid_boot_id(char ret_boot_id[BOOT_ID_BYTES])
{
    ssize_t n = read_small("/proc/sys/kernel/random/boot_id", ret_boot_id, BOOT_ID_BYTES);

    if (n < 0)
        return (int)n;
    return n == BOOT_ID_BYTES - 1 ? 0 : -EBADMSG;
}

int procid_start_time(pid_t pid, uint64_t *ret_start)
{
    char path[32], stat[1024];
    char *at;
    ssize_t n;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    n = read_small(path, stat, sizeof(stat));
    if (n < 0)
        return n == -ENOENT ? -ESRCH : (int)n;
    /* Field 2 is the command in parentheses and may hold any byte: count from the last ')'. */
    at = strrchr(stat, ')');
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (!at)
        return -EBADMSG;
    *ret_start = strtoull(at + 1, NULL, 10);
    return 0;
}
