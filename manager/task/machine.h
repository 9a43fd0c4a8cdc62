/* SPDX-License-Identifier: MIT
 *
 * Where the manager is with one task, as a pure state machine: (state, event) to (state, actions).
 * No clock and no I/O, so a test can walk through every pair. task.c feeds it and does what it
 * says; every action is idempotent. While an executor lives, its record alone says how the task is;
 * what is decided here is what happens without one.
 *
 *   QUEUED ──▶ PREPARING ──▶ SUPERVISED ──▶ DONE      the usual way
 *     ▲             │             │
 *     └── WAITING ◀─┴─────────────┘    what kept it from starting may pass, its executor died
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/proto/spec.h"
#include "shared/proto/status.h"

enum task_phase {
    TASK_PHASE_QUEUED,     /* to be started, as soon as its turn comes */
    TASK_PHASE_PREPARING,  /* what must be there before it starts is being made (prepare.h) */
    TASK_PHASE_SUPERVISED, /* an executor lives: `handle` is set */
    TASK_PHASE_WAITING,    /* to start again, or to end, once nothing of it runs any more */
    TASK_PHASE_DONE,       /* dead for good, no executor */
    TASK_PHASE_N,
};

enum machine_event {
    MACHINE_START,    /* its turn has come */
    MACHINE_PREPARED, /* everything is there that it needs to start */
    MACHINE_FAILED,   /* it could not be prepared, or no executor be started; `may_pass` */
    MACHINE_ATTACHED, /* an executor has it: one just started, or one that was found */
    MACHINE_HEARD,    /* the executor's record says something new */
    MACHINE_ENDED,    /* no executor; by its record the task is dead */
    MACHINE_ABSENT,   /* no executor, and none that is known to have had it in this turn */
    MACHINE_LOST,     /* no executor, and the one it had did not see the task's end */
    MACHINE_REBOOTED, /* the same with the whole machine */
    MACHINE_GONE,     /* WAITING: the delay is over and nothing of the task runs */
    MACHINE_HELD,     /* WAITING: there is an executor after all */
    MACHINE_STOP,     /* `cause` */
    MACHINE_CHANGED,  /* no executor; all that is known is of a task as it was defined before */
    MACHINE_EVENT_N
};

/* What the manager must do, in this order. */
enum machine_action {
    MACHINE_DO_FORGET = 1 << 0,    /* a new executor will number its events from the start */
    MACHINE_DO_COUNT = 1 << 1,     /* one more restart */
    MACHINE_DO_COUNT_OWN = 1 << 2, /* … which no executor's record counts */
    MACHINE_DO_NOTES = 1 << 3,     /* tell `notes`, in their order */
    MACHINE_DO_CANCEL = 1 << 4,    /* give up preparing */
    MACHINE_DO_STOP = 1 << 5,      /* tell the executor to stop the task */
    MACHINE_DO_WAIT = 1 << 6,   /* kill what is left, feed GONE after `delay_ns` at the earliest */
    MACHINE_DO_HURRY = 1 << 7,  /* … without any more delay */
    MACHINE_DO_QUEUE = 1 << 8,  /* feed START when its turn comes */
    MACHINE_DO_FINISH = 1 << 9, /* the task is dead, `failed` or not */
    MACHINE_DO_RELEASE = 1 << 10, /* … which its executor's record has said already */
    /* These feed the next event themselves: last. */
    MACHINE_DO_PREPARE = 1 << 11, /* make what it needs, feed PREPARED or FAILED */
    MACHINE_DO_SPAWN = 1 << 12,   /* start an executor, feed ATTACHED or FAILED */
};

/* Why a task is told to stop. */
enum stop_cause {
    STOP_NONE,    /* it is not */
    STOP_ASKED,   /* its allocation is to stop */
    STOP_SIBLING, /* another task of its group failed: this one fails with it */
    STOP_LEADER,  /* the leader of its group has ended well */
    STOP_MAIN,    /* a sidecar: nothing is left to run beside */
    STOP_CAUSE_N
};

struct machine {
    enum task_phase phase;
    bool ends;             /* WAITING: to end, not to start again */
    bool failed;           /* … like this */
    bool lost;             /* dead because its executor or the machine died */
    bool unheard;          /* another executor is due, or has nothing on record yet */
    uint32_t window_count; /* restarts by policy … */
    uint64_t window_ns;    /* … since this, CLOCK_REALTIME */
};

struct machine_input {
    enum machine_event event;
    const struct spec_restart *policy; /* FAILED, LOST, REBOOTED */
    uint64_t now_ns;                   /* the same; CLOCK_REALTIME */
    uint32_t random;                   /* for the jitter of the delay */
    bool is_new;                       /* START: nothing was ever told of it */
    bool may_pass;                     /* FAILED */
    bool known;                        /* LOST, ABSENT: there is a record to go on from … */
    bool started;                      /* … in which the task was started */
    bool ran;                          /* LOST: it had a process */
    bool ordered;                      /* ABSENT: one may have been forked nevertheless */
    bool ended_well;                   /* LOST, REBOOTED, ABSENT: its work is done, no new start */
    bool gave_up;                      /* ABSENT: so was said of its start */
    bool stopping;                     /* LOST, REBOOTED: it was to stop */
    enum stop_cause cause;             /* STOP */
};

struct machine_note {
    enum task_event_type type;
    const char *message; /* "": with what only the caller knows */
    uint64_t delay_ns;
};

struct machine_output {
    unsigned int actions;
    uint64_t delay_ns;
    bool failed;
    const char *reason; /* DO_STOP: for people; NULL: it was asked for */
    size_t n_notes;
    struct machine_note notes[3];
};

/* Feeds one event. Events that mean nothing in the phase change nothing. */
void machine_step(struct machine *machine, const struct machine_input *in,
                  struct machine_output *out);

/* What the restart policy says to an unwanted end at `now_ns`. The window is opened, used and
 * closed. Returns the delay in *ret_delay_ns and true, or false when the attempts are used up. */
bool machine_may_restart(struct machine *machine, const struct spec_restart *policy,
                         uint64_t now_ns, uint32_t random, uint64_t *ret_delay_ns);

const char *task_phase_name(enum task_phase phase);
