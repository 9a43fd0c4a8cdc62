/* SPDX-License-Identifier: MIT
 *
 * /v1/client/fs/logs/:alloc. Reads over all segments, plain or compressed, with the logrotate
 * library; both streams in one reply where ?type=both asks for it.
 *
 * Without follow, what is sent ends where the newest segment ended when the request came: a task
 * that writes faster than the client reads does not make it endless. With follow, it ends (unlike
 * Nomad's) when the task is dead and all is read. What was trimmed before it could be sent is told
 * in a frame, "file deleted", that Nomad's clients know; a plain reply has no words for it.
 *
 * A client that wants to go on where it was after it lost us asks for ?resumable=true: then the
 * first frames tell where the streams are, and the place of the last byte it got, N:OFFSET in
 * ?stdout= and ?stderr=, is where the next request begins.
 *
 * A turn of the loop does a bounded amount of work, however far away the start is.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "logrotate/merge.h"
#include "manager/api/context.h"
#include "manager/api/fspath.h"
#include "manager/api/handlers.h"
#include "manager/api/tail.h"
#include "shared/cleanup.h"

enum {
    STEPS_PER_TURN = 32 /* of at most INPUT_STEP bytes each */
};

struct log_tail {
    struct tail tail; /* first */
    struct log_merge merge;
    char alloc_id[37];
    char *task;
    bool places_due[MERGE_STREAM_N];
    struct watch parent; /* of the log directory, which a task may replace */
    bool dir_suspect;    /* … and may have */
};

static const char log_dir[] = "alloc/logs";

/* The directory through the same gate as every other path: a task may have replaced it by a link.
 */
static int open_dir(const struct request *r, const struct alloc *alloc, const char *path,
                    struct err *e)
{
    struct fs_node node = FS_NODE_INIT;
    int fd = fspath_open(alloc, r->api->config, path, &node, e);

    if (!fd)
        fd = fspath_open_dir(&node, e);
    fs_node_close(&node);
    return fd;
}

static void name_file(struct log_tail *l, enum merge_stream stream, int64_t number)
{
    (void)snprintf(l->tail.file, sizeof(l->tail.file), "%s/%s.%" PRId64, log_dir,
                   l->merge.readers[stream].name, number);
}

/* The frames before the first byte. -EINPROGRESS: the start is not found yet. */
static int next_place(struct log_tail *l, struct tail_piece *piece)
{
    int rc = merge_find_starts(&l->merge, NULL);

    if (rc)
        return rc < 0 ? rc : -EINPROGRESS;
    for (size_t i = 0; i < MERGE_STREAM_N; i++) {
        int64_t number;

        if (!l->places_due[i])
            continue;
        l->places_due[i] = false;
        reader_place(&l->merge.readers[i], &number, &piece->offset);
        name_file(l, i, number);
        piece->place = true;
        return 0;
    }
    return 0;
}

static struct alloc *find_it(const struct log_tail *l)
{
    return manager_find_alloc(l->tail.request->api->manager, l->alloc_id);
}

/* Goes on in the directory that is in the place of ours. True if there is such a one. */
static bool change_dir(struct log_tail *l)
{
    const struct log_reader *any = &l->merge.readers[!l->merge.wanted[0]];
    const struct alloc *alloc = find_it(l);
    struct stat ours, now;
    autofd int fd = alloc ? open_dir(l->tail.request, alloc, log_dir, NULL) : -1;

    l->dir_suspect = false;
    if (fd < 0 || fstat(any->dirfd, &ours) || fstat(fd, &now) ||
        (ours.st_dev == now.st_dev && ours.st_ino == now.st_ino) ||
        merge_change_dir(&l->merge, fd, NULL))
        return false;
    tail_rewatch(&l->tail, fd);
    return true;
}

static ssize_t got_data(struct log_tail *l, enum merge_stream stream, size_t n,
                        struct tail_piece *piece)
{
    const struct log_reader *reader = &l->merge.readers[stream];

    piece->offset = reader->in.offset - n;
    name_file(l, stream, reader->number);
    return (ssize_t)n;
}

static void got_gap(struct log_tail *l, enum merge_stream stream, struct tail_piece *piece)
{
    const struct log_reader *reader = &l->merge.readers[stream];

    piece->event = reader->damaged ? "file damaged" : "file deleted";
    piece->lost_segments = reader->lost_segments;
    name_file(l, stream, reader->lost_first);
}

static ssize_t log_next(struct tail *t, char *buf, size_t size, struct tail_piece *piece)
{
    struct log_tail *l = container_of(t, struct log_tail, tail);

    for (int i = 0; i < STEPS_PER_TURN; i++) {
        enum merge_stream stream;
        size_t n;
        int rc = l->places_due[0] || l->places_due[1] ? next_place(l, piece) : 0;

        if (piece->place)
            return 0;
        if (!rc)
            rc = merge_read(&l->merge, buf, size, &n, &stream, NULL);
        if (rc == READER_DATA)
            return got_data(l, stream, n, piece);
        if (rc == READER_GAP && t->framed) {
            got_gap(l, stream, piece);
            return 0;
        }
        if (rc == READER_IDLE && !(l->dir_suspect && change_dir(l)))
            return 0;
        if (rc < 0 && rc != -EINPROGRESS)
            return rc == -EAGAIN ? -EIO : rc;
    }
    return -EINPROGRESS;
}

static bool log_over(struct tail *t)
{
    const struct log_tail *l = container_of(t, struct log_tail, tail);
    const struct alloc *alloc = find_it(l);

    for (size_t i = 0; alloc && i < alloc->group->n_tasks; i++)
        if (!strcmp(alloc->tasks[i].def->name, l->task))
            return alloc->tasks[i].status.state == TASK_STATE_DEAD;
    return true;
}

static void log_deinit(struct tail *t)
{
    struct log_tail *l = container_of(t, struct log_tail, tail);

    watch_stop(&l->parent);
    merge_close(&l->merge);
    free(l->task);
}

static void on_parent_changed(struct watch *w)
{
    struct log_tail *l = container_of(w, struct log_tail, parent);

    l->dir_suspect = true;
    request_wake(l->tail.request);
}

/* What ?task=, ?type= … ask for. */
struct log_query {
    const struct task *task;
    bool follow, plain, resumable;
    const struct reader_start *starts[MERGE_STREAM_N]; /* NULL: not this stream */
    struct reader_start start;                         /* unless there is a place */
    struct reader_start places[MERGE_STREAM_N];
};

/* ?stdout=N:OFFSET. False after an error reply. */
static bool read_place(struct request *r, enum merge_stream stream, struct log_query *q)
{
    const char *name = merge_stream_name(stream), *text = request_param(r, name);
    struct reader_start *place = &q->places[stream];
    int end = 0;

    if (!text || !q->starts[stream])
        return true;
    place->origin = READER_PLACE;
    if (sscanf(text, "%15" SCNd64 ":%18" SCNu64 "%n", &place->number, &place->count, &end) != 2 ||
        text[end] || strspn(text, "0123456789:") != strlen(text)) {
        request_reply_text(r, 400, "parameter \"%s\" must be SEGMENT:OFFSET, not \"%s\"", name,
                           text);
        return false;
    }
    q->starts[stream] = place;
    return true;
}

static bool read_type(struct request *r, struct log_query *q)
{
    const char *type = request_param(r, "type");
    bool both = type && !strcmp(type, "both"), any = both;

    for (size_t i = 0; i < MERGE_STREAM_N; i++)
        if (both || (type && !strcmp(type, merge_stream_name(i)))) {
            q->starts[i] = &q->start;
            any = true;
        }
    if (!any)
        request_reply_text(r, 400, "must provide log type (stdout/stderr)");
    return any;
}

static bool read_start(struct request *r, struct log_query *q)
{
    struct reader_start *start = &q->start;
    uint64_t lines;
    bool from_end;

    if (!param_origin(r, &from_end) || !request_param_u64(r, "offset", 0, &start->count) ||
        !request_param_u64(r, "lines", 0, &lines) ||
        !request_param_u64(r, "since", 0, &start->since_ns))
        return false;
    start->origin = from_end ? READER_END : READER_START;
    if (lines)
        *start = (struct reader_start){.origin = READER_LINES, .count = lines};
    else if (start->since_ns)
        start->origin = READER_SINCE;
    return read_place(r, MERGE_STDOUT, q) && read_place(r, MERGE_STDERR, q);
}

/* The last of its events that says more than that it is not started again. */
static void reply_not_started(struct request *r, const struct task *task)
{
    size_t n = task->n_events;
    const struct task_event *why;

    if (task->status.state != TASK_STATE_DEAD || !n) {
        request_reply_text(r, 404, "task \"%s\" not started yet. No logs available",
                           task->def->name);
        return;
    }
    while (n > 1 && (task->events[n - 1].type == TASK_EVENT_NOT_RESTARTING ||
                     task->events[n - 1].type == TASK_EVENT_KILLED))
        n--;
    why = &task->events[n - 1];
    request_reply_text(r, 404, "task \"%s\" never started: %s: %s. No logs available",
                       task->def->name, task_event_type_name(why->type), why->message);
}

/* False after an error reply, or when the request is blocked. */
static bool read_query(struct request *r, const struct alloc *alloc, struct log_query *q)
{
    *q = (struct log_query){.task = find_task(r, alloc)};
    if (!q->task || !read_type(r, q) || !read_start(r, q) ||
        !request_param_bool(r, "follow", false, &q->follow) ||
        !request_param_bool(r, "plain", false, &q->plain) ||
        !request_param_bool(r, "resumable", false, &q->resumable))
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
        reply_not_started(r, q->task);
        return false;
    }
    return true;
}

static int start_watching(struct request *r, const struct alloc *alloc, struct log_tail *l,
                          struct err *e)
{
    autofd int parent = open_dir(r, alloc, "alloc", e);

    if (parent < 0)
        return parent;
    watch_start(&l->parent, r->api->hub, parent, on_parent_changed);
    return 0;
}

static int start(struct request *r, const struct alloc *alloc, const struct log_query *q,
                 struct log_tail *l, struct err *e)
{
    autofd int dir = open_dir(r, alloc, log_dir, e);
    int rc;

    if (dir < 0)
        return dir;
    l->task = strdup(q->task->def->name);
    if (!l->task)
        return err_sys(e, -ENOMEM, "cannot read logs");
    (void)strcpy(l->alloc_id, alloc->id);
    for (size_t i = 0; i < MERGE_STREAM_N; i++)
        l->places_due[i] = q->resumable && !q->plain && q->starts[i];
    l->tail.follow = q->follow;
    l->tail.framed = !q->plain;
    l->tail.quiet = q->resumable;
    l->tail.next = log_next;
    l->tail.over = log_over;
    l->tail.deinit = log_deinit;
    rc = merge_open(&l->merge, dir, l->task, q->starts, e);
    if (!rc)
        rc = q->follow ? start_watching(r, alloc, l, e) : merge_stop_at_end(&l->merge, e);
    if (!rc)
        tail_start(&l->tail, r, dir);
    return rc;
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
    l->merge = (struct log_merge)LOG_MERGE_INIT;
    if (start(r, alloc, &q, l, &e)) {
        log_deinit(&l->tail);
        free(l);
        request_reply_err(r, &e);
    }
}
