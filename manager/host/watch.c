/* SPDX-License-Identifier: MIT
 *
 * The kernel gives two watches on one file the same number, so a watch is taken away only with its
 * last follower; one mask for all, for a second one would replace the first. Events are not counted
 * or told apart: a follower looks for itself, and reading it all at once keeps a fast writer from
 * costing a call per write. An overflow of the queue wakes everyone. Where the user has no inotify
 * instance or watch left (another's log shipper may have them all), what is not watched is looked
 * at each second. The descriptor is there while something is watched.
 *
 * The list of followers may change while it is walked only by watch_stop() of the one that is
 * called; callbacks only ask for a later write, so not even that happens.
 */
#include "manager/host/watch.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/log.h"

struct watch_hub {
    struct ev_loop *loop;
    int fd; /* -1: not now */
    ev_io io;
    ev_timer poll; /* active while there are watches without a number */
    struct watch *watches;
};

static const ev_tstamp poll_s = 1.0;

/* IN_ATTRIB: the number of links changed, which is all an open file's removal shows. */
static const uint32_t mask = IN_CLOSE_WRITE | IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ATTRIB |
                             IN_MOVE_SELF | IN_DELETE_SELF;

void watch_hub_wake_all(struct watch_hub *hub)
{
    for (struct watch *w = hub->watches; w; w = w->next)
        w->changed(w);
}

static void wake(struct watch_hub *hub, int wd)
{
    for (struct watch *w = hub->watches; w; w = w->next)
        if (w->wd == wd)
            w->changed(w);
}

static void on_inotify(struct ev_loop *loop, ev_io *io, int revents)
{
    struct watch_hub *hub = container_of(io, struct watch_hub, io);
    char buf[16 << 10] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n = read(hub->fd, buf, sizeof(buf));
    int last = 0; /* no watch has this number */

    (void)loop;
    (void)revents;
    for (ssize_t at = 0; at < n;) {
        const struct inotify_event *event = (const struct inotify_event *)(buf + at);

        if (event->mask & IN_Q_OVERFLOW)
            watch_hub_wake_all(hub);
        else if (event->wd != last && !(event->mask & IN_IGNORED))
            wake(hub, event->wd);
        last = event->wd;
        at += (ssize_t)(sizeof(*event) + event->len);
    }
}

static void on_poll(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)revents;
    wake(container_of(timer, struct watch_hub, poll), -1);
}

struct watch_hub *watch_hub_new(struct ev_loop *loop)
{
    struct watch_hub *hub = calloc(1, sizeof(*hub));

    if (!hub)
        return NULL;
    hub->loop = loop;
    hub->fd = -1;
    ev_init(&hub->io, on_inotify);
    ev_timer_init(&hub->poll, on_poll, poll_s, poll_s);
    return hub;
}

static void close_hub(struct watch_hub *hub)
{
    ev_io_stop(hub->loop, &hub->io);
    ev_timer_stop(hub->loop, &hub->poll);
    close_fd(&hub->fd);
}

struct watch_hub *watch_hub_free(struct watch_hub *hub)
{
    if (!hub)
        return NULL;
    assert(!hub->watches);
    close_hub(hub);
    free(hub);
    return NULL;
}

/* Returns the watch's number, or -1 with errno. */
static int add(struct watch_hub *hub, int fd)
{
    char path[32];

    if (hub->fd < 0) {
        hub->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (hub->fd < 0)
            return -1;
        ev_io_set(&hub->io, hub->fd, EV_READ);
        ev_io_start(hub->loop, &hub->io);
    }
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return inotify_add_watch(hub->fd, path, mask);
}

void watch_start(struct watch *w, struct watch_hub *hub, int fd, void (*changed)(struct watch *w))
{
    *w = (struct watch){.hub = hub, .changed = changed, .wd = add(hub, fd), .next = hub->watches};
    if (w->wd < 0 && !ev_is_active(&hub->poll)) {
        log_warn("no inotify (%s): changes of files are looked for once a second; raise %s",
                 strerror(errno),
                 errno == ENOSPC ? "fs.inotify.max_user_watches" : "fs.inotify.max_user_instances");
        ev_timer_again(hub->loop, &hub->poll);
    }
    w->link = &hub->watches;
    if (w->next)
        w->next->link = &w->next;
    hub->watches = w;
}

void watch_stop(struct watch *w)
{
    struct watch_hub *hub = w->hub;

    if (!hub)
        return;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    w->hub = NULL;
    if (!hub->watches) {
        close_hub(hub);
        return;
    }
    for (const struct watch *other = hub->watches; other; other = other->next)
        if (other->wd == w->wd)
            return;
    if (w->wd < 0)
        ev_timer_stop(hub->loop, &hub->poll);
    else
        (void)inotify_rm_watch(hub->fd, w->wd);
}
