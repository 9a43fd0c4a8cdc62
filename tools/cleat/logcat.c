/* SPDX-License-Identifier: MIT
 *
 * Reads a log directory as it is on disk, of a manager that does not run, or from a backup. Whether
 * a task is dead nobody can tell here: following ends when it is interrupted, or when the directory
 * goes away.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "tools/cleat/logout.h"
#include "tools/cleat/output.h"

enum {
    BLOCK = 64 << 10,
    LOOK_MS = 1000, /* for a directory that was removed */
};

static int cannot(const char *what, const char *dir)
{
    int code = errno == ENOENT || errno == ENOTDIR ? CLI_NOT_FOUND : CLI_FAILED;

    return cli_fail(code, "cannot %s %s: %s", what, dir, strerror(errno));
}

/* "web.stdout.3.gz" begins a stream's name here: its length, 0 where it is no segment. */
static size_t stream_length(const char *file)
{
    for (const char *dot = strchr(file, '.'); dot; dot = strchr(dot + 1, '.'))
        for (size_t i = 0; i < MERGE_STREAM_N; i++) {
            size_t n = strlen(merge_stream_name(i));
            autofree char *stream = strndup(file, (size_t)(dot - file) + 1 + n);
            enum segment_form form = SEGMENT_PARTIAL;

            if (dot > file && !strncmp(dot + 1, merge_stream_name(i), n) && stream &&
                segment_parse(file, stream, &form) >= 0 && form != SEGMENT_PARTIAL)
                return strlen(stream);
        }
    return 0;
}

static int is_segment(const struct dirent *entry)
{
    return stream_length(entry->d_name) > 0;
}

static json_t *describe(const char *dir, const char *name)
{
    autofree char *path = NULL, *stream = strndup(name, stream_length(name));
    struct stat st;

    if (!stream || asprintf(&path, "%s/%s", dir, name) < 0 || lstat(path, &st) < 0 ||
        !S_ISREG(st.st_mode))
        return NULL;
    return json_pack("{s:s, s:s, s:I, s:I}", "Stream", stream, "Name", name, "Size",
                     (json_int_t)st.st_size, "ModTime",
                     (json_int_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
}

static void print_segments(const json_t *segments)
{
    const json_t *segment;
    struct table t;
    size_t i;

    table_init(&t, 4, (const char *const[]){"Stream", "Segment", "Size", "Last written"});
    json_array_foreach(segments, i, segment)
    {
        char size[SIZE_TEXT], when[TIME_TEXT];

        TABLE_ROW(&t, get_text(segment, "Stream"), get_text(segment, "Name"),
                  format_size((uint64_t)get_int(segment, "Size"), size),
                  format_time(get_int(segment, "ModTime"), when));
    }
    table_print(&t);
}

static int list(const struct cli *cli, const char *dir)
{
    struct dirent **entries = NULL;
    json_t *segments = json_array();
    int n = scandir(dir, &entries, is_segment, versionsort), r = CLI_OK;

    if (n < 0)
        r = cannot("list", dir);
    for (int i = 0; i < n; i++) {
        json_t *segment = describe(dir, entries[i]->d_name);

        if (segment)
            (void)json_array_append_new(segments, segment);
        free(entries[i]);
    }
    free(entries);
    if (!r && cli->json)
        print_json(segments);
    else if (!r && !json_array_size(segments))
        r = cli_fail(CLI_NOT_FOUND, "%s has no log segments", dir);
    else if (!r)
        print_segments(segments);
    json_decref(segments);
    return r;
}

/* Shows all there is now. */
static int show(struct log_options *o, struct log_merge *m, const char *task)
{
    static char block[BLOCK];
    enum merge_stream stream;
    struct err e = ERR_INIT;
    size_t n;
    int rc;

    while ((rc = merge_read(m, block, sizeof(block), &n, &stream, &e)) != READER_IDLE) {
        if (rc < 0)
            return cli_fail(CLI_FAILED, "%s", e.text);
        if (rc == READER_GAP) {
            const struct log_reader *r = &m->readers[stream];

            log_tell_gap(o, task, stream, r->lost_first, r->lost_segments, r->damaged);
        }
        rc = rc == READER_DATA ? log_put(o, stream, block, n) : 0;
        if (rc)
            return cli_fail(CLI_FAILED, "cannot write the output: %s", strerror(-rc));
    }
    return CLI_OK;
}

static int is_gone(const char *dir)
{
    return cli_fail(CLI_NOT_FOUND, "%s was removed or renamed", dir);
}

/* Waits for a change, at most a second. Of a directory that is open inotify does not tell that it
 * was removed: one has to look. */
static int await(int inotify, int dirfd, const char *dir)
{
    struct pollfd poller = {.fd = inotify, .events = POLLIN};
    char events[16 << 10] __attribute__((aligned(__alignof__(struct inotify_event))));
    struct stat st;
    ssize_t n;

    if (poll(&poller, 1, LOOK_MS) == 0)
        return fstat(dirfd, &st) == 0 && st.st_nlink == 0 ? is_gone(dir) : CLI_OK;
    n = read(inotify, events, sizeof(events));
    if (n < 0 && errno != EINTR)
        return cannot("follow", dir);
    for (ssize_t at = 0; at < n;) {
        const struct inotify_event *event = (const struct inotify_event *)(events + at);

        if (event->mask & (IN_MOVE_SELF | IN_DELETE_SELF | IN_IGNORED))
            return is_gone(dir);
        at += (ssize_t)(sizeof(*event) + event->len);
    }
    return CLI_OK;
}

/* -1: the user has no more of them, and await() takes its time. */
static int watch(const char *dir)
{
    autofd int inotify = inotify_init1(IN_CLOEXEC);

    if (inotify < 0 ||
        inotify_add_watch(inotify, dir,
                          IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVE_SELF | IN_DELETE_SELF) < 0)
        return -1;
    return take_fd(&inotify);
}

static int follow(struct log_options *o, struct log_merge *m, int dirfd, const char *dir,
                  const char *task)
{
    autofd int inotify = watch(dir);
    int r;

    do
        r = show(o, m, task);
    while (!r && !(r = await(inotify, dirfd, dir)));
    return r;
}

static bool anything_there(const struct log_merge *m)
{
    for (size_t i = 0; i < MERGE_STREAM_N; i++)
        if (m->wanted[i] && (m->readers[i].number >= 0 || m->readers[i].in.fd >= 0))
            return true;
    return false;
}

static int logcat(struct cli *cli)
{
    const char *dir = cli->args[0], *task = cli->n_args > 1 ? cli->args[1] : NULL;
    const struct reader_start *starts[MERGE_STREAM_N] = {NULL};
    struct log_merge m = LOG_MERGE_INIT;
    struct log_options o;
    struct err e = ERR_INIT;
    int r = log_options_parse(cli, &o);

    if (r)
        return r;
    if (!task && (cli->follow || cli->tail || cli->lines || cli->bytes || cli->since))
        return cli_usage(
            cli, "-f, -tail, -n, -c and -since need a TASK; without one, segments are listed");
    if (!task)
        return list(cli, dir);
    autofd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return cannot("open", dir);
    for (size_t i = 0; i < MERGE_STREAM_N; i++)
        starts[i] = o.wanted[i] ? &o.start : NULL;
    if (merge_open(&m, fd, task, starts, &e) < 0 || (!cli->follow && merge_stop_at_end(&m, &e) < 0))
        r = cli_fail(CLI_FAILED, "%s", e.text);
    else
        r = cli->follow ? follow(&o, &m, fd, dir, task) : show(&o, &m, task);
    if (!r && !anything_there(&m))
        r = cli_fail(CLI_NOT_FOUND, "%s has no log segments of a task \"%s\"", dir, task);
    merge_close(&m);
    return r;
}

const struct command log_commands[] = {
    {"logcat", NULL, "DIR [TASK]", 1, 2, " stdout stderr f tail n c since local ",
     "Show a task's log from a directory, without a manager",
     "\nDIR is the alloc/logs of an allocation, or a copy of it. Without TASK, lists the segments "
     "in\nit. Order and options are those of cleat alloc logs, but -f ends only when it is "
     "interrupted,\nor DIR is removed or renamed.\n",
     "/var/lib/cleat/allocs/3f2a.../alloc/logs\n-stderr -n 100 /mnt/backup/logs web", logcat},
    {0},
};
