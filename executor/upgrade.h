/* SPDX-License-Identifier: MIT
 *
 * Live upgrade, from this side: the new binary first checks, as a child, that it can take over what
 * would be handed over (executor/handover.h); then this process becomes it. If anything is wrong,
 * it goes on as it was.
 */
#pragma once

#include <ev.h>
#include <sys/types.h>

#include "executor/handover.h"
#include "shared/err.h"

/* Writes down the owner's state as of now. */
typedef int upgrade_hand_over_cb(void *arg, struct handover *h, int *ret_memfd, struct err *e);

/* The upgrade came to nothing. */
typedef void upgrade_failed_cb(void *arg, const char *why);

struct upgrade {
    struct ev_loop *loop;
    struct ev_io checked; /* pidfd of the new binary checking itself */
    struct ev_timer late; /* … and its time limit */
    pid_t check_pid;
    char *path; /* NULL: no upgrade under way */
    upgrade_hand_over_cb *hand_over;
    upgrade_failed_cb *failed;
    void *arg;
};

void upgrade_init(struct upgrade *u, struct ev_loop *loop, upgrade_hand_over_cb *hand_over,
                  upgrade_failed_cb *failed, void *arg);

/* Begins to become the binary at the absolute `path`. Ignored while an upgrade is under way. */
void upgrade_begin(struct upgrade *u, const char *path);

void upgrade_deinit(struct upgrade *u);
