/* SPDX-License-Identifier: MIT
 *
 * Both facts come from /proc, which is enough: a process is looked up rarely, and by its owner.
 */
#include "shared/procid.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/cleanup.h"

enum {
    STAT_BYTES = 1024,
    STATUS_BYTES = 4096
};

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

/* Field `n` of /proc/PID/stat, counted as in proc(5); it ends at the next blank. -ESRCH if gone. */
static int read_stat(pid_t pid, int n, char buf[STAT_BYTES], const char **ret_field)
{
    char path[32];
    ssize_t size;
    char *at;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    size = read_small(path, buf, STAT_BYTES);
    if (size < 0)
        return size == -ENOENT ? -ESRCH : (int)size;
    /* Field 2 is the command in parentheses and may hold any byte: count from the last ')'. */
    at = strrchr(buf, ')');
    for (int field = 2; at && field < n; field++)
        at = strchr(at + 1, ' ');
    if (!at)
        return -EBADMSG;
    *ret_field = at + 1;
    return 0;
}

int procid_start_time(pid_t pid, uint64_t *ret_start)
{
    char stat[STAT_BYTES];
    const char *field;
    int r = read_stat(pid, 22, stat, &field);

    if (!r)
        *ret_start = strtoull(field, NULL, 10);
    return r;
}

static bool has_pending_kill(const char *status, const char *key)
{
    const char *at = strstr(status, key);

    return at && (strtoull(at + strlen(key), NULL, 16) & (1U << (SIGKILL - 1)));
}

bool procid_is_dying(pid_t pid)
{
    static const unsigned long exiting = 0x4 | 0x400; /* PF_EXITING, PF_SIGNALED of the kernel */
    char text[STATUS_BYTES], path[32];
    const char *flags;

    /* First what comes first: a signal is pending, then taken, then the process exits. */
    (void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
    if (read_small(path, text, sizeof(text)) < 0 || has_pending_kill(text, "\nSigPnd:") ||
        has_pending_kill(text, "\nShdPnd:"))
        return true;
    return read_stat(pid, 9, text, &flags) < 0 || (strtoul(flags, NULL, 10) & exiting);
}
