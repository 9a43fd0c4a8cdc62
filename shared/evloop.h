/* SPDX-License-Identifier: MIT
 *
 * A libev loop that sleeps until something happens.
 */
#pragma once

#include <ev.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

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

/* Starts watchers of signals and lets all signals through, those too that were blocked until now.
 */
static inline void evloop_watch_signals(struct ev_loop *loop, struct ev_signal *watchers, size_t n)
{
    sigset_t none;

    for (size_t i = 0; i < n; i++)
        ev_signal_start(loop, &watchers[i]);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The longest a timer is set to; executor/wait.c takes anything much longer for "no timer". */
#define EVLOOP_TIMER_MAX_S (7 * 24 * 60 * 60.)

/* For ev_timer_set(): whoever is woken before `due_ns` has come sets the timer again. */
static inline ev_tstamp evloop_seconds(uint64_t now_ns, uint64_t due_ns)
{
    ev_tstamp seconds = due_ns > now_ns ? (ev_tstamp)(due_ns - now_ns) / 1e9 : 0.;

    return seconds < EVLOOP_TIMER_MAX_S ? seconds : EVLOOP_TIMER_MAX_S;
}
