/* SPDX-License-Identifier: MIT
 *
 * Tells of changes of files, by inotify(7): one descriptor for all of them, nothing is polled.
 */
#pragma once

#include <ev.h>

struct file_watch;

/* Watches the file or directory behind the descriptor `fd` (O_PATH will do), which the caller may
 * close afterwards. `changed` is called from the loop when it is written to, replaced, removed, or
 * (directories) when a name appears in it; perhaps more than once for one change. NULL: cannot be
 * watched, with errno set (ENOSPC: fs.inotify.max_user_watches). */
struct file_watch *file_watch_new(struct ev_loop *loop, int fd, void (*changed)(void *arg),
                                  void *arg);

/* NULL is fine; returns NULL. */
struct file_watch *file_watch_free(struct file_watch *watch);
