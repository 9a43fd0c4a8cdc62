/* SPDX-License-Identifier: MIT
 *
 * Looks after a task's finished segments: removes them by age and total size (logrotate/trim.h),
 * and has those that are due compressed by a child, `cleat-executor compress`, one at a time. With
 * none of these rules it never does anything; with some, it wakes when something is due and not
 * otherwise.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <sys/types.h>

#include "executor/logs/pump.h"

struct housekeeper {
    struct ev_loop *loop;
    struct ev_timer due;
    bool stirred;            /* … in a moment */
    struct ev_io compressed; /* pidfd of the child */
    pid_t child;             /* 0: none */
    int told_error;          /* what the last child failed for, and was said; 0: it did not fail */
    uint64_t not_before_ns;  /* CLOCK_MONOTONIC of the next child, at the soonest */
    const struct spec_logs *limits; /* borrowed, as all below */
    const struct log_dir *dir;
    const struct pump *pumps;
    size_t n_pumps;
    void (*say)(void *arg, const char *text); /* for people */
    void *arg;
};

void housekeeper_init(struct housekeeper *h, struct ev_loop *loop, const struct spec_logs *limits,
                      const struct log_dir *dir, const struct pump *pumps, size_t n_pumps,
                      void (*say)(void *arg, const char *text), void *arg);

/* A segment was finished, or there is a new directory: looks when the loop comes round. */
void housekeeper_stir(struct housekeeper *h);

/* Live upgrade: `child` was left running by the one before, or is 0. Looks at once. */
void housekeeper_resume(struct housekeeper *h, pid_t child);

/* Ends the child, if there is one. */
void housekeeper_deinit(struct housekeeper *h);
