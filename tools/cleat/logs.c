/* SPDX-License-Identifier: MIT
 *
 * The manager sends frames that tell where each piece is from. So when it goes away under a
 * follower, which then waits for it to come back, the next request begins at the byte after the
 * last one that was shown: none is lost, none comes twice. A reply that ends as it should means
 * that the task is dead and all is shown.
 */
#include "tools/cleat/logs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "shared/cleanup.h"
#include "tools/cleat/http.h"
#include "tools/cleat/ids.h"
#include "tools/cleat/logframe.h"
#include "tools/cleat/logout.h"

enum {
    RETRY_FIRST_MS = 50,
    RETRY_MAX_MS = 1000,
};

struct logs {
    const struct cli *cli;
    struct log_options options;
    struct log_frames frames;
    char *id, *task; /* the latter escaped */
    bool away;       /* the manager, and that has been said */
    const char *name;
    struct {
        bool known;
        int64_t number;
        uint64_t offset;
    } places[MERGE_STREAM_N];
};

static int on_frame(void *arg, const struct log_frame *f)
{
    struct logs *l = arg;
    int r;

    if (f->event) {
        log_tell_gap(&l->options, l->name, f->stream, f->number, f->lost_segments,
                     !strcmp(f->event, "file damaged"));
        return 0;
    }
    r = log_put(&l->options, f->stream, f->data, f->size);
    if (r)
        return r;
    l->places[f->stream].known = true;
    l->places[f->stream].number = f->number;
    l->places[f->stream].offset = f->offset + f->size;
    return 0;
}

static int on_bytes(void *arg, const char *data, size_t size)
{
    struct logs *l = arg;

    if (l->away)
        (void)cli_fail(0, "cleat-manager is back");
    l->away = false;
    return log_frames_feed(&l->frames, data, size, on_frame, l);
}

static bool places_known(const struct logs *l)
{
    for (size_t i = 0; i < MERGE_STREAM_N; i++)
        if (l->options.wanted[i] && !l->places[i].known)
            return false;
    return true;
}

/* Where to start, as a part of the query. */
static void put_start(const struct logs *l, FILE *out)
{
    const struct reader_start *start = &l->options.start;

    if (places_known(l)) {
        for (size_t i = 0; i < MERGE_STREAM_N; i++)
            if (l->options.wanted[i])
                (void)fprintf(out, "&%s=%" PRId64 ":%" PRIu64, merge_stream_name(i),
                              l->places[i].number, l->places[i].offset);
        return;
    }
    if (start->origin == READER_SINCE)
        (void)fprintf(out, "&since=%" PRIu64, start->since_ns);
    else if (start->origin == READER_LINES && start->count)
        (void)fprintf(out, "&lines=%" PRIu64, start->count);
    else if (start->origin != READER_START)
        (void)fprintf(out, "&origin=end&offset=%" PRIu64, start->count);
}

static char *make_path(const struct logs *l)
{
    const bool *wanted = l->options.wanted;
    size_t size;
    char *path = NULL;
    FILE *out = open_memstream(&path, &size);

    if (!out)
        return NULL;
    (void)fprintf(out, "/v1/client/fs/logs/%s?task=%s&type=%s&follow=%s", l->id, l->task,
                  wanted[0] && wanted[1] ? "both" : merge_stream_name(!wanted[0]),
                  l->cli->follow ? "true" : "false");
    put_start(l, out);
    if (!l->cli->json)
        (void)fputs("&resumable=true", out);
    (void)fclose(out);
    return path;
}

static int read_once(struct logs *l, bool again)
{
    autofree char *path = make_path(l);

    if (!path)
        return cli_fail(CLI_FAILED, "out of memory");
    if (l->cli->json) {
        int r = http_copy(l->cli, "%s", path);

        if (!r)
            (void)putchar('\n');
        return r;
    }
    log_frames_reset(&l->frames);
    return http_stream(l->cli, on_bytes, l, l->cli->follow, again, path);
}

static void wait_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    (void)nanosleep(&t, NULL);
}

static int read_all(struct logs *l)
{
    long ms = RETRY_FIRST_MS;
    int r = read_once(l, false);

    while (r == HTTP_LOST) {
        if (!l->away)
            (void)cli_fail(0, "cleat-manager is gone; going on when it is back");
        l->away = true;
        wait_ms(ms);
        ms = ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : ms * 2;
        r = read_once(l, true);
    }
    return r;
}

int alloc_logs(struct cli *cli)
{
    autofree char *id = NULL, *name = NULL, *task = NULL;
    struct logs l = {.cli = cli};
    int r = log_options_parse(cli, &l.options);

    if (!r)
        r = find_alloc_id(cli, cli->args[0], &id);
    if (!r)
        r = find_task_name(cli, id, cli->task, &name);
    if (r)
        return r;
    task = http_escape(name);
    if (!task)
        return cli_fail(CLI_FAILED, "out of memory");
    l.id = id;
    l.task = task;
    l.name = name;
    r = read_all(&l);
    log_frames_reset(&l.frames);
    return r;
}
