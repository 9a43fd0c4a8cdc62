/* SPDX-License-Identifier: MIT
 *
 * Tells followers that a file or directory changed: one inotify descriptor for all of them.
 */
#pragma once

#include <ev.h>
#include <stdint.h>

#include "shared/err.h"

struct watch_hub;

/* A follower; embedded in its owner, zeroed before watch_start(). */
struct watch {
    struct watch_hub *hub;
    void (*changed)(struct watch *w); /* may be called for nothing; may not free `w` */
    int wd;
    struct watch *next, **link;
};

int watch_hub_new(struct ev_loop *loop, struct watch_hub **ret_hub, struct err *e);

/* After every watch has stopped. NULL is fine; returns NULL. */
struct watch_hub *watch_hub_free(struct watch_hub *hub);

/* Calls every follower: what it waits for may have happened elsewhere (its task died). */
void watch_hub_wake_all(struct watch_hub *hub);

/* Follows the open file or directory `fd`: writes, truncation, new and removed names. -ENOSPC: the
 * host's limit of inotify watches is reached. */
int watch_start(struct watch *w, struct watch_hub *hub, int fd, void (*changed)(struct watch *w),
                struct err *e);

/* Fine for a watch that was never started, and twice. */
void watch_stop(struct watch *w);
