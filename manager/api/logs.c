/* SPDX-License-Identifier: MIT
 *
 * /v1/client/fs/logs/:alloc. Reads over all segments with the logrotate library.
 *
 * Without follow, what is sent ends where the newest segment ended when the request came: a task
 * that writes faster than the client reads does not make it endless. With follow, it ends (unlike
 * Nomad's) when the task is dead and all is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "logrotate/reader.h"
#include "manager/api/context.h"
#include "manager/api/fspath.h"
#include "manager/api/handlers.h"
#include "manager/api/tail.h"
#include "shared/cleanup.h"

struct log_tail {
    struct tail tail; /* first */
    struct log_reader reader;
    char alloc_id[37];
    char *task;
    int64_t last; /* without follow: the newest segment at the start, and its size */
    uint64_t last_size;
};

static void name_file(struct log_tail *l)
{
    (void)snprintf(l->tail.file, sizeof(l->tail.file), "alloc/logs/%s.%lld", l->reader.name,
                   (long long)l->reader.number);
}

static ssize_t log_next(struct tail *t, char *buf, size_t size, struct tail_piece *piece)
{
    struct log_tail *l = container_of(t, struct log_tail, tail);
    struct log_reader *reader = &l->reader;

    if (!t->follow && reader->number >= l->last) {
        uint64_t left = reader->number == l->last && l->last_size > reader->offset
                            ? l->last_size - reader->offset
                            : 0;

        if (!left)
            return 0;
        if (left < size)
            size = left;
    }
    ssize_t n = reader_read(reader, buf, size, NULL);
    if (n <= 0)
        return n == -EAGAIN ? -EIO : n;
    piece->offset = reader->offset - (uint64_t)n;
    name_file(l);
    return n;
}

static bool log_over(struct tail *t)
{
    const struct log_tail *l = container_of(t, struct log_tail, tail);
    const struct alloc *alloc = manager_find_alloc(t->request->api->manager, l->alloc_id);

    for (size_t i = 0; alloc && i < alloc->group->n_tasks; i++)
        if (!strcmp(alloc->tasks[i].def->name, l->task))
            return alloc->tasks[i].status.state == TASK_STATE_DEAD;
    return true;
}

static void log_deinit(struct tail *t)
{
    struct log_tail *l = container_of(t, struct log_tail, tail);

    reader_close(&l->reader);
    free(l->task);
}

/* What ?task=, ?type= … ask for. */
struct log_query {
    const struct task *task;
    const char *type;
    bool follow, plain, from_end;
    uint64_t offset;
    uint64_t lines; /* ours: the last N lines */
};

/* False after an error reply, or when the request is blocked. */
static bool read_query(struct request *r, const struct alloc *alloc, struct log_query *q)
{
    q->task = find_task(r, alloc);
    q->type = request_param(r, "type");
    if (!q->task)
        return false;
    if (!q->type || (strcmp(q->type, "stdout") != 0 && strcmp(q->type, "stderr") != 0)) {
        request_reply_text(r, 400, "parameter \"type\" must be stdout or stderr");
        return false;
    }
    if (!request_param_bool(r, "follow", false, &q->follow) ||
        !request_param_bool(r, "plain", false, &q->plain) || !param_origin(r, &q->from_end) ||
        !request_param_u64(r, "offset", 0, &q->offset) ||
        !request_param_u64(r, "lines", 0, &q->lines))
        return false;
    if (q->task->def->logs.disabled) {
        request_reply_text(r, 404, "logs of task \"%s\" are disabled by its job",
                           q->task->def->name);
        return false;
    }
    if (!q->task->status.started_ns) {
        /* A follower waits for the first start; others are told. */
        r->blocked = q->follow && q->task->status.state != TASK_STATE_DEAD;
        if (r->blocked)
            return false;
        request_reply_text(r, 404, "task \"%s\" not started yet. No logs available",
                           q->task->def->name);
        return false;
    }
    return true;
}

/* Notes where the stream ends now. */
static int find_end(struct log_tail *l, struct err *e)
{
    autofree int64_t *numbers = NULL;
    char file[SEGMENT_NAME_MAX + 1];
    struct stat st;
    size_t n;
    int rc = segment_list(l->reader.dirfd, l->reader.name, &numbers, &n, e);

    if (rc || !n)
        return rc;
    l->last = numbers[n - 1];
    (void)snprintf(file, sizeof(file), "%s.%lld", l->reader.name, (long long)l->last);
    if (!fstatat(l->reader.dirfd, file, &st, AT_SYMLINK_NOFOLLOW))
        l->last_size = (uint64_t)st.st_size;
    return 0;
}

/* Opens the reader where `q` wants to start. */
static int open_reader(struct log_tail *l, int dir, const struct log_query *q, struct err *e)
{
    char name[SEGMENT_NAME_MAX];
    int rc;

    (void)snprintf(name, sizeof(name), "%s.%s", q->task->def->name, q->type);
    rc = q->lines
             ? reader_open_tail(&l->reader, dir, name, q->lines, e)
             : reader_open(&l->reader, dir, name,
                           q->from_end ? READER_ORIGIN_END : READER_ORIGIN_START, q->offset, e);
    if (!rc && !q->follow)
        rc = find_end(l, e);
    return rc;
}

/* The directory through the same gate as every other path: a task may have replaced it by a link.
 */
static int open_log_dir(const struct request *r, const struct alloc *alloc, struct err *e)
{
    struct fs_node node = FS_NODE_INIT;
    int fd = fspath_open(alloc, r->api->config, "alloc/logs", &node, e);

    if (!fd)
        fd = fspath_open_dir(&node, e);
    fs_node_close(&node);
    return fd;
}

static int start(struct request *r, const struct alloc *alloc, const struct log_query *q,
                 struct log_tail *l, struct err *e)
{
    autofd int dir = open_log_dir(r, alloc, e);
    int rc;

    if (dir < 0)
        return dir;
    l->task = strdup(q->task->def->name);
    if (!l->task)
        return err_sys(e, -ENOMEM, "cannot read logs");
    (void)strcpy(l->alloc_id, alloc->id);
    l->tail.follow = q->follow;
    l->tail.framed = !q->plain;
    l->tail.next = log_next;
    l->tail.over = log_over;
    l->tail.deinit = log_deinit;
    rc = open_reader(l, dir, q, e);
    return rc ? rc : tail_start(&l->tail, r, dir, e);
}

void fs_logs(struct request *r)
{
    const struct alloc *alloc = find_alloc(r);
    struct log_query q;
    struct err e = ERR_INIT;
    struct log_tail *l;

    if (!alloc || !read_query(r, alloc, &q))
        return;
    l = calloc(1, sizeof(*l));
    if (!l) {
        request_reply_text(r, 500, "out of memory");
        return;
    }
    l->reader = (struct log_reader)LOG_READER_INIT;
    l->last = -1;
    if (start(r, alloc, &q, l, &e)) {
        log_deinit(&l->tail);
        free(l);
        request_reply_err(r, &e);
    }
}
