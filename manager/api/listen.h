/* SPDX-License-Identifier: MIT
 *
 * Listening sockets: "unix:///path" and "http://<loopback>:port".
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "shared/err.h"

struct listener {
    int fd;     /* -1: none; non-blocking */
    bool unix_; /* else TCP */
    char *path; /* of the unix socket file */
    dev_t dev;  /* which file that was, so that a successor's is not removed */
    ino_t ino;
};

#define LISTENER_INIT                                                                              \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/* Whether it is an address that could be listened on, by its text. -EINVAL, -ENAMETOOLONG. */
int listener_check(const char *address, struct err *e);

/* A unix socket's file is mode 0600 before anyone can see it, and replaces a dead manager's in one
 * rename. Errors as api_new(). */
int listener_open(struct listener *l, const char *address, struct err *e);

/* Accepts one connection (non-blocking). -EAGAIN when there is none; -EACCES when the peer may not
 * talk to us (it has been told and closed); another negative errno of accept4(2). */
int listener_accept(const struct listener *l);

/* Answers a connection that is refused before it is served, and closes it. */
void listener_refuse(int fd, const char *status, const char *text);

/* Closes, and removes the socket file if it is still ours. */
void listener_close(struct listener *l);
