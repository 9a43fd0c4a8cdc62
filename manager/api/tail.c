/* SPDX-License-Identifier: MIT
 *
 * One piece of reply per call: bytes as they are read, or one frame around them. Bytes for a frame
 * are read into the end of the buffer and encoded towards its start, in place; base64 grows by a
 * third, so the writing end never overtakes the reading one (see frame_encode()).
 *
 * A follower that has read everything sleeps until its watch, its heartbeat or a change in the
 * manager's state wakes it. Whether it is over is asked before the last read, never after, so that
 * bytes written between the two are not lost.
 */
#include "manager/api/tail.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager/api/context.h"
#include "manager/api/encode.h"
#include "shared/cleanup.h"

static const double heartbeat_s = 1.;

/* `data` may overlap `out` from behind: 4 bytes are written for every 3 that were read. */
static char *base64(char *out, const char *data, size_t n)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)data;

    for (; n >= 3; n -= 3, p += 3) {
        unsigned int v = (unsigned int)p[0] << 16 | (unsigned int)p[1] << 8 | p[2];

        *out++ = letters[v >> 18];
        *out++ = letters[v >> 12 & 63];
        *out++ = letters[v >> 6 & 63];
        *out++ = letters[v & 63];
    }
    if (n) {
        unsigned int v = (unsigned int)p[0] << 16 | (n > 1 ? (unsigned int)p[1] << 8 : 0);

        *out++ = letters[v >> 18];
        *out++ = letters[v >> 12 & 63];
        *out++ = n > 1 ? letters[v >> 6 & 63] : '=';
        *out++ = '=';
    }
    return out;
}

size_t frame_encode(char *buf, size_t size, const char *file, const struct tail_piece *piece,
                    const char *data, size_t n)
{
    json_t *rest = json_pack("{s:o*,s:s*}", "File", encode_text(file), "FileEvent", piece->event);
    autofree char *tail = NULL;
    char *out = buf;

    if (rest && piece->lost_segments)
        (void)json_object_set_new(rest, "LostSegments",
                                  json_integer((json_int_t)piece->lost_segments));
    tail = rest ? json_dumps(rest, JSON_COMPACT) : NULL;
    json_decref(rest);
    if (!tail)
        return 0;
    *out++ = '{';
    if (piece->offset) /* as everywhere in Nomad's JSON, zero values are left out of frames */
        out += sprintf(out, "\"Offset\":%llu,", (unsigned long long)piece->offset);
    assert((size_t)(out - buf) + (n + 2) / 3 * 4 + sizeof("\"Data\":\"\",") + strlen(tail) <= size);
    if (n) {
        out = stpcpy(out, "\"Data\":\"");
        out = base64(out, data, n);
        out = stpcpy(out, "\",");
    }
    out = stpcpy(out, tail + 1); /* without its '{' */
    return (size_t)(out - buf);
}

static ssize_t read_framed(struct tail *t, char *buf, size_t size)
{
    /* What JSON makes of the file's name is at most 6 bytes for one. */
    size_t room = (size - 6 * strlen(t->file) - 128) / 4 * 3;
    size_t max = room < TAIL_FRAME_MAX ? room : TAIL_FRAME_MAX;
    char *data = buf + size - max;
    struct tail_piece piece = {0};
    ssize_t n = t->next(t, data, max, &piece);

    if (n < 0 || (!n && !piece.event && !piece.place))
        return n;
    size_t length = frame_encode(buf, size, t->file, &piece, data, (size_t)n);
    return length ? (ssize_t)length : -ENOMEM;
}

static ssize_t read_plain(struct tail *t, char *buf, size_t size)
{
    struct tail_piece piece = {0};

    return t->next(t, buf, size < TAIL_FRAME_MAX ? size : TAIL_FRAME_MAX, &piece);
}

static ssize_t tail_read(struct source *source, char *buf, size_t size)
{
    struct tail *t = (struct tail *)source;
    bool over = t->ended || !t->follow || t->over(t);
    ssize_t n = t->framed ? read_framed(t, buf, size) : read_plain(t, buf, size);

    if (n || over || t->ended)
        return n;
    if (!t->beat)
        return -EAGAIN;
    t->beat = false;
    memcpy(buf, "{}", 2);
    return 2;
}

static void tail_free(struct source *source)
{
    struct tail *t = (struct tail *)source;

    ev_timer_stop(t->request->api->loop, &t->heartbeat);
    watch_stop(&t->watch);
    t->deinit(t);
    free(t);
}

static void on_file_changed(struct watch *w)
{
    struct tail *t = container_of(w, struct tail, watch);

    request_wake(t->request);
}

static void on_heartbeat(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct tail *t = container_of(w, struct tail, heartbeat);

    (void)loop;
    (void)revents;
    t->beat = true;
    request_wake(t->request);
}

void tail_rewatch(struct tail *t, int fd)
{
    watch_stop(&t->watch);
    watch_start(&t->watch, t->request->api->hub, fd, on_file_changed);
}

void tail_start(struct tail *t, struct request *r, int fd)
{
    if (t->follow)
        watch_start(&t->watch, r->api->hub, fd, on_file_changed);
    t->request = r;
    t->source = (struct source){.read = tail_read, .free = tail_free};
    ev_timer_init(&t->heartbeat, on_heartbeat, heartbeat_s, heartbeat_s);
    if (t->follow && t->framed && !t->quiet)
        ev_timer_start(r->api->loop, &t->heartbeat);
    request_reply_source(r, "text/plain", &t->source); /* frames are no single JSON document */
}
