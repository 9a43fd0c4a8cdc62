/* SPDX-License-Identifier: MIT
 *
 * Why read(2) and write(2) and not splice(2): measured, plain copies through a megabyte move more
 * bytes per second at less CPU, and only bytes in user space can be cut at a line boundary.
 *
 * A slow line costs one wake-up, one read and one write: a short read is taken to mean "empty", the
 * loop is level-triggered and comes back if it was not.
 *
 * Every byte read goes one of three ways: into a segment, into the count of what was dropped, or
 * (the start of a line near a cut; anything while blocked) to the front of `buf`, ahead of what is
 * read next. So order is kept, and written + dropped + held is what was read.
 *
 * After a loss, writing begins with a line again: the rest of a line whose beginning was dropped is
 * dropped too, and the segment that ends in the middle of one is left as it is (writer_drop()).
 */
#include "executor/logs/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/clock.h"

enum {
    ROUNDS_MAX = 16, /* large reads per wake-up, so that the other stream and control get a turn */
};
static const ev_tstamp quiet_s = 1.0;
/* Between looks, while there is output: whether the live segment was removed; whether its directory
 * was moved away, which takes a walk along its path. */
static const ev_tstamp check_s = 1.0, check_dir_s = 10.0;
static const ev_tstamp first_backoff_s = 0.25; /* between tries to write, doubling up to … */
static const ev_tstamp last_backoff_s = 2.0;
static const ev_tstamp healthy_s =
    60.0; /* writing has worked so long: begin with the first again */

/* Buffers */

static void shrink(struct pump *p)
{
    if (!p->buf || p->held)
        return;
    (void)munmap(p->buf, PUMP_LARGE);
    p->buf = NULL;
    if (p->fd >= 0)
        (void)fcntl(p->fd, F_SETPIPE_SZ, 65536); /* EBUSY: full again, so it may stay large */
}

static void grow(struct pump *p)
{
    void *map = mmap(NULL, PUMP_LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED)
        return; /* slower, but nothing is lost */
    p->buf = map;
    if (p->fd >= 0) /* EPERM above the user's limit: the same */
        (void)fcntl(p->fd, F_SETPIPE_SZ, PUMP_LARGE);
}

static void arm(struct pump *p, ev_tstamp seconds)
{
    p->timer.repeat = seconds;
    ev_timer_again(p->loop, &p->timer);
}

/* Whether so many seconds have passed. The loop's time is that of the wall clock, which may be put
 * back: then nobody knows, and they have. */
static bool has_passed(const struct pump *p, ev_tstamp seconds, ev_tstamp since)
{
    ev_tstamp passed = ev_now(p->loop) - since;

    return passed >= seconds || passed < 0;
}

/* The owner may set timers, and the loop's time can be that of a line long ago (line_way_pass()).
 */
static void tell(struct pump *p, enum pump_news news)
{
    ev_now_update(p->loop);
    p->on_news(p, news);
}

/* Losses */

static void drop(struct pump *p, const char *data, size_t size)
{
    if (size == 0)
        return;
    p->loss.bytes += size;
    p->loss.to_ns = clock_now_ns(CLOCK_REALTIME);
    p->loss.mid_line = data[size - 1] != '\n';
    *p->lost_bytes += size; /* not the writer's own count: that begins anew with each open */
    if (p->lost_here)
        *p->lost_here += size;
    p->passed_over = 0;
    writer_drop(&p->writer, size);
}

/* Takes note of a write that failed; what was to be written is dropped, or NULL. */
static void fail(struct pump *p, int error, const char *dropped, size_t size)
{
    bool other = error != p->loss.error;
    ev_tstamp now;

    ev_now_update(p->loop); /* as in tell() */
    now = ev_now(p->loop);
    if (!p->loss.error) {
        p->loss = (struct pump_loss){.from_ns = clock_now_ns(CLOCK_REALTIME)};
        if (now - p->retry_at > healthy_s)
            p->backoff = first_backoff_s;
    }
    p->loss.error = error;
    p->retry_at = now + p->backoff;
    p->backoff = p->backoff * 2 > last_backoff_s ? last_backoff_s : p->backoff * 2;
    if (dropped)
        drop(p, dropped, size);
    tell(p, other ? PUMP_FAILED : PUMP_LOSING);
}

static void mend(struct pump *p)
{
    tell(p, PUMP_MENDED);
    p->loss = (struct pump_loss){0};
    p->retry_at = ev_now(p->loop);
}

/* How much of `data` belongs to a line whose beginning was dropped. A line longer than the window
 * is not waited for: a stream may have no newlines at all. */
static size_t rest_of_line(struct pump *p, const char *data, size_t size)
{
    uint64_t window =
        p->writer.number < 0 ? WRITER_LINE_WINDOW_MAX : writer_line_window(&p->writer);
    const char *newline;
    size_t rest;

    if (!p->loss.mid_line)
        return 0;
    newline = memchr(data, '\n', size);
    rest = newline ? (size_t)(newline - data) + 1 : size;
    return p->passed_over + rest > window ? 0 : rest;
}

/* Writing */

bool pump_is_blocked(const struct pump *p)
{
    return p->loss.error && p->held && p->limits->on_full == SPEC_ON_FULL_BLOCK && !p->ending;
}

static int open_segment(struct pump *p)
{
    int r;

    p->generation = p->dir->generation;
    r = writer_open(&p->writer, p->dir->fd, p->name, p->limits->max_file_size, p->limits->max_files,
                    NULL);
    if (r == 0 && p->loss.bytes)
        writer_drop(&p->writer, 0); /* of the line that the newest segment may end with */
    return r;
}

static void check_dir(struct pump *p)
{
    uint32_t made = p->dir->made;

    p->checked_dir_at = ev_now(p->loop);
    log_dir_check(p->dir);
    if (p->dir->made != made)
        tell(p, PUMP_DIR_MADE);
}

/* Writing to a file that was removed, or whose directory was, works: one has to look. */
static void check_place(struct pump *p)
{
    struct stat st;
    bool removed = p->writer.fd >= 0 && fstat(p->writer.fd, &st) == 0 && st.st_nlink == 0;

    p->checked_at = ev_now(p->loop);
    p->checked_ticks = clock_ticks();
    p->quick_checks = 0;
    if (removed || p->writer.fd < 0 || p->loss.error ||
        has_passed(p, check_dir_s, p->checked_dir_at))
        check_dir(p);
    if (removed || p->generation != p->dir->generation) {
        p->generation = p->dir->generation;
        writer_look_again(&p->writer);
    }
}

static int try_write(struct pump *p, const char *data, size_t size, bool more, size_t *ret_done)
{
    int64_t number = p->writer.number;
    ssize_t r = 0;

    *ret_done = 0;
    if (p->loss.error || has_passed(p, check_s, p->checked_at))
        check_place(p);
    if (p->writer.number < 0)
        r = open_segment(p);
    if (r == 0)
        r = writer_write(&p->writer, data, size, more, ret_done);
    if (p->writer.number != number)
        tell(p, PUMP_ROTATED);
    return r < 0 ? (int)r : 0;
}

/* Writes `size` bytes; returns how many of the last ones stay for later: a line's start (only when
 * `more`), or what cannot be written when nothing may be dropped. */
static size_t put(struct pump *p, const char *data, size_t size, bool more)
{
    bool drops = p->limits->on_full == SPEC_ON_FULL_DROP || p->ending;
    size_t rest, done;
    int r;

    if (p->loss.error && drops && !p->ending &&
        !has_passed(p, last_backoff_s, p->retry_at - last_backoff_s)) {
        drop(p, data, size);
        return 0;
    }
    rest = rest_of_line(p, data, size);
    if (rest) {
        uint64_t passed_over = p->passed_over + rest;

        drop(p, data, rest);
        p->passed_over = passed_over;
        if (rest == size)
            return 0;
    }
    r = try_write(p, data + rest, size - rest, more, &done);
    size -= rest + done;
    data += rest + done;
    if (r < 0) {
        fail(p, r, drops ? data : NULL, size);
        return drops ? 0 : size;
    }
    if (p->loss.error)
        mend(p);
    return size;
}

/* Keeps `size` bytes for the next put(). */
static void hold(struct pump *p, const char *data, size_t size)
{
    p->held = 0;
    if (size == 0)
        return;
    if (!p->buf)
        grow(p);
    if (!p->buf) {
        drop(p, data, size);
        return;
    }
    memmove(p->buf, data, size);
    p->held = size;
    if (pump_is_blocked(p)) {
        ev_io_stop(p->loop, &p->readable);
        arm(p, p->backoff);
    }
}

/* Writes `size` bytes and keeps what put() left of them. */
static void put_or_hold(struct pump *p, const char *data, size_t size, bool more)
{
    size_t kept = put(p, data, size, more);

    hold(p, data + size - kept, kept);
}

void pump_put(struct pump *p, const char *data, size_t size)
{
    put_or_hold(p, data, size, false);
}

static void start_reading(struct pump *p)
{
    if (p->fd < 0)
        return;
    ev_io_set(&p->readable, p->fd, EV_READ);
    ev_io_start(p->loop, &p->readable);
}

void pump_flush(struct pump *p)
{
    bool blocked = pump_is_blocked(p);

    if (p->held)
        put_or_hold(p, p->buf, p->held, false);
    if (blocked && !pump_is_blocked(p)) {
        start_reading(p);
        arm(p, quiet_s);
    }
}

void pump_settle(struct pump *p)
{
    size_t nothing;

    if (p->writer.number >= 0) {
        check_place(p);
        (void)try_write(p, "", 0, false, &nothing);
    }
    pump_flush(p);
}

static void on_timer(struct ev_loop *loop, struct ev_timer *w, int revents)
{
    struct pump *p = container_of(w, struct pump, timer);

    (void)revents;
    if (pump_is_blocked(p)) {
        pump_flush(p);
        return;
    }
    ev_timer_stop(loop, w);
    pump_flush(p); /* of a line that had only begun, and does not go on */
    shrink(p);
}

/* Reading */

static void reached_eof(struct pump *p)
{
    pump_flush(p);
    ev_io_stop(p->loop, &p->readable);
    close_fd(&p->fd);
}

/* One read into the large buffer behind what is held. Returns true while more may be there. */
static bool step_large(struct pump *p)
{
    size_t room = PUMP_LARGE - p->held;
    ssize_t n = read(p->fd, p->buf + p->held, room);
    bool more;

    if (n < 0 && errno == EINTR)
        return true;
    if (n <= 0) {
        if (n == 0)
            reached_eof(p);
        else
            pump_flush(p);
        return false;
    }
    p->taken += (size_t)n;
    more = (size_t)n == room || n >= PUMP_SMALL;
    put_or_hold(p, p->buf, p->held + (size_t)n, more);
    return more && !pump_is_blocked(p);
}

/* One read through the stack, for a stream that is nearly idle. */
static bool step_small(struct pump *p)
{
    char small[PUMP_SMALL];
    ssize_t n = read(p->fd, small, sizeof(small));
    bool full;

    if (n < 0)
        return errno == EINTR;
    if (n == 0) {
        reached_eof(p);
        return false;
    }
    p->taken += (size_t)n;
    full = (size_t)n == sizeof(small);
    if (full)
        grow(p);
    if (p->buf)
        hold(p, small, (size_t)n);
    else
        put_or_hold(p, small, (size_t)n, false);
    return full && !pump_is_blocked(p);
}

/* Returns false when the pipe was found empty or ended, or must not be read now. */
static bool step(struct pump *p)
{
    return p->buf ? step_large(p) : step_small(p);
}

static void on_readable(struct ev_loop *loop, struct ev_io *w, int revents)
{
    struct pump *p = container_of(w, struct pump, readable);

    (void)loop;
    (void)revents;
    for (int i = 0; i < ROUNDS_MAX && step(p); i++)
        ;
    if (p->buf && !pump_is_blocked(p))
        arm(p, quiet_s);
}

void pump_drain(struct pump *p)
{
    uint64_t end;
    int there = 0;

    if (p->fd < 0 || pump_is_blocked(p))
        pump_flush(p);
    if (p->fd < 0 || pump_is_blocked(p))
        return;
    (void)ioctl(p->fd, FIONREAD, &there);
    end = p->taken + (uint64_t)there;
    while (step(p) && p->fd >= 0 && p->taken < end)
        ;
    pump_flush(p);
}

/* Life */

void pump_init(struct pump *p, struct ev_loop *loop, struct log_dir *dir, const char *name,
               const struct spec_logs *limits, uint64_t *lost_bytes, pump_news_cb *on_news,
               void *arg)
{
    *p = (struct pump){.loop = loop,
                       .fd = -1,
                       .writer = LOG_WRITER_INIT,
                       .limits = limits,
                       .lost_bytes = lost_bytes,
                       .dir = dir,
                       .name = name,
                       .checked_at = ev_now(loop),
                       .checked_dir_at = ev_now(loop),
                       .backoff = first_backoff_s,
                       .on_news = on_news,
                       .arg = arg};
    ev_init(&p->readable, on_readable);
    ev_timer_init(&p->timer, on_timer, 0., quiet_s);
}

/* A further write end of the pipe we read from. */
static int open_write_end(const struct pump *p)
{
    char path[32];

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", p->fd);
    return open(path, O_WRONLY | O_CLOEXEC);
}

static int make_pipe(struct pump *p, uid_t uid, gid_t gid, int *ret_write_fd, struct err *e)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(e, -errno, "make the pipe for %s", p->name);
    /* Only our end: O_NONBLOCK on the task's end would surprise the task. */
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 || fchown(ends[1], uid, gid) < 0) {
        int r = err_sys(e, -errno, "prepare the pipe for %s", p->name);

        close_fd(&ends[0]);
        close_fd(&ends[1]);
        return r;
    }
    p->fd = ends[0];
    *ret_write_fd = ends[1];
    return 0;
}

int pump_attach(struct pump *p, uid_t uid, gid_t gid, int *ret_write_fd, struct err *e)
{
    size_t nothing;
    int r;

    if (p->fd >= 0) {
        *ret_write_fd = open_write_end(p);
        return *ret_write_fd < 0 ? err_sys(e, -errno, "open the pipe for %s again", p->name) : 0;
    }
    /* People and shippers look for the file before the first line. That it cannot be made is seen,
     * and counted, when there is something to write. */
    if (p->writer.fd < 0 && !p->loss.error)
        (void)try_write(p, "", 0, false, &nothing);
    r = make_pipe(p, uid, gid, ret_write_fd, e);
    if (r == 0 && !pump_is_blocked(p))
        start_reading(p);
    return r;
}

void pump_adopt(struct pump *p, int fd, const struct pump_loss *loss, const char *held, size_t size)
{
    size_t nothing;

    p->fd = fd;
    p->loss = *loss;
    if (p->dir->fd >= 0)
        (void)try_write(p, "", 0, false, &nothing); /* which segment is live must be known */
    hold(p, held, size);
    if (!pump_is_blocked(p))
        start_reading(p);
}

void pump_limits_changed(struct pump *p)
{
    if (p->writer.number >= 0)
        writer_set_limits(&p->writer, p->limits->max_file_size, p->limits->max_files);
    if (p->loss.error && p->held && !pump_is_blocked(p)) { /* it was, and is to drop from now on */
        pump_flush(p);
        start_reading(p);
        arm(p, quiet_s);
    }
}

void pump_end(struct pump *p)
{
    p->ending = true;
    pump_flush(p); /* where all of the buffer is held there is no room to read into */
    pump_drain(p);
    if (p->loss.error)
        tell(p, PUMP_GAVE_UP);
    p->loss.error = 0;
    ev_io_stop(p->loop, &p->readable);
    ev_timer_stop(p->loop, &p->timer);
    close_fd(&p->fd);
    shrink(p);
    writer_close(&p->writer);
}
