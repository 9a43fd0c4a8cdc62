/* SPDX-License-Identifier: MIT
 *
 * A file in the place of a pipe: the network is not held up by the disk, the unpacking can begin
 * anew, and an attempt after this one finds what it needs. What was read is given back to the disk,
 * so that this need not hold the archive and all that is in it; if a later attempt could go on with
 * the file, only when the disk gets full.
 */
#include "manager/fetch/part.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "shared/cleanup.h"

enum {
    FREE_AT_ONCE = 32 << 20,
    TO_COME = 1 << 30, /* where nobody says how much */
    EXPANSION = 4,     /* so many times its own size is what an archive holds, mostly less */
    NOTE_MAX = 512,
};

/* ---- the note ---- */

/* The version it names, which may be ""; false: there is none that holds. */
static bool read_note(const char *key, char version[PART_VERSION_MAX])
{
    autofd int fd = open(PART_NOTE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t n;
    size_t key_len = strlen(key);
    char text[NOTE_MAX], *line = text + key_len + 1;

    n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n < (ssize_t)key_len + 2 || memcmp(text, key, key_len) != 0 || text[key_len] != '\n' ||
        text[n - 1] != '\n')
        return false;
    text[n - 1] = '\0';
    for (const char *p = line; *p; p++)
        if ((unsigned char)*p < ' ')
            return false;
    if (strlen(line) >= PART_VERSION_MAX)
        return false;
    (void)strcpy(version, line);
    return true;
}

/* With `lock`. */
static void drop_note(struct part *part)
{
    if (part->noted)
        (void)unlinkat(part->dir, PART_NOTE, 0);
    part->noted = false;
}

/* Written by one call, so that it is whole or empty whenever this process is killed. */
static bool write_note(const struct part *part)
{
    autofd int fd =
        openat(part->dir, PART_NOTE, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    char text[NOTE_MAX];
    int n = snprintf(text, sizeof(text), "%s\n%s\n", part->key, part->version);

    return fd >= 0 && n < (int)sizeof(text) && write(fd, text, (size_t)n) == n;
}

void part_note(struct part *part, bool may_go_on, const char *version, uint64_t total)
{
    (void)pthread_mutex_lock(&part->lock);
    part->total = total;
    if (!part->noted || strcmp(part->version, version) != 0 || !may_go_on) {
        drop_note(part);
        (void)snprintf(part->version, sizeof(part->version), "%s", version);
        if (part->dir >= 0 && may_go_on && !part->freed) {
            part->noted = true;
            if (!write_note(part))
                drop_note(part);
        }
    }
    (void)pthread_mutex_unlock(&part->lock);
}

/* ---- beginning and end ---- */

void part_init(struct part *part, int fd)
{
    *part = (struct part){.fd = fd, .dir = -1};
    if (pthread_mutex_init(&part->lock, NULL) || pthread_cond_init(&part->changed, NULL))
        abort();
}

void part_deinit(struct part *part)
{
    close_fd(&part->fd);
    close_fd(&part->dir);
    (void)pthread_cond_destroy(&part->changed);
    (void)pthread_mutex_destroy(&part->lock);
}

/* One byte less than is there: of a file that is there as a whole a server has no other part. */
static int find_left(struct part *part)
{
    struct stat st;

    if (fstat(part->fd, &st) < 0 || !S_ISREG(st.st_mode))
        return -EINVAL;
    part->left = st.st_size > 0 ? (uint64_t)st.st_size - 1 : 0;
    part->total = part->left;
    return 0;
}

int part_open(const char *key, struct part *ret_part, struct err *e)
{
    int how = O_RDWR | O_NOFOLLOW | O_CLOEXEC, fd = -1, r;
    char version[PART_VERSION_MAX] = "";
    bool noted;

    if (read_note(key, version))
        fd = open(PART_FILE, how);
    noted = fd >= 0;
    if (!noted) {
        (void)unlink(PART_NOTE);
        (void)unlink(PART_FILE);
        fd = open(PART_FILE, how | O_CREAT | O_EXCL, 0600);
    }
    if (fd < 0)
        return err_sys(e, -errno, "make a file for the download");
    part_init(ret_part, fd);
    ret_part->key = key;
    ret_part->noted = noted;
    (void)strcpy(ret_part->version, version);
    ret_part->dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = ret_part->dir < 0 ? -errno : find_left(ret_part);
    if (r)
        part_deinit(ret_part);
    return r ? err_sys(e, r, "use the file for the download") : 0;
}

/* ---- writing ---- */

int part_begin_anew(struct part *part)
{
    int r;

    (void)pthread_mutex_lock(&part->lock);
    drop_note(part);
    r = ftruncate(part->fd, 0) < 0 ? -errno : 0;
    if (part->size)
        part->beginnings++;
    part->size = part->left = 0;
    part->freed = 0;
    part->refused = false;
    (void)pthread_cond_broadcast(&part->changed);
    (void)pthread_mutex_unlock(&part->lock);
    return r;
}

static int write_all(struct part *part, const char *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(part->fd, data + done, size - done, (off_t)(part->size + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    return 0;
}

/* So many more are there to be read, and to be given back then. */
static int grow(struct part *part, size_t size)
{
    int r;

    (void)pthread_mutex_lock(&part->lock);
    part->size += size;
    r = part->refused ? -ECANCELED : 0;
    (void)pthread_cond_broadcast(&part->changed);
    (void)pthread_mutex_unlock(&part->lock);
    return r;
}

int part_add(struct part *part, const void *data, size_t size)
{
    int r = write_all(part, data, size);

    return r ? r : grow(part, size);
}

ssize_t part_take_up(struct part *part, void *buf, size_t size)
{
    uint64_t left = part->left - part->size;
    ssize_t n = left ? pread(part->fd, buf, left < size ? left : size, (off_t)part->size) : 0;
    int r;

    if (n <= 0)
        return n < 0 ? -errno : left ? -EIO : 0;
    r = grow(part, (size_t)n);
    return r ? r : n;
}

void part_end(struct part *part, bool whole)
{
    (void)pthread_mutex_lock(&part->lock);
    part->whole = whole;
    part->given_up = !whole;
    (void)pthread_cond_broadcast(&part->changed);
    (void)pthread_mutex_unlock(&part->lock);
}

/* ---- reading ---- */

/* With `lock`. */
static bool is_stale(const struct part *part, const struct part_reader *reader)
{
    return part->given_up || part->beginnings != reader->beginning;
}

struct part_reader part_reader(struct part *part)
{
    struct part_reader reader = {0};

    (void)pthread_mutex_lock(&part->lock);
    reader.beginning = part->beginnings;
    (void)pthread_mutex_unlock(&part->lock);
    return reader;
}

bool part_is_stale(struct part *part, const struct part_reader *reader)
{
    bool stale;

    (void)pthread_mutex_lock(&part->lock);
    stale = is_stale(part, reader);
    (void)pthread_mutex_unlock(&part->lock);
    return stale;
}

/* With `lock`. Whether the disk may get full with what is still to come and to be unpacked: all of
 * it, for until the next look any amount of it may have come. */
static bool is_short(const struct part *part)
{
    uint64_t to_come = part->total >= part->size ? part->total - part->size : TO_COME;
    uint64_t to_unpack = EXPANSION * (part->size + to_come - (uint64_t)part->freed);
    struct statvfs fs;

    return fstatvfs(part->fd, &fs) == 0 && fs.f_blocks &&
           (uint64_t)fs.f_bavail * fs.f_frsize < to_come + to_unpack;
}

/* With `lock`, for nobody may take the file for a whole beginning from here on. What still is in
 * memory only need not be written either. */
static void free_until(struct part *part, off_t at)
{
    bool due = !part->noted && at - part->freed >= FREE_AT_ONCE;

    if (at == part->freed || (!due && !is_short(part)))
        return;
    drop_note(part);
    (void)fallocate(part->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, part->freed,
                    at - part->freed);
    part->freed = at;
}

/* With `lock`. */
static int wait_for(struct part *part, const struct part_reader *reader, bool end)
{
    while (!is_stale(part, reader) && !part->whole && (end || (uint64_t)reader->at >= part->size))
        (void)pthread_cond_wait(&part->changed, &part->lock);
    return is_stale(part, reader) ? -ECANCELED : 0;
}

ssize_t part_read(struct part *part, struct part_reader *reader, void *buf, size_t size)
{
    ssize_t n;
    int r;

    (void)pthread_mutex_lock(&part->lock);
    r = wait_for(part, reader, false);
    if (!r)
        free_until(part, reader->at);
    (void)pthread_mutex_unlock(&part->lock);
    if (r)
        return r;
    n = pread(part->fd, buf, size, reader->at);
    if (n < 0)
        return -errno;
    reader->at += n;
    return n;
}

int part_wait(struct part *part, const struct part_reader *reader)
{
    int r;

    (void)pthread_mutex_lock(&part->lock);
    r = wait_for(part, reader, true);
    if (r && !part->given_up)
        r = 1;
    (void)pthread_mutex_unlock(&part->lock);
    return r;
}

void part_refuse(struct part *part, const struct part_reader *reader)
{
    (void)pthread_mutex_lock(&part->lock);
    if (!is_stale(part, reader))
        part->refused = true;
    (void)pthread_mutex_unlock(&part->lock);
}
