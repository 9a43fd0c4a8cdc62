/* SPDX-License-Identifier: MIT
 *
 * How the executor waits: libev's epoll_wait(2), by --wrap=epoll_wait where libev is linked
 * statically. Measured, libev costs a slow line of a task as much as reading it, so:
 *
 * Without a limit means without one. libev never waits for ever: with a timerfd to tell it of clock
 * jumps (shared/evloop.h) it still gives epoll_wait(2) 17 days, and for each wait the kernel arms a
 * timer and disarms it.
 *
 * While no timer runs, a line that comes alone is passed on here, and the wait goes on: nothing
 * that libev knows of has changed. What that needs is marked "hot", by which the linker puts it
 * together: a process that wakes up for one line pays for each page it touches.
 */
#include <stdint.h>
#include <sys/epoll.h>

#include "executor/supervisor.h"

enum {
    LONG_MS = 8 * 24 * 60 * 60 * 1000, /* EVLOOP_TIMER_MAX_S, and a day */
};

int __real_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms);
int __wrap_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms);

/* libev has the descriptor in the lower half of what it gives the kernel. Were it otherwise, no
 * line would be passed on here. */
static bool is_passed(const struct epoll_event *event)
{
    return event->events == EPOLLIN && supervisor_pass_line((int)(uint32_t)event->data.u64);
}

__attribute__((hot)) int __wrap_epoll_wait(int epfd, struct epoll_event *events, int max,
                                           int timeout_ms)
{
    int n;

    if (timeout_ms <= LONG_MS)
        return __real_epoll_wait(epfd, events, max, timeout_ms);
    do
        n = __real_epoll_wait(epfd, events, max, -1);
    while (n == 1 && is_passed(events));
    return n;
}
