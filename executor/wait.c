/* SPDX-License-Identifier: MIT
 *
 * How the executor waits: libev's epoll_wait(2), by --wrap=epoll_wait where libev is linked
 * statically. Measured, libev costs a slow line of a task as much as reading it, so:
 *
 * Without a limit means without one. libev never waits for ever: with a timerfd to tell it of clock
 * jumps (shared/evloop.h) it still gives epoll_wait(2) 17 days, and for each wait the kernel arms a
 * timer and disarms it.
 *
 * While no timer runs, a line that comes alone is passed on here (executor/logs/pass_line.c), and
 * the wait goes on: nothing that libev knows of has changed. All of that is less than a kilobyte of
 * code, and the linker puts the function with the largest alignment first: so it lies in one page
 * (tests/unit/one_page.py).
 */
#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "executor/direct.h"
#include "executor/supervisor.h"

enum {
    LONG_MS = 8 * 24 * 60 * 60 * 1000, /* EVLOOP_TIMER_MAX_S, and a day */
};

int __real_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms);
int __wrap_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms);

/* libev has the descriptor in the lower half of what it gives the kernel. Were it otherwise, no
 * line would be passed on here. */
QUICK static bool is_passed(struct line_way ways[STREAM_N], char line[LINE],
                            const struct epoll_event *event)
{
    for (int i = 0; event->events == EPOLLIN && i < STREAM_N; i++)
        if (ways[i].from == (int)(uint32_t)event->data.u64)
            return line_way_pass(&ways[i], line);
    return false;
}

QUICK __attribute__((aligned(1024))) static int wait_for_more_than_a_line(int epfd,
                                                                          struct epoll_event *event)
{
    struct line_way ways[STREAM_N];
    char line[LINE];
    int n;

    supervisor_open_ways(ways);
    do
        n = direct_epoll_wait(epfd, event, 1);
    while (n == 1 && is_passed(ways, line, event));
    supervisor_close_ways(ways, line);
    return n;
}

int __wrap_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms)
{
    struct epoll_event event; /* nearer than `events` */
    int n;

    if (timeout_ms <= LONG_MS)
        return __real_epoll_wait(epfd, events, max, timeout_ms);
    n = wait_for_more_than_a_line(epfd, &event);
    if (n < 0) {
        errno = -n;
        return -1;
    }
    *events = event; /* others that are ready come with the next wait */
    return n;
}
