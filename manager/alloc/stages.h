/* SPDX-License-Identifier: MIT
 *
 * The order in which the tasks of a group start and stop, by their lifecycle blocks and `leader`:
 * what is to become of each task now. It follows from how the tasks are and from nothing else, so
 * it is the same after a crash of the manager.
 *
 *   start:  prestart tasks; main ones, when the prestart ones have succeeded and their sidecars
 *           run; poststart ones, when the main ones run
 *   stop:   the group's shutdown_delay; the leader; the other main, prestart and poststart tasks;
 *           the sidecars
 *   then:   poststop tasks, when all the others are dead, however they ended
 */
#pragma once

#include <stdbool.h>

#include "manager/state.h"

struct stages {
    enum stop_cause cause;      /* why the tasks are to stop; NONE: they are not */
    const struct task *culprit; /* SIBLING: the task that failed; LEADER: the leader */
    bool delayed;               /* nothing is to be stopped yet: set by who knows the time */
    bool prestarted;            /* what the main tasks wait for is done */
    bool main_started;          /* none of the main tasks is still to be started */
    bool leader_lives;
    bool others_live; /* any that is neither a sidecar nor a poststop task */
    bool any_lives;   /* any that is no poststop task */
    bool any_runs;    /* the same: is running or being restarted by its executor */
};

enum stage_wish {
    STAGE_KEEP, /* it stays as it is for now */
    STAGE_START,
    STAGE_STOP
};

/* `asked`: the allocation is to stop. */
struct stages stages_look(const struct task *tasks, size_t n_tasks, bool asked);

enum stage_wish stages_wish(const struct stages *stages, const struct task *task);
