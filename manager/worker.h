/* SPDX-License-Identifier: MIT
 *
 * A helper process of the manager: it is given one order (JSON, on its standard input), answers
 * with messages (a line of JSON each, on its standard output), and ends. What it writes to stderr
 * goes to the log. It lives no longer than the manager: its side of that is shared/helper.h.
 */
#pragma once

#include <ev.h>
#include <jansson.h>
#include <stddef.h>

#include "shared/err.h"

struct worker;

struct worker_end {
    int code;       /* its exit code; -1: it was killed, or never ran */
    int signal;     /* that killed it; 0: none */
    char text[508]; /* why, for people: the last line on its stderr, or what the manager saw */
};

struct worker_plan {     /* all of it is borrowed for the call of worker_new() */
    const char *name;    /* for the log, "alloc … task …: artifacts" */
    const char *program; /* path; its arguments are that alone */
    char *const *env;    /* NULL: PATH alone */
    const json_t *order;
    const int *fds; /* it finds them from descriptor 3 on */
    size_t n_fds;   /* at most WORKER_FDS_MAX */
    /* An open file, or -1. The helper holds a lock (flock(2)) on it as long as it lives; it is
     * started when no other one holds it, such as one that a manager before this one left dying. */
    int lock;
    double timeout_s; /* it is killed then; 0: never */
    size_t max_line;  /* longer messages are an error, and it is killed; 0: 64 KiB */

    void (*on_message)(void *arg, const json_t *message); /* an object; may be NULL */
    /* Called once, from the loop, when the helper is dead and every message was delivered. The
     * worker is gone by then. */
    void (*on_end)(void *arg, const struct worker_end *end);
    void *arg;
};

enum {
    WORKER_FDS_MAX = 16
};

/* Neither callback is called from within. -ENOMEM, -EMFILE, -ENOENT …; the order is at most
 * HELPER_ORDER_MAX bytes (-E2BIG). */
int worker_new(struct ev_loop *loop, const struct worker_plan *plan, struct worker **ret_worker,
               struct err *e);

/* Kills the helper and calls nobody any more; allowed in on_message. NULL is fine; returns NULL. */
struct worker *worker_free(struct worker *worker);

/* The path of a program that is where the manager's own is. */
void worker_program(const char *name, char *buf, size_t size);

/* For the manager's end: those that worker_free() killed, and that are not dead yet, are not waited
 * for. */
void worker_forget_all(struct ev_loop *loop);
