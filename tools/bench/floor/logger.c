/* SPDX-License-Identifier: MIT
 *
 * floor-logger copy|splice SIZE DIR: the least that rotating a log can cost. Moves standard input
 * into DIR/0, DIR/1 …, ten files of ten MiB kept, by read(2) and write(2) through a buffer of SIZE
 * bytes or by splice(2); the pipe is made that large, too. Lines are cut as it comes.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FILES = 10,
    FILE_SIZE = 10 << 20,
};

static int open_next(const char *dir, long number)
{
    char path[4096];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%ld", dir, number - FILES);
    (void)unlink(path);
    (void)snprintf(path, sizeof(path), "%s/%ld", dir, number);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        err(1, "cannot create %s", path);
    return fd;
}

static ssize_t copy(int fd, char *buffer, size_t size)
{
    ssize_t n = read(STDIN_FILENO, buffer, size);

    for (ssize_t done = 0; done < n;) {
        ssize_t written = write(fd, buffer + done, (size_t)(n - done));

        if (written < 0)
            return -1;
        done += written;
    }
    return n;
}

int main(int argc, char **argv)
{
    int by_splice = argc > 1 && strcmp(argv[1], "splice") == 0;
    size_t size = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    char *buffer = malloc(size);
    size_t left = 0;
    ssize_t n;
    int fd = -1;

    if (size == 0 || !buffer)
        errx(2, "usage: floor-logger copy|splice SIZE DIR");
    (void)fcntl(STDIN_FILENO, F_SETPIPE_SZ, (int)size);
    for (long number = 0;; left -= (size_t)n) {
        if (left == 0) {
            if (fd >= 0)
                (void)close(fd);
            fd = open_next(argv[3], number++);
            left = FILE_SIZE;
        }
        if (by_splice)
            n = splice(STDIN_FILENO, NULL, fd, NULL, size < left ? size : left, SPLICE_F_MOVE);
        else
            n = copy(fd, buffer, size < left ? size : left);
        if (n < 0)
            err(1, "cannot move the log");
        if (n == 0)
            return 0;
    }
}
