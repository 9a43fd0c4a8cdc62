/* SPDX-License-Identifier: MIT
 *
 * /v1/client/fs/{ls,stat,cat,readat,stream}/:alloc. Files are sent in pieces as the client takes
 * them and never held; what a reply of cat or readat covers is fixed when it starts, so that it
 * ends even where the file grows faster than it is read.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "manager/api/context.h"
#include "manager/api/encode.h"
#include "manager/api/fspath.h"
#include "manager/api/handlers.h"
#include "manager/api/tail.h"
#include "shared/cleanup.h"
#include "shared/clock.h"

enum {
    LS_MAX = 16384, /* entries; a task can make any number of files */
    CAT_PIECE = 64 << 10,
};

/* Opens ?path= (`fallback` when there is none). False after an error reply. */
static bool open_node(struct request *r, const char *fallback, const char **ret_path,
                      struct fs_node *ret_node)
{
    struct alloc *alloc = find_alloc(r);
    const char *path = request_param(r, "path");
    struct err e = ERR_INIT;

    if (!alloc)
        return false;
    if (!path || !*path)
        path = fallback;
    if (!path) {
        request_reply_text(r, 400, "parameter \"path\" is missing: the file to read");
        return false;
    }
    if (fspath_open(alloc, r->api->config, path, ret_node, &e)) {
        request_reply_err(r, &e);
        return false;
    }
    *ret_path = path;
    return true;
}

/* The same for a file to be read: its descriptor, or -1 after an error reply. */
static int open_file(struct request *r, const char **ret_path, struct stat *ret_st)
{
    struct fs_node node = FS_NODE_INIT;
    struct err e = ERR_INIT;
    int fd;

    if (!open_node(r, NULL, ret_path, &node))
        return -1;
    fd = fspath_open_file(&node, &e);
    *ret_st = node.st;
    fs_node_close(&node);
    if (fd < 0) {
        err_wrap(&e, "%s", *ret_path);
        request_reply_err(r, &e);
        return -1;
    }
    return fd;
}

static json_t *encode_file(const char *name, const struct stat *st)
{
    char mode[GO_MODE_BYTES];

    return json_pack("{s:o,s:b,s:I,s:s,s:o}", "Name", encode_text(name), "IsDir",
                     S_ISDIR(st->st_mode), "Size", (json_int_t)st->st_size, "FileMode",
                     encode_go_mode(st->st_mode, mode), "ModTime",
                     encode_time(clock_to_ns(&st->st_mtim)));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Fills `names`, LS_MAX of them. Returns how many; -E2BIG, -ENOMEM. */
static int read_names(DIR *dir, char **names)
{
    struct dirent *d;
    int n = 0;

    while ((d = readdir(dir))) {
        if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
            continue;
        if (n == LS_MAX)
            return -E2BIG;
        names[n] = strdup(d->d_name);
        if (!names[n++])
            return -ENOMEM;
    }
    qsort(names, (size_t)n, sizeof(*names), by_name);
    return n;
}

static void reply_names(struct request *r, DIR *dir, char *const *names, int n)
{
    struct reply_list list;

    reply_list_begin(&list, r);
    for (int i = 0; i < n; i++) {
        struct stat st;

        if (!fstatat(dirfd(dir), names[i], &st, AT_SYMLINK_NOFOLLOW)) /* else it is gone again */
            reply_list_add(&list, encode_file(names[i], &st));
    }
    reply_list_end(&list, r);
}

static void reply_dir(struct request *r, DIR *dir, const char *path)
{
    char **names = calloc(LS_MAX, sizeof(*names));
    int n = names ? read_names(dir, names) : -ENOMEM;

    if (n >= 0)
        reply_names(r, dir, names, n);
    else if (n == -E2BIG)
        request_reply_text(r, 400, "%s has more than %d entries: too many to list", path, LS_MAX);
    else
        request_reply_text(r, 500, "out of memory");
    for (int i = 0; names && i < LS_MAX; i++)
        free(names[i]);
    free(names);
}

void fs_ls(struct request *r)
{
    struct fs_node node = FS_NODE_INIT;
    struct err e = ERR_INIT;
    const char *path;
    int fd;

    if (!open_node(r, "/", &path, &node))
        return;
    fd = fspath_open_dir(&node, &e);
    fs_node_close(&node);
    autodir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir)
        reply_dir(r, dir, path);
    else {
        if (fd >= 0) {
            err_sys(&e, -errno, "cannot list it");
            (void)close(fd);
        }
        err_wrap(&e, "%s", path);
        request_reply_err(r, &e);
    }
}

void fs_stat(struct request *r)
{
    struct fs_node node = FS_NODE_INIT;
    char clean[4096];
    const char *path;

    if (!open_node(r, NULL, &path, &node))
        return;
    (void)fspath_clean(path, clean, sizeof(clean)); /* has succeeded once */
    const char *slash = strrchr(clean, '/');
    request_reply_json(r, 200, encode_file(slash ? slash + 1 : *clean ? clean : "/", &node.st));
    fs_node_close(&node);
}

/* `left` bytes of a file. */
struct file_source {
    struct source source;
    int fd;
    uint64_t offset, left;
};

static ssize_t file_read(struct source *source, char *buf, size_t size)
{
    struct file_source *f = (struct file_source *)source;

    if (size > CAT_PIECE)
        size = CAT_PIECE;
    if (size > f->left)
        size = f->left;
    ssize_t n = size ? pread(f->fd, buf, size, (off_t)f->offset) : 0;
    if (n < 0)
        return -EIO; /* whatever it is, it is no -EAGAIN */
    f->offset += (uint64_t)n;
    f->left -= (uint64_t)n;
    return n;
}

static void file_free(struct source *source)
{
    struct file_source *f = (struct file_source *)source;

    close_fd(&f->fd);
    free(f);
}

/* Takes over `fd`. */
static void reply_file(struct request *r, int fd, uint64_t offset, uint64_t limit)
{
    struct file_source *f = malloc(sizeof(*f));

    if (!f) {
        (void)close(fd);
        request_reply_text(r, 500, "out of memory");
        return;
    }
    *f = (struct file_source){.source = {.read = file_read, .free = file_free},
                              .fd = fd,
                              .offset = offset,
                              .left = limit};
    request_reply_source(r, "text/plain", &f->source);
}

void fs_cat(struct request *r)
{
    const char *path;
    struct stat st;
    int fd = open_file(r, &path, &st);

    if (fd >= 0)
        reply_file(r, fd, 0, (uint64_t)st.st_size);
}

/* ?limit=; *ret_limit is UINT64_MAX for "-1" and, if `zero_is_all`, for 0: Nomad's clients ask so
 * for all there is. False after an error reply. */
static bool param_limit(struct request *r, bool zero_is_all, uint64_t *ret_limit)
{
    const char *text = request_param(r, "limit");

    *ret_limit = UINT64_MAX;
    if (text && strcmp(text, "-1") == 0)
        return true;
    if (!request_param_u64(r, "limit", 0, ret_limit))
        return false;
    if (!*ret_limit && zero_is_all)
        *ret_limit = UINT64_MAX;
    return true;
}

void fs_readat(struct request *r)
{
    uint64_t offset, limit;
    const char *path;
    struct stat st;
    int fd;

    if (!request_param(r, "offset") || !request_param(r, "limit"))
        request_reply_text(r, 400, "parameters \"offset\" and \"limit\" are both needed");
    else if (request_param_u64(r, "offset", 0, &offset) && param_limit(r, false, &limit) &&
             (fd = open_file(r, &path, &st)) >= 0)
        reply_file(r, fd, offset, limit);
}

/* ?origin=start|end as a choice. False after an error reply. */
bool param_origin(struct request *r, bool *ret_from_end)
{
    const char *origin = request_param(r, "origin");

    *ret_from_end = origin && !strcmp(origin, "end");
    if (!origin || !*origin || !strcmp(origin, "start") || *ret_from_end)
        return true;
    request_reply_text(r, 400, "parameter \"origin\" must be start or end, not \"%s\"", origin);
    return false;
}

/* One file, followed. */
struct file_tail {
    struct tail tail; /* first */
    int fd;
    uint64_t offset;
    uint64_t left; /* of ?limit= */
};

static ssize_t file_tail_next(struct tail *t, char *buf, size_t size, struct tail_piece *piece)
{
    struct file_tail *f = container_of(t, struct file_tail, tail);
    struct stat st;
    ssize_t n;

    if (t->ended)
        return 0;
    piece->offset = f->offset;
    n = pread(f->fd, buf, size < f->left ? size : f->left, (off_t)f->offset);
    if (n < 0)
        return -EIO;
    f->offset += (uint64_t)n;
    f->left -= (uint64_t)n;
    if (n || !t->follow || fstat(f->fd, &st))
        return n;
    t->ended = !f->left;
    if ((uint64_t)st.st_size < f->offset) {
        f->offset = piece->offset = 0;
        piece->event = "file truncated";
    } else if (!st.st_nlink) {
        t->ended = true;
        piece->event = "file deleted";
    }
    return 0;
}

static bool file_tail_over(struct tail *t)
{
    (void)t; /* a file may always grow; next() notices its removal */
    return false;
}

static void file_tail_deinit(struct tail *t)
{
    struct file_tail *f = container_of(t, struct file_tail, tail);

    close_fd(&f->fd);
}

void fs_stream(struct request *r)
{
    uint64_t offset, limit;
    bool from_end, follow;
    const char *path;
    struct stat st;
    int fd;

    if (!request_param_u64(r, "offset", 0, &offset) || !param_limit(r, true, &limit) ||
        !request_param_bool(r, "follow", true, &follow) || !param_origin(r, &from_end) ||
        (fd = open_file(r, &path, &st)) < 0)
        return;
    struct file_tail *f = calloc(1, sizeof(*f));
    if (!f) {
        (void)close(fd);
        request_reply_text(r, 500, "out of memory");
        return;
    }
    uint64_t size = (uint64_t)st.st_size;
    f->fd = fd;
    f->offset = !from_end ? offset : offset < size ? size - offset : 0;
    f->left = limit;
    f->tail.next = file_tail_next;
    f->tail.over = file_tail_over;
    f->tail.deinit = file_tail_deinit;
    f->tail.follow = follow;
    f->tail.framed = true;
    (void)snprintf(f->tail.file, sizeof(f->tail.file), "%s", path);
    tail_start(&f->tail, r, fd);
}
