/* SPDX-License-Identifier: MIT
 *
 * Waiting without a limit. libev never waits for ever: with a timerfd to tell it of clock jumps
 * (shared/evloop.h) it still gives epoll_wait(2) 17 days, and for each wait, so for each line of a
 * task, the kernel arms a timer and disarms it. Linked in with --wrap=epoll_wait where libev is
 * linked statically.
 */
#include <sys/epoll.h>

enum {
    LONG_MS = 8 * 24 * 60 * 60 * 1000, /* EVLOOP_TIMER_MAX_S, and a day */
};

int __real_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms);
int __wrap_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms);

int __wrap_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms)
{
    return __real_epoll_wait(epfd, events, max, timeout_ms > LONG_MS ? -1 : timeout_ms);
}
