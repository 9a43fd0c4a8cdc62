/* SPDX-License-Identifier: MIT
 *
 * v2: memory.events signals POLLPRI when a counter changes (kernel, cgroup-v2.rst "memory.events").
 * Reaching the limit counts too, and a busy task does that all the time: the fewer looks find a
 * kill, the rarer they are.
 * libev does not know POLLPRI, and inotify instances are few, so an epoll of its own sits between;
 * edge-triggered, because reading the file would leave a page of buffer behind for each task.
 *
 * v1: an eventfd registered for memory.oom_control (cgroup-v1/memory.rst, 10). It comes before the
 * kill, by seconds when many groups are out of memory at once, and need not lead to one; so the
 * counter is looked at more often, until the notification counts as a false alarm.
 */
#include "executor/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shared/cgroupfs.h"
#include "shared/cleanup.h"
#include "shared/clock.h"

enum {
    LOOKS = 60
};

static const ev_tstamp first_wait_s = 0.05; /* from a notification to the look; doubled by each … */
static const ev_tstamp last_wait_s = 1.6;   /* … that finds nothing, up to this */
static const uint64_t gives_up_within_ns = 1000000000; /* a shell whose child was struck */

static void take_notification(struct oom_watch *w)
{
    struct epoll_event event;
    uint64_t count;

    if (w->file_fd >= 0)
        (void)epoll_wait(w->fd, &event, 1, 0);
    else
        (void)!read(w->fd, &count, sizeof(count));
}

static void look_later(struct oom_watch *w)
{
    ev_io_stop(w->loop, &w->notified); /* one look for all that comes until then */
    ev_timer_stop(w->loop, &w->settle);
    ev_timer_set(&w->settle, w->wait_s, 0.);
    ev_timer_start(w->loop, &w->settle);
}

static void on_notified(struct ev_loop *loop, struct ev_io *io, int revents)
{
    struct oom_watch *w = container_of(io, struct oom_watch, notified);

    (void)loop;
    (void)revents;
    w->looks = w->file_fd >= 0 ? 1 : LOOKS;
    look_later(w);
}

static void on_settled(struct ev_loop *loop, struct ev_timer *timer, int revents)
{
    struct oom_watch *w = container_of(timer, struct oom_watch, settle);
    uint64_t kills;

    (void)revents;
    take_notification(w);
    kills = cgroup_oom_kills(w->cgroup);
    w->wait_s = w->wait_s * 2 > last_wait_s ? last_wait_s : w->wait_s * 2;
    if (kills > w->told && w->cb(w->arg, kills - w->told)) {
        w->looks = 0;
        w->wait_s = first_wait_s;
        w->told = kills;
        w->told_ns = clock_now_ns(CLOCK_MONOTONIC);
    }
    if (kills > w->told || --w->looks > 0)
        look_later(w);
    else
        ev_io_start(loop, &w->notified);
}

static int watch_v2(struct oom_watch *w, int dir)
{
    struct epoll_event event = {.events = EPOLLPRI | EPOLLET};

    w->file_fd = openat(dir, "memory.events", O_RDONLY | O_CLOEXEC);
    w->fd = w->file_fd < 0 ? -1 : epoll_create1(EPOLL_CLOEXEC);
    if (w->fd < 0 || epoll_ctl(w->fd, EPOLL_CTL_ADD, w->file_fd, &event) < 0)
        return -errno;
    take_notification(w); /* a file never read counts as changed */
    return 0;
}

static int watch_v1(struct oom_watch *w, int dir)
{
    autofd int control = openat(dir, "memory.oom_control", O_RDONLY | O_CLOEXEC);
    char text[32];

    w->fd = control < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->fd < 0)
        return -errno;
    (void)snprintf(text, sizeof(text), "%d %d", w->fd, control);
    return cgroupfs_write(dir, "cgroup.event_control", text);
}

void oom_watch_start(struct oom_watch *w, struct ev_loop *loop, const struct cgroup *cgroup,
                     uint64_t told, oom_cb *cb, void *arg)
{
    bool v2;
    int dir = cgroup_memory_fd(cgroup, &v2);

    oom_watch_stop(w);
    *w = (struct oom_watch){.loop = loop,
                            .cgroup = cgroup,
                            .fd = -1,
                            .file_fd = -1,
                            .wait_s = first_wait_s,
                            .told = told,
                            .cb = cb,
                            .arg = arg};
    ev_init(&w->notified, on_notified);
    ev_init(&w->settle, on_settled);
    if (dir < 0 || (v2 ? watch_v2(w, dir) : watch_v1(w, dir)) < 0) {
        oom_watch_stop(w); /* deaths are told without it */
        return;
    }
    ev_io_set(&w->notified, w->fd, EV_READ);
    ev_io_start(loop, &w->notified);
    if (cgroup_oom_kills(cgroup) > told) /* before the watch stood */
        look_later(w);
}

void oom_watch_stop(struct oom_watch *w)
{
    if (!w->loop)
        return;
    ev_io_stop(w->loop, &w->notified);
    ev_timer_stop(w->loop, &w->settle);
    close_fd(&w->fd);
    close_fd(&w->file_fd);
}

bool oom_watch_is_cause(const struct oom_watch *w, const struct cgroup *cgroup)
{
    uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);

    return cgroup_oom_kills(cgroup) > w->told ||
           (w->told_ns && now_ns - w->told_ns < gives_up_within_ns);
}
