/* SPDX-License-Identifier: MIT
 *
 * One look is one scan of the directory for each stream; with a limit on the size, one more for
 * each segment that has to go because of it, since nothing is remembered and nothing allocated.
 */
#include "logrotate/trim.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "logrotate/segment.h"
#include "shared/clock.h"

/* A file of a stream. */
struct victim {
    int64_t number; /* -1: none */
    enum segment_form form;
    uint64_t time_ns;
    uint64_t size;
};

struct survey {
    int dirfd;
    const struct trim_rules *rules;
    const struct trim_stream *streams;
    size_t stream; /* the one being scanned */
    uint64_t now_ns;
    struct trim_result result;
    uint64_t total;
    struct victim passed[TRIM_STREAMS]; /* only what comes after it can be the oldest */
    struct victim oldest[TRIM_STREAMS]; /* of each stream */
};

/* By number: the clock may have been put back since. */
static bool is_before(const struct victim *a, const struct victim *b)
{
    return a->number != b->number ? a->number < b->number : a->form < b->form;
}

static int remove_file(const struct survey *s, size_t stream, const struct victim *v)
{
    char file[SEGMENT_NAME_MAX + 1];

    segment_file_as(file, s->streams[stream].name, v->number, v->form);
    return unlinkat(s->dirfd, file, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int look_at(const struct survey *s, struct victim *v)
{
    char file[SEGMENT_NAME_MAX + 1];
    struct stat st;

    segment_file_as(file, s->streams[s->stream].name, v->number, v->form);
    if (fstatat(s->dirfd, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    v->size = (uint64_t)st.st_size;
    v->time_ns = clock_to_ns(&st.st_mtim);
    if (v->time_ns > s->now_ns)
        v->time_ns = s->now_ns; /* the clock was put back */
    return 0;
}

static void wake_at(struct survey *s, uint64_t due_ns)
{
    if (!s->result.next_ns || due_ns < s->result.next_ns)
        s->result.next_ns = due_ns;
}

static bool is_overdue(const struct survey *s, const struct victim *v)
{
    const struct trim_rules *rules = s->rules;

    return (rules->max_files &&
            v->number <= s->streams[s->stream].live - (int64_t)rules->max_files) ||
           (rules->max_age_ns && v->time_ns + rules->max_age_ns <= s->now_ns);
}

static void plan(struct survey *s, const struct victim *v)
{
    const struct trim_rules *rules = s->rules;

    if (rules->max_age_ns)
        wake_at(s, v->time_ns + rules->max_age_ns);
    if (!rules->compress || v->form != SEGMENT_PLAIN)
        return;
    if (v->time_ns + rules->compress_after_ns <= s->now_ns)
        s->result.compress = true;
    else
        wake_at(s, v->time_ns + rules->compress_after_ns);
}

static int on_found(void *arg, int64_t number, enum segment_form form)
{
    struct survey *s = arg;
    struct victim v = {.number = number, .form = form}, *oldest = &s->oldest[s->stream];

    if (form == SEGMENT_PARTIAL || look_at(s, &v) < 0)
        return 0;
    if (number < s->streams[s->stream].live) {
        if (is_overdue(s, &v)) {
            (void)remove_file(s, s->stream, &v);
            return 0;
        }
        plan(s, &v);
        if (is_before(&s->passed[s->stream], &v) && (oldest->number < 0 || is_before(&v, oldest)))
            *oldest = v;
    }
    s->total += v.size;
    return 0;
}

static int scan_all(struct survey *s, size_t n)
{
    int r = 0;

    s->result = (struct trim_result){0};
    s->total = 0;
    for (s->stream = 0; r == 0 && s->stream < n; s->stream++) {
        s->oldest[s->stream] = (struct victim){.number = -1};
        if (s->streams[s->stream].live >= 0)
            r = segment_scan(s->dirfd, s->streams[s->stream].name, on_found, s);
    }
    return r;
}

/* The stream whose oldest segment was written before those of the others. n: none has any. */
static size_t find_stream(const struct survey *s, size_t n)
{
    size_t found = n;

    for (size_t i = 0; i < n; i++)
        if (s->oldest[i].number >= 0 &&
            (found == n || s->oldest[i].time_ns < s->oldest[found].time_ns))
            found = i;
    return found;
}

int trim_look(int dirfd, const struct trim_rules *rules, const struct trim_stream *streams,
              size_t n, uint64_t now_ns, struct trim_result *ret_result)
{
    struct survey s = {.dirfd = dirfd, .rules = rules, .streams = streams, .now_ns = now_ns};
    uint64_t spared = 0; /* size of what could not be removed */
    size_t from;
    int r;

    for (size_t i = 0; i < n; i++)
        s.passed[i].number = -1;
    while ((r = scan_all(&s, n)) == 0 && rules->max_total_bytes &&
           s.total > rules->max_total_bytes + spared && (from = find_stream(&s, n)) < n) {
        if (remove_file(&s, from, &s.oldest[from]) < 0)
            spared += s.oldest[from].size;
        s.passed[from] = s.oldest[from];
    }
    if (r == 0)
        *ret_result = s.result;
    return r;
}
