/* SPDX-License-Identifier: MIT
 *
 * Entries are judged before libarchive sees to them, which on its part goes through no link. All
 * sizes are counted as they come: what headers say is the sender's word.
 */
#include "manager/fetch/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"

enum {
    BLOCK = 256 << 10,
};

struct job {
    const struct unpack *how;
    struct archive *from;
    struct archive *to;
    struct part *part;
    struct part_reader *reader;
    char *block;
    uint64_t bytes, files;
    struct err *e;
};

/* ---- names ---- */

int unpack_check_path(const char *path, struct err *e)
{
    int depth = 0;

    if (*path == '/')
        return err_set(e, -EINVAL, "\"%.200s\" in the archive is an absolute path", path);
    for (const char *part = path; *part;) {
        size_t n = strcspn(part, "/");

        if (n == 2 && part[0] == '.' && part[1] == '.')
            return err_set(e, -EINVAL, "\"%.200s\" in the archive leads out of it by \"..\"", path);
        depth += n > 0;
        part += n + (part[n] == '/');
    }
    if (depth > UNPACK_DEPTH_MAX)
        return err_set(e, -EINVAL, "\"%.80s…\" in the archive is more than %d directories deep",
                       path, UNPACK_DEPTH_MAX);
    return 0;
}

bool unpack_link_stays(const char *path, const char *target)
{
    long depth = 0;
    bool climbing = true;

    if (*target == '/' || !*target)
        return false;
    for (const char *part = path; *part;) { /* directories above the link */
        size_t n = strcspn(part, "/");

        if (part[n] && n > 0 && !(n == 1 && *part == '.'))
            depth++;
        part += n + (part[n] == '/');
    }
    for (const char *part = target; *part;) {
        size_t n = strcspn(part, "/");
        bool up = n == 2 && part[0] == '.' && part[1] == '.';

        if (up && (!climbing || --depth < 0))
            return false;
        if (!up && n > 0 && !(n == 1 && *part == '.'))
            climbing = false;
        part += n + (part[n] == '/');
    }
    return true;
}

static int check_links(const struct job *job, const char *path, struct archive_entry *entry)
{
    const char *hard = archive_entry_hardlink(entry), *soft = archive_entry_symlink(entry);

    if (hard && unpack_check_path(hard, NULL))
        return err_set(job->e, -EINVAL, "\"%.150s\" in the archive links to \"%.150s\", outside",
                       path, hard);
    if (!hard && archive_entry_filetype(entry) == AE_IFLNK && job->how->inspected &&
        (!soft || !unpack_link_stays(path, soft)))
        return err_set(
            job->e, -EINVAL,
            "\"%.150s\" in the archive is a symbolic link to \"%.150s\", which is or may "
            "come to be outside",
            path, soft ? soft : "");
    return 0;
}

static int check_type(const struct job *job, const char *path, struct archive_entry *entry)
{
    mode_t type = archive_entry_filetype(entry);

    if (archive_entry_hardlink(entry) || type == AE_IFREG || type == AE_IFDIR || type == AE_IFLNK)
        return 0;
    return err_set(job->e, -EINVAL,
                   "\"%.200s\" in the archive is a %s, which artifacts cannot have", path,
                   type == AE_IFIFO    ? "named pipe"
                   : type == AE_IFSOCK ? "socket"
                                       : "device");
}

/* ---- contents ---- */

static int read_error(const struct job *job, int r, const char *what)
{
    const char *text = archive_error_string(job->from);

    return err_set(job->e, r, "unpack %.200s: %s", what, text ? text : "it is damaged");
}

static int write_error(const struct job *job, const char *path)
{
    int code = archive_errno(job->to);
    const char *text = archive_error_string(job->to);

    return err_set(job->e, code > 0 ? -code : -EIO, "unpack \"%.100s\": %.200s%s%s", path,
                   text ? text : "it cannot be written", code > 0 ? ": " : "",
                   code > 0 ? strerror(code) : "");
}

static int count(struct job *job, uint64_t end)
{
    if (job->bytes + end > job->how->max_bytes)
        return err_set(job->e, -EFBIG,
                       "what it unpacks to is larger than %llu bytes, the agent's artifact "
                       "decompression_size_limit",
                       (unsigned long long)job->how->max_bytes);
    return 0;
}

static int write_file(int fd, const void *data, size_t size, int64_t at)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(fd, (const char *)data + done, size - done, at + (off_t)done);

        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    return 0;
}

/* `fd` -1: to libarchive's disk. */
static int copy(struct job *job, const char *path, int fd)
{
    uint64_t end = 0;

    for (;;) {
        const void *data;
        size_t size;
        int64_t at;
        int r = archive_read_data_block(job->from, &data, &size, &at);

        if (r == ARCHIVE_EOF)
            break;
        if (r < ARCHIVE_WARN || at < 0)
            return read_error(job, -EBADMSG, path);
        if (part_is_stale(job->part, job->reader))
            return err_sys(job->e, -ECANCELED, "unpack it");
        if ((uint64_t)at + size > end)
            end = (uint64_t)at + size;
        r = count(job, end);
        if (r)
            return r;
        if (fd >= 0)
            r = write_file(fd, data, size, at);
        else if (archive_write_data_block(job->to, data, size, at) < ARCHIVE_OK)
            return write_error(job, path);
        if (r)
            return err_sys(job->e, r, "unpack \"%.200s\"", path);
    }
    job->bytes += end;
    return 0;
}

static void make_plain(struct archive_entry *entry)
{
    mode_t mode = archive_entry_perm(entry) & 0777;

    if (archive_entry_filetype(entry) == AE_IFDIR)
        mode |= 0700;
    archive_entry_set_perm(entry, mode);
}

static int unpack_entry(struct job *job, struct archive_entry *entry)
{
    const char *path = archive_entry_pathname(entry);
    int r;

    if (!path || !*path)
        return err_set(job->e, -EINVAL, "a file in the archive has no name that can be read");
    if (++job->files > job->how->max_files)
        return err_set(job->e, -EFBIG,
                       "the archive has more than %llu files, the agent's artifact "
                       "decompression_file_count_limit",
                       (unsigned long long)job->how->max_files);
    r = unpack_check_path(path, job->e);
    if (!r)
        r = check_type(job, path, entry);
    if (!r)
        r = check_links(job, path, entry);
    if (!r)
        r = archive_entry_size_is_set(entry) ? count(job, (uint64_t)archive_entry_size(entry)) : 0;
    if (r)
        return r;
    make_plain(entry);
    if (archive_write_header(job->to, entry) < ARCHIVE_OK)
        return write_error(job, path);
    if (!archive_entry_size_is_set(entry) || archive_entry_size(entry) > 0)
        r = copy(job, path, -1);
    if (!r && archive_write_finish_entry(job->to) < ARCHIVE_WARN)
        r = write_error(job, path);
    return r;
}

static int unpack_all(struct job *job)
{
    struct archive_entry *entry;
    int r;

    archive_write_disk_set_options(
        job->to, ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
                     ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS);
    while ((r = archive_read_next_header(job->from, &entry)) != ARCHIVE_EOF) {
        if (r < ARCHIVE_WARN)
            return read_error(job, -EBADMSG, "the archive");
        r = unpack_entry(job, entry);
        if (r)
            return r;
    }
    if (archive_write_close(job->to) < ARCHIVE_WARN)
        return write_error(job, "the archive");
    return 0;
}

/* One compressed file, whatever is in it. */
static int unpack_one(struct job *job)
{
    struct archive_entry *entry;
    autofd int fd = -1;

    if (archive_read_next_header(job->from, &entry) < ARCHIVE_WARN)
        return read_error(job, -EBADMSG, job->how->filename);
    fd = open(job->how->filename, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_sys(job->e, -errno, "make \"%.200s\"", job->how->filename);
    return copy(job, job->how->filename, fd);
}

/* ---- kinds ---- */

static int set_kind(struct archive *a, enum artifact_archive kind)
{
    switch (kind) {
    case ARCHIVE_TAR_GZ:
    case ARCHIVE_GZ:
        (void)archive_read_support_filter_gzip(a);
        break;
    case ARCHIVE_TAR_BZ2:
    case ARCHIVE_BZ2:
        (void)archive_read_support_filter_bzip2(a);
        break;
    case ARCHIVE_TAR_XZ:
    case ARCHIVE_XZ:
        (void)archive_read_support_filter_xz(a);
        break;
    case ARCHIVE_TAR_ZST:
    case ARCHIVE_ZST:
        (void)archive_read_support_filter_zstd(a);
        break;
    default:
        break;
    }
    if (kind >= ARCHIVE_GZ)
        return archive_read_support_format_raw(a);
    return kind == ARCHIVE_ZIP ? archive_read_support_format_zip(a)
                               : archive_read_support_format_tar(a);
}

/* The raw format takes anything, also what is not compressed at all. */
static int check_filter(struct job *job)
{
    if (job->how->archive == ARCHIVE_TAR || job->how->archive == ARCHIVE_ZIP ||
        archive_filter_count(job->from) > 1)
        return 0;
    return err_set(job->e, -EBADMSG,
                   "it is not compressed as its name says; with the option archive = \"false\" it "
                   "is taken as it is");
}

static la_ssize_t on_read(struct archive *a, void *arg, const void **ret_block)
{
    struct job *job = arg;
    ssize_t n = part_read(job->part, job->reader, job->block, BLOCK);

    if (n < 0)
        archive_set_error(a, (int)-n, "read it again: %s", strerror((int)-n));
    *ret_block = job->block;
    return n;
}

/* Of a zip the end says what is in it, and which modes files have: it is read when all is there. */
static int open_archive(struct job *job)
{
    int r = job->how->archive == ARCHIVE_ZIP ? part_wait(job->part, job->reader) : 0;

    if (r)
        return err_sys(job->e, -ECANCELED, "unpack it");
    if (set_kind(job->from, job->how->archive) < ARCHIVE_WARN)
        return read_error(job, -EBADMSG, "it");
    if (job->how->archive == ARCHIVE_ZIP)
        r = lseek(job->part->fd, 0, SEEK_SET) < 0
                ? ARCHIVE_FATAL
                : archive_read_open_fd(job->from, job->part->fd, BLOCK);
    else
        r = archive_read_open2(job->from, job, NULL, on_read, NULL, NULL);
    return r < ARCHIVE_WARN ? read_error(job, -EBADMSG, "it") : 0;
}

int unpack(struct part *part, struct part_reader *reader, const struct unpack *how, struct err *e)
{
    autofree char *block = malloc(BLOCK);
    struct job job = {
        .how = how,
        .from = archive_read_new(),
        .to = archive_write_disk_new(),
        .part = part,
        .reader = reader,
        .block = block,
        .e = e,
    };
    int r = job.from && job.to && block ? 0 : err_sys(e, -ENOMEM, "unpack it");

    if (!r)
        r = open_archive(&job);
    if (!r)
        r = check_filter(&job);
    if (!r)
        r = how->archive >= ARCHIVE_GZ ? unpack_one(&job) : unpack_all(&job);
    (void)archive_write_free(job.to);
    (void)archive_read_free(job.from);
    return r;
}
