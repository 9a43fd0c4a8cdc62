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
    LENGTH_BYTES = 4,
    PIPE_MAX = 1 << 16 /* what a pipe holds by default */
};

/* Reads one frame into `data`: the length first, then exactly the rest, so that no frame is ever
 * split between two reads. *ret_had: bytes read, 0 when the pipe was empty. -EBADMSG for garbage.
 */
static int read_frame(int fd, char data[WIRE_FRAME_MAX], size_t *ret_had)
{
    const char *payload;
    size_t size, used;
    uint32_t length;
    ssize_t n = read(fd, data, LENGTH_BYTES);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    *ret_had = (size_t)n;
    if (n != LENGTH_BYTES || wire_frame(data, LENGTH_BYTES, &payload, &size, &used) == -EBADMSG)
        return -EBADMSG;
    memcpy(&length, data, sizeof(length));
    n = read(fd, data + LENGTH_BYTES, length);
    *ret_had += n > 0 ? (size_t)n : 0;
    return n == (ssize_t)length ? 0 : -EBADMSG;
}

/* After garbage nobody knows where the next frame starts: all that is in the pipe is read, which
 * ends with a frame, and wherever a whole command is in it, it is taken for one. So a stray write
 * costs no command that came before or after it. */
static void recover(struct control *c, const char *begin, size_t had)
{
    static char data[PIPE_MAX]; /* untouched, and so no memory, as long as all is well */
    struct err e = ERR_INIT;
    size_t size = had, at = 0;
    ssize_t n;

    memcpy(data, begin, had);
    while (size < sizeof(data) && (n = read(c->fd, data + size, sizeof(data) - size)) > 0)
        size += (size_t)n;
    (void)err_set(&e, -EBADMSG, "what came over the control pipe is no command");
    c->on_garbage(c->arg, &e);
    while (at < size) {
        const char *payload;
        size_t payload_size, used;
        struct ctl_msg msg;

        if (wire_frame(data + at, size - at, &payload, &payload_size, &used) == 0 &&
            ctl_decode(payload, payload_size, &msg, NULL) == 0) {
            c->on_command(c->arg, &msg);
            at += used;
        } else {
            at++;
        }
    }
}

/* `had`: bytes of a frame. */
static void dispatch(struct control *c, const char *data, size_t had)
{
    struct err e = ERR_INIT;
    struct ctl_msg msg;
    int r = ctl_decode(data + LENGTH_BYTES, had - LENGTH_BYTES, &msg, &e);

    if (r == 0)
        c->on_command(c->arg, &msg);
    else if (r == -EPROTONOSUPPORT)
        c->on_garbage(c->arg, &e);
    else
        recover(c, data, had);
}

static void on_readable(struct ev_loop *loop, struct ev_io *w, int revents)
{
    struct control *c = container_of(w, struct control, readable);
    char data[WIRE_FRAME_MAX];
    size_t had = 0;
    int r = read_frame(c->fd, data, &had);

    (void)revents;
    if (r == -EBADMSG)
        recover(c, data, had);
    else if (r < 0)
        ev_io_stop(loop, w);
    else if (had)
        dispatch(c, data, had);
}

static int make_fifo(int dir, const char *name, struct err *e)
{
    if (mkfifoat(dir, name, 0600) < 0 && errno != EEXIST)
        return err_sys(e, -errno, "make the FIFO \"%s\"", name);
    return 0;
}

void control_adopt(struct control *c, struct ev_loop *loop, int fd, control_cb *on_command,
                   control_garbage_cb *on_garbage, void *arg)
{
    *c = (struct control){
        .loop = loop, .fd = fd, .on_command = on_command, .on_garbage = on_garbage, .arg = arg};
    ev_io_init(&c->readable, on_readable, fd, EV_READ);
    ev_io_start(loop, &c->readable);
}

int control_open(struct control *c, struct ev_loop *loop, int state_dir, control_cb *on_command,
                 control_garbage_cb *on_garbage, void *arg, struct err *e)
{
    int r = make_fifo(state_dir, WIRE_CTL, e), fd;

    if (!r)
        r = make_fifo(state_dir, WIRE_EVT, e);
    if (r < 0)
        return r;
    fd = openat(state_dir, WIRE_CTL, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_sys(e, -errno, "open the FIFO \"%s\"", WIRE_CTL);
    control_adopt(c, loop, fd, on_command, on_garbage, arg);
    return 0;
}

void control_close(struct control *c)
{
    if (!c->loop)
        return;
    ev_io_stop(c->loop, &c->readable);
    close_fd(&c->fd);
}
