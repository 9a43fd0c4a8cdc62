/* SPDX-License-Identifier: MIT
 *
 * A pseudo-terminal for a command inside a task, and the relay between it and two plain
 * descriptors.
 */
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "shared/err.h"
#include "shared/proto/exec.h"
#include "shared/proto/spec.h"

enum {
    /* A pipe that poll(2) calls writable takes this much without blocking. */
    TERMINAL_CHUNK = 4096,
    TERMINAL_POLLS = 4,
};

struct terminal {
    int master; /* non-blocking; -1: none */
    int slave;  /* for the command; kept open, so that the terminal outlives its last user */
    bool input_ended;
    char in[TERMINAL_CHUNK], out[TERMINAL_CHUNK];
    size_t n_in, n_out; /* waiting to be written */
};

#define TERMINAL_INIT                                                                              \
    {                                                                                              \
        .master = -1, .slave = -1                                                                  \
    }

/* Makes a terminal that belongs to the task's user: in the devpts of the task's own root, which
 * `root_fd` is, under chroot isolation; else (-1) in the host's. For the life of the process. */
int terminal_open(struct terminal *t, const struct exec_spec *spec, int root_fd, struct err *e);

void terminal_resize(struct terminal *t, const struct exec_size *size);

/* What to wait for (TERMINAL_POLLS entries), and what to do after poll(2) filled them in. */
void terminal_poll(const struct terminal *t, struct pollfd *polls);
void terminal_relay(struct terminal *t, const struct pollfd *polls);

/* The command is dead: writes what it still showed to descriptor 1, and no more than that, however
 * many of its children write on. */
void terminal_finish(struct terminal *t);
