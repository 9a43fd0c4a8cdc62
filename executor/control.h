/* SPDX-License-Identifier: MIT
 *
 * Commands from the manager, read from the task's ctl FIFO. The FIFO is held open for reading and
 * writing, so that it never ends however many managers come and go. Garbage is skipped and told to
 * people, never fatal.
 */
#pragma once

#include <ev.h>

#include "shared/err.h"
#include "shared/proto/wire.h"

typedef void control_cb(void *arg, const struct ctl_msg *msg);
typedef void control_garbage_cb(void *arg, const struct err *e);

struct control {
    struct ev_loop *loop;
    struct ev_io readable;
    int fd;
    control_cb *on_command;
    control_garbage_cb *on_garbage;
    void *arg;
};

/* Opens (and makes at need) the FIFOs in `state_dir`. */
int control_open(struct control *c, struct ev_loop *loop, int state_dir, control_cb *on_command,
                 control_garbage_cb *on_garbage, void *arg, struct err *e);

/* Takes over the open ctl FIFO `fd`. */
void control_adopt(struct control *c, struct ev_loop *loop, int fd, control_cb *on_command,
                   control_garbage_cb *on_garbage, void *arg);

void control_close(struct control *c);
