/* SPDX-License-Identifier: MIT
 *
 * The life of a task as a pure state machine: (state, event) to (state, actions). No clock, no I/O,
 * so a test can drive millions of orders of events. The supervisor feeds it and does what it says;
 * every action is idempotent.
 *
 *   STARTING ──started──▶ RUNNING ──exited──▶ REAPING ──reaped──▶ BACKOFF ──timer──▶ STARTING
 *                           │ stop/restart                    └──▶ DEAD
 *                           ▼
 *              DELAYING ▶ STOPPING ▶ KILLING ──exited──▶ REAPING
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/proto/spec.h"
#include "shared/proto/status.h"

enum life_state {
    LIFE_STARTING, /* launched, not yet executed */
    LIFE_RUNNING,
    LIFE_DELAYING, /* told to stop, shutdown_delay running */
    LIFE_STOPPING, /* kill_signal sent, kill_timeout running */
    LIFE_KILLING,  /* SIGKILL sent to all */
    LIFE_REAPING,  /* main process dead; the rest is being killed, logs drained */
    LIFE_BACKOFF,  /* waiting to start again */
    LIFE_DEAD,
    LIFE_STATE_N,
};

enum life_event {
    LIFE_EV_STARTED,
    LIFE_EV_FAILED, /* a setup stage failed */
    LIFE_EV_EXITED, /* the main process is dead */
    LIFE_EV_REAPED, /* nothing of the attempt is left */
    LIFE_EV_TIMER,
    LIFE_EV_STOP,
    LIFE_EV_RESTART,
    LIFE_EVENT_N,
};

/* What the supervisor must do, in this order. */
enum life_action {
    LIFE_LAUNCH = 1 << 0,
    LIFE_SIGNAL = 1 << 1, /* send the spec's kill_signal to the main process */
    LIFE_KILL = 1 << 2,   /* SIGKILL everything */
    LIFE_REAP = 1 << 3,   /* kill and clear away what is left, then feed REAPED */
    LIFE_ARM = 1 << 4,    /* start the timer: timer_ns */
    LIFE_DISARM = 1 << 5,
    LIFE_FINISH = 1 << 6, /* the task is dead for good */
};

enum life_wish {
    LIFE_WISH_RUN,
    LIFE_WISH_STOP,
    LIFE_WISH_RESTART
};

struct life {
    enum life_state state;
    enum life_wish wish;
    bool failed;         /* outcome, once DEAD */
    bool fail_on_stop;   /* the stop was asked for because a sibling failed */
    bool exit_ok;        /* last exit: code 0, not by a signal */
    bool setup_failed;   /* last attempt did not start */
    bool setup_may_pass; /* … and may start next time */
    uint32_t count;      /* restarts in the present window */
    uint64_t window_ns;  /* start of the window, monotonic */
    bool window_open;
};

struct life_input {
    enum life_event event;
    uint64_t now_ns; /* monotonic */
    uint32_t random; /* for the jitter of the delay */
    bool exit_ok;    /* EXITED */
    bool may_pass;   /* FAILED */
    bool fail;       /* STOP */
};

/* At most two task events per step, in order. Messages are static text. */
struct life_output {
    unsigned int actions;
    uint64_t timer_ns;
    size_t n_notes;
    struct {
        enum task_event_type type;
        uint64_t delay_ns;
        const char *message;
    } notes[3];
};

/* A new life is STARTING and wants LIFE_LAUNCH. */
void life_init(struct life *life);

/* Feeds one event. Events that mean nothing in the state change nothing. */
void life_step(struct life *life, const struct exec_spec *spec, const struct life_input *in,
               struct life_output *out);

/* What the API shows for a state. */
enum task_state life_task_state(enum life_state state);

const char *life_state_name(enum life_state state);
