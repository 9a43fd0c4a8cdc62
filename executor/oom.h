/* SPDX-License-Identifier: MIT
 *
 * Tells when the kernel's OOM killer struck in the task's cgroup and the task lives on: what died
 * was one of its children. That the task itself was struck is told by the counter after its death
 * (cgroup_oom_kills()); this is for all the rest. Costs nothing while nothing happens.
 */
#pragma once

#include <ev.h>
#include <stdint.h>

#include "executor/isolation/cgroup.h"

/* `kills`: how many since the last time. Called a moment after the kill, so that whoever was struck
 * is seen dying. Returns false while it cannot say that the task lives on: it is asked again then,
 * and if the task dies, its death counts as one by OOM. Does not stop the watch. */
typedef bool oom_cb(void *arg, uint64_t kills);

struct oom_watch {
    struct ev_loop *loop; /* NULL: never started */
    const struct cgroup *cgroup;
    int fd;      /* readable when something happened: v2 an epoll, v1 an eventfd; -1 */
    int file_fd; /* v2: memory.events, which the epoll watches; -1 */
    struct ev_io notified;
    struct ev_timer settle;
    int looks;        /* left until a notification counts as a false alarm */
    ev_tstamp wait_s; /* before the next look */
    uint64_t told;    /* kills the callback heard of */
    uint64_t told_ns; /* when it last did, CLOCK_MONOTONIC; 0: never */
    oom_cb *cb;
    void *arg;
};

/* Watches the leaf, from `told` kills on. Without a memory cgroup it watches nothing. */
void oom_watch_start(struct oom_watch *w, struct ev_loop *loop, const struct cgroup *cgroup,
                     uint64_t told, oom_cb *cb, void *arg);

/* Zeroed and stopped ones are fine. What is known of kills stays. */
void oom_watch_stop(struct oom_watch *w);

/* Whether a task that just ended without success ended by the OOM killer: it or a child of it was
 * struck, and that is the end's cause as far as can be told from outside. */
bool oom_watch_is_cause(const struct oom_watch *w, const struct cgroup *cgroup);
