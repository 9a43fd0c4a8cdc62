/* SPDX-License-Identifier: MIT
 *
 * Why read(2) and write(2) and not splice(2): measured, plain copies through a megabyte move more
 * bytes per second at less CPU, and only bytes in user space can be cut at a line boundary.
 *
 * A slow line costs one wake-up, one read and one write: a short read is taken to mean "empty", the
 * loop is level-triggered and comes back if it was not.
 */
#include "executor/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shared/cleanup.h"

enum {
    ROUNDS_MAX = 16, /* large reads per wake-up, so that the other stream and control get a turn */
};
static const ev_tstamp quiet_seconds = 1.0;

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
    (void)fcntl(p->fd, F_SETPIPE_SZ, PUMP_LARGE); /* EPERM above the user's limit: the same */
}

static void on_quiet(struct ev_loop *loop, struct ev_timer *w, int revents)
{
    struct pump *p = container_of(w, struct pump, quiet);

    (void)revents;
    ev_timer_stop(loop, w);
    shrink(p);
}

static void begin_or_go_on_losing(struct pump *p, int error, size_t bytes)
{
    bool begins = p->lost_now == 0;

    p->lost_now += bytes;
    *p->lost_bytes += bytes; /* not the writer's own count: that begins anew with each open */
    if (begins || error != p->loss_error) {
        p->loss_error = error;
        p->on_loss(p, error, p->lost_now);
    }
}

static void end_loss(struct pump *p)
{
    uint64_t lost = p->lost_now;

    p->lost_now = 0;
    p->loss_error = 0;
    p->on_loss(p, 0, lost);
}

static int open_segment(struct pump *p)
{
    return writer_open(&p->writer, p->log_dir, p->name, p->limits->max_file_size,
                       p->limits->max_files, NULL);
}

/* Writes `size` bytes; returns how many stay for the next round (a line's start, only when `more`).
 * What cannot be written is dropped and counted. */
static size_t put(struct pump *p, const char *data, size_t size, bool more)
{
    size_t done = 0;
    ssize_t r = 0;

    if (p->writer.fd < 0)
        r = open_segment(p);
    if (r == 0)
        r = writer_write(&p->writer, data, size, more, &done);
    if (r < 0) {
        begin_or_go_on_losing(p, (int)r, size - done);
        return 0;
    }
    if (p->lost_now)
        end_loss(p);
    return size - done;
}

void pump_flush(struct pump *p)
{
    if (p->held)
        (void)put(p, p->buf, p->held, false);
    p->held = 0;
}

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
    size_t size, kept;
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
    more = (size_t)n == room || n >= PUMP_SMALL;
    size = p->held + (size_t)n;
    kept = put(p, p->buf, size, more);
    if (kept)
        memmove(p->buf, p->buf + size - kept, kept);
    p->held = kept;
    return more;
}

/* One read through the stack, for a stream that is nearly idle. */
static bool step_small(struct pump *p)
{
    char small[PUMP_SMALL];
    ssize_t n = read(p->fd, small, sizeof(small));

    if (n < 0)
        return errno == EINTR;
    if (n == 0) {
        reached_eof(p);
        return false;
    }
    if ((size_t)n == sizeof(small))
        grow(p);
    if (!p->buf) {
        (void)put(p, small, (size_t)n, false);
        return (size_t)n == sizeof(small);
    }
    memcpy(p->buf, small, (size_t)n);
    p->held = (size_t)n;
    return true;
}

/* Returns false when the pipe was found empty or ended. */
static bool step(struct pump *p)
{
    return p->buf ? step_large(p) : step_small(p);
}

static void on_readable(struct ev_loop *loop, struct ev_io *w, int revents)
{
    struct pump *p = container_of(w, struct pump, readable);

    (void)revents;
    for (int i = 0; i < ROUNDS_MAX && step(p); i++)
        ;
    if (p->buf)
        ev_timer_again(loop, &p->quiet);
}

void pump_init(struct pump *p, struct ev_loop *loop, int log_dir, const char *name,
               const struct spec_logs *limits, uint64_t *lost_bytes, pump_loss_cb *on_loss,
               void *arg)
{
    *p = (struct pump){.loop = loop,
                       .fd = -1,
                       .writer = LOG_WRITER_INIT,
                       .limits = limits,
                       .lost_bytes = lost_bytes,
                       .log_dir = log_dir,
                       .on_loss = on_loss,
                       .arg = arg};
    (void)strncpy(p->name, name, sizeof(p->name) - 1);
    ev_init(&p->readable, on_readable);
    ev_timer_init(&p->quiet, on_quiet, 0., quiet_seconds);
}

int pump_attach(struct pump *p, uid_t uid, gid_t gid, int *ret_write_fd, struct err *e)
{
    int ends[2];

    pump_detach(p);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(e, -errno, "make the pipe for %s", p->name);
    /* Only our end: O_NONBLOCK on the task's end would surprise the task. */
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 || fchown(ends[1], uid, gid) < 0) {
        int r = err_sys(e, -errno, "prepare the pipe for %s", p->name);

        close_fd(&ends[0]);
        close_fd(&ends[1]);
        return r;
    }
    /* People and shippers look for the file before the first line. That it cannot be made is seen,
     * and counted, when there is something to write. */
    if (p->writer.fd < 0)
        (void)open_segment(p);
    pump_adopt(p, ends[0]);
    *ret_write_fd = ends[1];
    return 0;
}

void pump_adopt(struct pump *p, int fd)
{
    p->fd = fd;
    if (fd < 0)
        return;
    ev_io_set(&p->readable, fd, EV_READ);
    ev_io_start(p->loop, &p->readable);
}

void pump_drain(struct pump *p)
{
    /* A writer that never stops must not keep us here: two pipes' worth is all that can have been
     * written before the call. */
    for (int i = 0; i < 2 * ROUNDS_MAX && p->fd >= 0 && step(p); i++)
        ;
    pump_flush(p);
}

void pump_detach(struct pump *p)
{
    if (p->fd < 0)
        return;
    pump_drain(p);
    ev_io_stop(p->loop, &p->readable);
    close_fd(&p->fd);
}

void pump_deinit(struct pump *p)
{
    pump_detach(p);
    ev_timer_stop(p->loop, &p->quiet);
    shrink(p);
    writer_close(&p->writer);
}
