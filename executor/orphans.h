/* SPDX-License-Identifier: MIT
 *
 * What a task leaves behind where neither a cgroup nor a pid namespace holds it together: its
 * orphans become children of the executor (PR_SET_CHILD_SUBREAPER), which reaps them as they end
 * and kills them when the attempt is over. A process that has taken another user's ids can do as it
 * likes.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <sys/types.h>

enum {
    ORPHANS_SPARE = 3
};

struct orphans {
    struct ev_loop *loop;
    struct ev_signal ended;
    const pid_t *spare[ORPHANS_SPARE]; /* children that are no orphans, 0 for none */
};

/* Begins to take in orphans. `spare` is borrowed; idempotent. */
void orphans_start(struct orphans *o, struct ev_loop *loop,
                   const pid_t *const spare[ORPHANS_SPARE]);

/* Kills those there are. True: some may be left, and more may come: ask again. */
bool orphans_kill(struct orphans *o);

void orphans_stop(struct orphans *o);
