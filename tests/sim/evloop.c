/* SPDX-License-Identifier: MIT
 *
 * Libev's functions, in simulated time: a loop runs when the simulator says so, and which of the
 * events that are there comes first is up to the dice.
 */
#include <assert.h>
#include <ev.h>
#include <stdlib.h>

#include "tests/sim/sim.h"

enum {
    WATCHERS_MAX = 1024
};

struct list {
    void *items[WATCHERS_MAX];
    int n;
};

struct ev_loop {
    struct proc *proc;
    struct list ios, timers, idles, prepares;
};

static ev_tstamp now_s(void)
{
    return (ev_tstamp)world.mono_ns / 1e9;
}

static void start(struct list *l, void *watcher, int *active)
{
    if (*active)
        return;
    assert(l->n < WATCHERS_MAX);
    l->items[l->n++] = watcher;
    *active = 1;
}

static void stop(struct list *l, void *watcher, int *active)
{
    if (!*active)
        return;
    *active = 0;
    for (int i = 0; i < l->n; i++)
        if (l->items[i] == watcher) {
            l->items[i] = l->items[--l->n];
            return;
        }
    abort();
}

void ev_io_start(struct ev_loop *loop, ev_io *w) EV_NOEXCEPT
{
    assert(w->fd >= 0);
    start(&loop->ios, w, &w->active);
}

void ev_io_stop(struct ev_loop *loop, ev_io *w) EV_NOEXCEPT
{
    stop(&loop->ios, w, &w->active);
}

void ev_timer_start(struct ev_loop *loop, ev_timer *w) EV_NOEXCEPT
{
    if (w->active)
        return;
    w->at += now_s();
    start(&loop->timers, w, &w->active);
}

void ev_timer_stop(struct ev_loop *loop, ev_timer *w) EV_NOEXCEPT
{
    if (w->active)
        w->at -= now_s();
    stop(&loop->timers, w, &w->active);
}

void ev_idle_start(struct ev_loop *loop, ev_idle *w) EV_NOEXCEPT
{
    start(&loop->idles, w, &w->active);
}

void ev_idle_stop(struct ev_loop *loop, ev_idle *w) EV_NOEXCEPT
{
    stop(&loop->idles, w, &w->active);
}

void ev_prepare_start(struct ev_loop *loop, ev_prepare *w) EV_NOEXCEPT
{
    start(&loop->prepares, w, &w->active);
}

void ev_prepare_stop(struct ev_loop *loop, ev_prepare *w) EV_NOEXCEPT
{
    stop(&loop->prepares, w, &w->active);
}

/* Nothing in the simulation is periodic: it has no wall clock to be set. */
void ev_periodic_start(struct ev_loop *loop, ev_periodic *w) EV_NOEXCEPT
{
    (void)loop;
    (void)w;
    abort();
}

void ev_periodic_stop(struct ev_loop *loop, ev_periodic *w) EV_NOEXCEPT
{
    (void)loop;
    assert(!w->active);
}

ev_tstamp ev_now(struct ev_loop *loop) EV_NOEXCEPT
{
    (void)loop;
    return now_s();
}

void ev_now_update(struct ev_loop *loop) EV_NOEXCEPT
{
    (void)loop;
}

/* A loop of a real program returns to its caller after an event, unless there is none: then the
 * caller's turn is over. */
int ev_run(struct ev_loop *loop, int flags)
{
    (void)flags;
    if (!loop->proc->looped) {
        loop->proc->looped = true; /* one event a turn */
        loop_run_event(loop);
        return 1;
    }
    proc_yield();
}

struct ev_loop *loop_new(struct proc *p)
{
    struct proc *before = current;
    struct ev_loop *loop;

    current = NULL; /* it is none of the process's memory */
    loop = calloc(1, sizeof(*loop));
    current = before;
    loop->proc = p;
    return loop;
}

void loop_free(struct ev_loop *loop)
{
    free(loop);
}

static bool is_due(const ev_timer *w)
{
    return w->at <= now_s() + 1e-9;
}

bool loop_has_event(const struct ev_loop *loop)
{
    if (loop->idles.n)
        return true;
    for (int i = 0; i < loop->ios.n; i++) {
        const ev_io *w = loop->ios.items[i];

        if (fd_is_ready(w->fd, w->events))
            return true;
    }
    for (int i = 0; i < loop->timers.n; i++)
        if (is_due(loop->timers.items[i]))
            return true;
    return false;
}

static void collect(const struct ev_loop *loop, struct list *found)
{
    found->n = 0;
    for (int i = 0; i < loop->idles.n; i++)
        found->items[found->n++] = loop->idles.items[i];
    for (int i = 0; i < loop->ios.n; i++) {
        const ev_io *w = loop->ios.items[i];

        if (found->n < WATCHERS_MAX && fd_is_ready(w->fd, w->events))
            found->items[found->n++] = loop->ios.items[i];
    }
    for (int i = 0; i < loop->timers.n; i++)
        if (found->n < WATCHERS_MAX && is_due(loop->timers.items[i]))
            found->items[found->n++] = loop->timers.items[i];
}

static bool holds(const struct list *l, const void *item)
{
    for (int i = 0; i < l->n; i++)
        if (l->items[i] == item)
            return true;
    return false;
}

void loop_run_event(struct ev_loop *loop)
{
    struct list found;
    void *item;

    collect(loop, &found);
    if (!found.n)
        return;
    item = found.items[dice((uint32_t)found.n)];
    if (holds(&loop->idles, item)) {
        ev_idle *w = item;

        w->cb(loop, w, EV_IDLE);
    } else if (holds(&loop->timers, item)) {
        ev_timer *w = item;

        ev_timer_stop(loop, w);
        w->cb(loop, w, EV_TIMER);
    } else {
        ev_io *w = item;

        w->cb(loop, w, EV_READ);
    }
}

void loop_prepare(struct ev_loop *loop)
{
    for (int i = 0; i < loop->prepares.n; i++) {
        ev_prepare *w = loop->prepares.items[i];

        w->cb(loop, w, EV_PREPARE);
    }
}

uint64_t loop_next_timer(const struct ev_loop *loop)
{
    uint64_t next = FOREVER;

    for (int i = 0; i < loop->timers.n; i++) {
        const ev_timer *w = loop->timers.items[i];
        uint64_t at = is_due(w) ? world.mono_ns : (uint64_t)(w->at * 1e9) + 1;

        if (at < next)
            next = at;
    }
    return next;
}
