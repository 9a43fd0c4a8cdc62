/* SPDX-License-Identifier: MIT
 *
 * Tells followers that a file or directory changed: by inotify(7), one descriptor for all of them;
 * or by looking once a second, where none is to be had.
 */
#pragma once

#include <ev.h>

struct watch_hub;

/* A follower; embedded in its owner, zeroed before watch_start(). */
struct watch {
    struct watch_hub *hub;
    void (*changed)(struct watch *w); /* may be called for nothing; may not free `w` */
    int wd;                           /* -1: not watched, but called each second */
    struct watch *next, **link;
};

/* NULL: memory is short. */
struct watch_hub *watch_hub_new(struct ev_loop *loop);

/* After every watch has stopped. NULL is fine; returns NULL. */
struct watch_hub *watch_hub_free(struct watch_hub *hub);

/* Calls every follower: what it waits for may have happened elsewhere (its task died). */
void watch_hub_wake_all(struct watch_hub *hub);

/* Follows the file or directory behind `fd` (O_PATH will do), which may be closed afterwards:
 * writes, truncation, removal, another name for it, new names in it. */
void watch_start(struct watch *w, struct watch_hub *hub, int fd, void (*changed)(struct watch *w));

/* Fine for a watch that was never started, and twice. */
void watch_stop(struct watch *w);
