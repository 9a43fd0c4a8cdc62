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

static const char *const suffixes[] = {
    [SEGMENT_PLAIN] = "", [SEGMENT_GZIP] = ".gz", [SEGMENT_PARTIAL] = ".tmp"};

/* Reads digits without leading zeros. Returns where they end, NULL if it is no number of ours. */
static const char *parse_number(const char *text, int64_t *ret_number)
{
    const char *digit = text;
    int64_t number = 0;

    for (; *digit >= '0' && *digit <= '9'; digit++) {
        number = number * 10 + (*digit - '0');
        if (number > SEGMENT_NUMBER_MAX)
            return NULL;
    }
    if (digit == text || (*text == '0' && digit > text + 1))
        return NULL;
    *ret_number = number;
    return digit;
}

int64_t segment_parse(const char *file, const char *name, enum segment_form *ret_form)
{
    size_t len = strlen(name);
    bool hidden = file[0] == '.' && strncmp(file, name, len) != 0;
    int64_t number = 0;
    const char *end;

    file += hidden;
    if (strncmp(file, name, len) != 0 || file[len] != '.')
        return -1;
    end = parse_number(file + len + 1, &number);
    for (int form = SEGMENT_PLAIN; end && form <= SEGMENT_PARTIAL; form++) {
        if (strcmp(end, suffixes[form]) == 0 && hidden == (form == SEGMENT_PARTIAL)) {
            *ret_form = (enum segment_form)form;
            return number;
        }
    }
    return -1;
}

int64_t segment_number(const char *file, const char *name)
{
    enum segment_form form = SEGMENT_PLAIN;
    int64_t number = segment_parse(file, name, &form);

    return form == SEGMENT_PLAIN ? number : -1;
}

void segment_file_as(char buf[SEGMENT_NAME_MAX + 1], const char *name, int64_t number,
                     enum segment_form form)
{
    char digits[20];
    size_t n = 0;
    char *end;

    buf[0] = '.';
    end = stpcpy(buf + (form == SEGMENT_PARTIAL), name);
    do
        digits[n++] = (char)('0' + number % 10);
    while (number /= 10);
    *end++ = '.';
    while (n)
        *end++ = digits[--n];
    (void)strcpy(end, suffixes[form]);
}

void segment_file(char buf[SEGMENT_NAME_MAX + 1], const char *name, int64_t number)
{
    segment_file_as(buf, name, number, SEGMENT_PLAIN);
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

int segment_scan(int dirfd, const char *name, segment_found *found, void *arg)
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
            enum segment_form form = SEGMENT_PLAIN;
            int64_t number = segment_parse(entry->d_name, name, &form);
            int r = 0;

            at += entry->d_reclen;
            if (number >= 0 && is_regular(fd, entry))
                r = found(arg, number, form);
            if (r < 0)
                return r;
        }
    }
    return n < 0 ? -errno : 0;
}

struct number_list {
    int64_t highest; /* that is listed */
    int64_t *numbers;
    size_t n, room;
};

static int find_highest(void *arg, int64_t number, enum segment_form form)
{
    struct number_list *list = arg;

    if (form != SEGMENT_PARTIAL && number > list->highest)
        list->highest = number;
    return 0;
}

static int list_append(void *arg, int64_t number, enum segment_form form)
{
    struct number_list *list = arg;

    if (form == SEGMENT_PARTIAL || number > list->highest)
        return 0;
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

/* Of a segment that is there in both forms one is kept. */
static size_t sort_unique(int64_t *numbers, size_t n)
{
    size_t kept = 0;

    if (n)
        qsort(numbers, n, sizeof(*numbers), compare_numbers);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || numbers[kept - 1] != numbers[i])
            numbers[kept++] = numbers[i];
    return kept;
}

int segment_list(int dirfd, const char *name, int64_t **ret_numbers, size_t *ret_n, struct err *e)
{
    struct number_list list = {.highest = -1};
    int r = segment_scan(dirfd, name, find_highest, &list);

    /* The first scan may have missed entries made during it. Those below the highest it has seen
     * were there before the second. */
    if (r == 0)
        r = segment_scan(dirfd, name, list_append, &list);
    if (r < 0) {
        free(list.numbers);
        return err_sys(e, r, "cannot list the log directory for segments of '%s'", name);
    }
    *ret_numbers = list.numbers;
    *ret_n = sort_unique(list.numbers, list.n);
    return 0;
}
