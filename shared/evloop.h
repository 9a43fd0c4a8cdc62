/* SPDX-License-Identifier: MIT
 *
 * A libev loop that sleeps until something happens.
 */
#pragma once

#include <ev.h>

static inline void evloop_no_op(struct ev_loop *loop, struct ev_periodic *w, int revents)
{
    (void)loop;
    (void)w;
    (void)revents;
}

/* As ev_loop_new(). Left alone, libev wakes up once a minute to see whether the clock has jumped.
 * It makes itself a timerfd, by which the kernel tells of that, when a first periodic timer starts.
 */
static inline struct ev_loop *evloop_new(unsigned flags)
{
    struct ev_loop *loop = ev_loop_new(flags);
    struct ev_periodic never;

    if (!loop)
        return NULL;
    ev_periodic_init(&never, evloop_no_op, 0., 1e9, NULL);
    ev_periodic_start(loop, &never);
    ev_periodic_stop(loop, &never);
    return loop;
}
