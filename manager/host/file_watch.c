/* SPDX-License-Identifier: MIT
 *
 * The kernel gives one number per file, however many watch it; the numbers of files that are gone
 * are given again only to new ones (inotify(7), "Limitations and caveats": not within an overflow
 * of int). The descriptor is there while something is watched.
 */
#include "manager/host/file_watch.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "shared/cleanup.h"

struct file_watch {
    int number;
    bool due; /* to be told of what was just read */
    void (*changed)(void *arg);
    void *arg;
    struct file_watch *next;
};

static struct {
    struct ev_loop *loop;
    ev_io io;
    struct file_watch *list;
} all = {.io = {.fd = -1}};

static void mark(int number, uint32_t mask)
{
    for (struct file_watch *w = all.list; w; w = w->next)
        if (w->number == number || (mask & IN_Q_OVERFLOW))
            w->due = true;
}

/* Who is told may watch or let go of anything. */
static void tell(void)
{
    struct file_watch *w = all.list;

    while (w) {
        if (!w->due) {
            w = w->next;
            continue;
        }
        w->due = false;
        w->changed(w->arg);
        w = all.list;
    }
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n = read(io->fd, buf, sizeof(buf));

    (void)loop;
    (void)revents;
    for (char *at = buf; n > 0 && at < buf + n;) {
        const struct inotify_event *event = (const struct inotify_event *)at;

        if (!(event->mask & IN_IGNORED))
            mark(event->wd, event->mask);
        at += sizeof(*event) + event->len;
    }
    tell();
}

static int open_once(struct ev_loop *loop)
{
    int fd;

    if (all.io.fd >= 0)
        return 0;
    fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0)
        return -1;
    all.loop = loop;
    ev_io_init(&all.io, on_readable, fd, EV_READ);
    ev_io_start(loop, &all.io);
    return 0;
}

static void close_if_idle(void)
{
    if (all.list || all.io.fd < 0)
        return;
    ev_io_stop(all.loop, &all.io);
    close_fd(&all.io.fd);
}

struct file_watch *file_watch_new(struct ev_loop *loop, int fd, void (*changed)(void *arg),
                                  void *arg)
{
    struct file_watch *watch = calloc(1, sizeof(*watch));
    char path[32];

    if (!watch)
        abort();
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    watch->number = open_once(loop)
                        ? -1
                        : inotify_add_watch(all.io.fd, path,
                                            IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_CREATE |
                                                IN_MOVED_TO | IN_MOVE_SELF | IN_DELETE_SELF);
    if (watch->number < 0) {
        int code = errno;

        free(watch);
        close_if_idle();
        errno = code;
        return NULL;
    }
    watch->changed = changed;
    watch->arg = arg;
    watch->next = all.list;
    all.list = watch;
    return watch;
}

struct file_watch *file_watch_free(struct file_watch *watch)
{
    struct file_watch **at = &all.list;
    bool shared = false;

    if (!watch)
        return NULL;
    while (*at != watch)
        at = &(*at)->next;
    *at = watch->next;
    for (const struct file_watch *w = all.list; w; w = w->next)
        shared |= w->number == watch->number;
    if (!shared)
        (void)inotify_rm_watch(all.io.fd, watch->number); /* the file may be gone by itself */
    free(watch);
    close_if_idle();
    return NULL;
}
