/* SPDX-License-Identifier: MIT
 *
 * Names and listings of segments. The scan reads the directory with getdents64() into a small
 * buffer on the stack: the executor, which writes segments, allocates nothing for them. The file
 * type comes with the entry, or from fstatat() where the file system does not tell it.
 */
#include "logrotate/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/cleanup.h"

int64_t segment_number(const char *file, const char *name)
{
    size_t len = strlen(name);
    int64_t number = 0;
    const char *digit;

    if (strncmp(file, name, len) != 0 || file[len] != '.')
        return -1;
    digit = file + len + 1;
    if (*digit == '\0' || (*digit == '0' && digit[1] != '\0'))
        return -1;
    for (; *digit; digit++) {
        if (*digit < '0' || *digit > '9')
            return -1;
        number = number * 10 + (*digit - '0');
        if (number > SEGMENT_NUMBER_MAX)
            return -1;
    }
    return number;
}

void segment_file(char buf[SEGMENT_NAME_MAX + 1], const char *name, int64_t number)
{
    char digits[20];
    size_t n = 0;
    char *end = stpcpy(buf, name);

    do
        digits[n++] = (char)('0' + number % 10);
    while (number /= 10);
    *end++ = '.';
    while (n)
        *end++ = digits[--n];
    *end = '\0';
}

int segment_check_name(const char *name, struct err *e)
{
    if (*name == '\0' || strchr(name, '/') || strlen(name) >= SEGMENT_STREAM_MAX)
        return err_set(e, -EINVAL,
                       "'%.40s' cannot name a log stream: give 1 to %d characters without '/'",
                       name, SEGMENT_STREAM_MAX - 1);
    return 0;
}

static bool is_regular(int dirfd, const struct dirent64 *entry)
{
    struct stat st;

    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_REG;
    return fstatat(dirfd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

int segment_scan(int dirfd, const char *name, int (*found)(void *arg, int64_t number), void *arg)
{
    _Alignas(struct dirent64) char buf[2048];
    /* A descriptor of its own: the caller's may be O_PATH, and has a position others may use. */
    autofd int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    while ((n = getdents64(fd, buf, sizeof(buf))) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *entry = (const struct dirent64 *)(buf + at);
            int64_t number = segment_number(entry->d_name, name);
            int r = 0;

            at += entry->d_reclen;
            if (number >= 0 && is_regular(fd, entry))
                r = found(arg, number);
            if (r < 0)
                return r;
        }
    }
    return n < 0 ? -errno : 0;
}

struct number_list {
    int64_t *numbers;
    size_t n, room;
};

static int list_append(void *arg, int64_t number)
{
    struct number_list *list = arg;

    if (list->n == list->room) {
        size_t room = list->room ? list->room * 2 : 16;
        int64_t *numbers = reallocarray(list->numbers, room, sizeof(*numbers));

        if (!numbers)
            return -ENOMEM;
        list->numbers = numbers;
        list->room = room;
    }
    list->numbers[list->n++] = number;
    return 0;
}

static int compare_numbers(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

int segment_list(int dirfd, const char *name, int64_t **ret_numbers, size_t *ret_n, struct err *e)
{
    struct number_list list = {0};
    int r = segment_scan(dirfd, name, list_append, &list);

    if (r < 0) {
        free(list.numbers);
        return err_sys(e, r, "cannot list the log directory for segments of '%s'", name);
    }
    if (list.n)
        qsort(list.numbers, list.n, sizeof(*list.numbers), compare_numbers);
    *ret_numbers = list.numbers;
    *ret_n = list.n;
    return 0;
}
