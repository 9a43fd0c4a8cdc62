/* SPDX-License-Identifier: MIT
 *
 * Frames are written whole (proto/wire.h), so the pipe is always at the start of one.
 */
#include "executor/control.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"

enum {
    LENGTH_BYTES = 4
};

/* Reads one frame into `data`: the length first, then exactly the rest, so that no frame is ever
 * split between two reads. Returns its size, 0 when the pipe is empty, -EBADMSG for garbage. */
static ssize_t read_frame(int fd, char data[WIRE_FRAME_MAX])
{
    const char *payload;
    size_t size, used;
    uint32_t length;
    ssize_t n = read(fd, data, LENGTH_BYTES);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n != LENGTH_BYTES || wire_frame(data, LENGTH_BYTES, &payload, &size, &used) == -EBADMSG)
        return -EBADMSG;
    memcpy(&length, data, sizeof(length));
    n = read(fd, data + LENGTH_BYTES, length);
    return n == (ssize_t)length ? LENGTH_BYTES + n : -EBADMSG;
}

/* After garbage nobody knows where the next frame starts: what is there is thrown away. */
static void skip_all(int fd, char data[WIRE_FRAME_MAX])
{
    while (read(fd, data, WIRE_FRAME_MAX) > 0)
        ;
}

static void on_readable(struct ev_loop *loop, struct ev_io *w, int revents)
{
    struct control *c = container_of(w, struct control, readable);
    char data[WIRE_FRAME_MAX];
    struct err e = ERR_INIT;
    struct ctl_msg msg;
    ssize_t n = read_frame(c->fd, data);

    (void)revents;
    if (n == 0)
        return;
    if (n == -EBADMSG) {
        skip_all(c->fd, data);
        (void)err_set(&e, -EBADMSG, "what came over the control pipe is no command");
        c->on_garbage(c->arg, &e);
    } else if (n < 0) {
        ev_io_stop(loop, w);
    } else if (ctl_decode(data + LENGTH_BYTES, (size_t)n - LENGTH_BYTES, &msg, &e) < 0) {
        c->on_garbage(c->arg, &e);
    } else {
        c->on_command(c->arg, &msg);
    }
}

static int make_fifo(int dir, const char *name, struct err *e)
{
    if (mkfifoat(dir, name, 0600) < 0 && errno != EEXIST)
        return err_sys(e, -errno, "make the FIFO \"%s\"", name);
    return 0;
}

int control_open(struct control *c, struct ev_loop *loop, int state_dir, control_cb *on_command,
                 control_garbage_cb *on_garbage, void *arg, struct err *e)
{
    int r;

    *c = (struct control){
        .loop = loop, .fd = -1, .on_command = on_command, .on_garbage = on_garbage, .arg = arg};
    r = make_fifo(state_dir, WIRE_CTL, e);
    if (!r)
        r = make_fifo(state_dir, WIRE_EVT, e);
    if (r < 0)
        return r;
    c->fd = openat(state_dir, WIRE_CTL, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (c->fd < 0)
        return err_sys(e, -errno, "open the FIFO \"%s\"", WIRE_CTL);
    ev_io_init(&c->readable, on_readable, c->fd, EV_READ);
    ev_io_start(loop, &c->readable);
    return 0;
}

void control_close(struct control *c)
{
    if (!c->loop)
        return;
    ev_io_stop(c->loop, &c->readable);
    close_fd(&c->fd);
}
