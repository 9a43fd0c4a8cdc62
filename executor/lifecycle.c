/* SPDX-License-Identifier: MIT
 *
 * One table of handlers by state and event; an empty cell means: ignore. Handlers change only
 * `life` and fill `out`.
 *
 * Restart policy (Nomad's): a window of `interval` opens with the first unwanted end; within it
 * `attempts` restarts are allowed, each after `delay` plus up to a quarter of it; beyond that the
 * task fails, or in mode "delay" waits for the window's end. Restarts that were asked for do not
 * count.
 */
#include "executor/lifecycle.h"

#include <string.h>

static void note(struct life_output *out, enum task_event_type type, uint64_t delay_ns,
                 const char *message)
{
    out->notes[out->n_notes].type = type;
    out->notes[out->n_notes].delay_ns = delay_ns;
    out->notes[out->n_notes].message = message;
    out->n_notes++;
}

static void arm(struct life_output *out, uint64_t ns)
{
    out->actions |= LIFE_ARM;
    out->timer_ns = ns;
}

static void launch(struct life *life, struct life_output *out)
{
    life->state = LIFE_STARTING;
    life->wish = LIFE_WISH_RUN;
    life->setup_failed = false;
    out->actions |= LIFE_DISARM | LIFE_LAUNCH;
}

static void finish(struct life *life, bool failed, struct life_output *out)
{
    life->state = LIFE_DEAD;
    life->failed = failed;
    out->actions |= LIFE_DISARM | LIFE_FINISH;
}

static void send_kill_signal(struct life *life, const struct exec_spec *spec,
                             struct life_output *out)
{
    if (spec->kill_timeout_ns == 0) {
        life->state = LIFE_KILLING;
        out->actions |= LIFE_KILL;
        return;
    }
    life->state = LIFE_STOPPING;
    out->actions |= LIFE_SIGNAL;
    arm(out, spec->kill_timeout_ns);
}

typedef void handler(struct life *life, const struct exec_spec *spec, const struct life_input *in,
                     struct life_output *out);

static void on_started(struct life *life, const struct exec_spec *spec, const struct life_input *in,
                       struct life_output *out)
{
    (void)spec;
    (void)in;
    life->state = LIFE_RUNNING;
    note(out, TASK_EVENT_STARTED, 0, "");
}

static void reap(struct life *life, struct life_output *out)
{
    life->state = LIFE_REAPING;
    out->actions |= LIFE_DISARM | LIFE_REAP;
}

static void on_failed(struct life *life, const struct exec_spec *spec, const struct life_input *in,
                      struct life_output *out)
{
    (void)spec;
    life->setup_failed = true;
    life->setup_may_pass = in->may_pass;
    reap(life, out);
}

static void on_exited(struct life *life, const struct exec_spec *spec, const struct life_input *in,
                      struct life_output *out)
{
    (void)spec;
    life->exit_ok = in->exit_ok;
    reap(life, out);
}

static void on_stop_running(struct life *life, const struct exec_spec *spec,
                            const struct life_input *in, struct life_output *out)
{
    life->wish = LIFE_WISH_STOP;
    life->fail_on_stop = in->fail;
    note(out, TASK_EVENT_KILLING, 0, "");
    if (spec->shutdown_delay_ns == 0) {
        send_kill_signal(life, spec, out);
        return;
    }
    note(out, TASK_EVENT_SHUTDOWN_DELAY, spec->shutdown_delay_ns, "");
    life->state = LIFE_DELAYING;
    arm(out, spec->shutdown_delay_ns);
}

/* Not executed yet: there is no process that could take a polite signal. */
static void on_stop_starting(struct life *life, const struct exec_spec *spec,
                             const struct life_input *in, struct life_output *out)
{
    (void)spec;
    life->wish = LIFE_WISH_STOP;
    life->fail_on_stop = in->fail;
    note(out, TASK_EVENT_KILLING, 0, "");
    life->state = LIFE_KILLING;
    out->actions |= LIFE_KILL;
}

/* Already on the way down: only the wish changes, the steps under way go on. */
static void on_stop_ending(struct life *life, const struct exec_spec *spec,
                           const struct life_input *in, struct life_output *out)
{
    (void)spec;
    if (life->wish == LIFE_WISH_STOP)
        return;
    life->wish = LIFE_WISH_STOP;
    life->fail_on_stop = in->fail;
    note(out, TASK_EVENT_KILLING, 0, "");
}

static void on_stop_backoff(struct life *life, const struct exec_spec *spec,
                            const struct life_input *in, struct life_output *out)
{
    (void)spec;
    life->wish = LIFE_WISH_STOP;
    note(out, TASK_EVENT_KILLED, 0, "");
    finish(life, in->fail, out);
}

static void on_restart_running(struct life *life, const struct exec_spec *spec,
                               const struct life_input *in, struct life_output *out)
{
    (void)in;
    life->wish = LIFE_WISH_RESTART;
    note(out, TASK_EVENT_RESTART_SIGNALED, 0, "");
    send_kill_signal(life, spec, out);
}

static void on_restart_reaping(struct life *life, const struct exec_spec *spec,
                               const struct life_input *in, struct life_output *out)
{
    (void)spec;
    (void)in;
    if (life->wish != LIFE_WISH_RUN)
        return;
    life->wish = LIFE_WISH_RESTART;
    note(out, TASK_EVENT_RESTART_SIGNALED, 0, "");
}

static void on_timer_delaying(struct life *life, const struct exec_spec *spec,
                              const struct life_input *in, struct life_output *out)
{
    (void)in;
    send_kill_signal(life, spec, out);
}

static void on_timer_stopping(struct life *life, const struct exec_spec *spec,
                              const struct life_input *in, struct life_output *out)
{
    (void)spec;
    (void)in;
    life->state = LIFE_KILLING;
    out->actions |= LIFE_KILL;
}

static void on_launch_now(struct life *life, const struct exec_spec *spec,
                          const struct life_input *in, struct life_output *out)
{
    (void)spec;
    (void)in;
    launch(life, out);
}

static void back_off(struct life *life, uint64_t delay_ns, const char *message,
                     struct life_output *out)
{
    life->state = LIFE_BACKOFF;
    note(out, TASK_EVENT_RESTARTING, delay_ns, message);
    arm(out, delay_ns);
}

/* The attempt ended by itself: restart it or not? */
static void apply_policy(struct life *life, const struct exec_spec *spec,
                         const struct life_input *in, struct life_output *out)
{
    const struct spec_restart *policy = &spec->restart;

    if (!life->setup_failed && life->exit_ok && !policy->on_success) {
        finish(life, false, out);
        return;
    }
    if (life->setup_failed && !life->setup_may_pass) {
        note(out, TASK_EVENT_NOT_RESTARTING, 0, "the failure would not pass by itself");
        finish(life, true, out);
        return;
    }
    if (policy->attempts == 0 && policy->mode == SPEC_RESTART_FAIL) {
        note(out, TASK_EVENT_NOT_RESTARTING, 0, "the restart policy allows no attempts");
        finish(life, true, out);
        return;
    }
    if (!life->window_open || in->now_ns - life->window_ns > policy->interval_ns) {
        life->window_open = true;
        life->window_ns = in->now_ns;
        life->count = 0;
    }
    if (life->count < policy->attempts) {
        life->count++;
        back_off(life, spec_restart_delay(policy, in->random), "within the restart policy", out);
        return;
    }
    if (policy->mode == SPEC_RESTART_DELAY) {
        uint64_t end = life->window_ns + policy->interval_ns;

        back_off(life, end > in->now_ns ? end - in->now_ns : 0,
                 "attempts used up, waiting for the end of the interval", out);
        return;
    }
    note(out, TASK_EVENT_NOT_RESTARTING, 0, "the attempts of the restart policy are used up");
    finish(life, true, out);
}

static void on_reaped(struct life *life, const struct exec_spec *spec, const struct life_input *in,
                      struct life_output *out)
{
    switch (life->wish) {
    case LIFE_WISH_STOP:
        note(out, TASK_EVENT_KILLED, 0, "");
        finish(life, life->fail_on_stop, out);
        return;
    case LIFE_WISH_RESTART:
        note(out, TASK_EVENT_RESTARTING, 0, "");
        launch(life, out);
        return;
    default:
        apply_policy(life, spec, in, out);
    }
}

static handler *const table[LIFE_STATE_N][LIFE_EVENT_N] = {
    [LIFE_STARTING] = {[LIFE_EV_STARTED] = on_started,
                       [LIFE_EV_FAILED] = on_failed,
                       [LIFE_EV_EXITED] = on_exited,
                       [LIFE_EV_STOP] = on_stop_starting},
    [LIFE_RUNNING] = {[LIFE_EV_EXITED] = on_exited,
                      [LIFE_EV_STOP] = on_stop_running,
                      [LIFE_EV_RESTART] = on_restart_running},
    [LIFE_DELAYING] = {[LIFE_EV_EXITED] = on_exited, [LIFE_EV_TIMER] = on_timer_delaying},
    [LIFE_STOPPING] = {[LIFE_EV_EXITED] = on_exited,
                       [LIFE_EV_TIMER] = on_timer_stopping,
                       [LIFE_EV_STOP] = on_stop_ending},
    [LIFE_KILLING] = {[LIFE_EV_FAILED] = on_failed,
                      [LIFE_EV_EXITED] = on_exited,
                      [LIFE_EV_STOP] = on_stop_ending},
    [LIFE_REAPING] = {[LIFE_EV_REAPED] = on_reaped,
                      [LIFE_EV_STOP] = on_stop_ending,
                      [LIFE_EV_RESTART] = on_restart_reaping},
    [LIFE_BACKOFF] = {[LIFE_EV_TIMER] = on_launch_now,
                      [LIFE_EV_STOP] = on_stop_backoff,
                      [LIFE_EV_RESTART] = on_launch_now},
};

void life_init(struct life *life)
{
    *life = (struct life){.state = LIFE_STARTING};
}

void life_step(struct life *life, const struct exec_spec *spec, const struct life_input *in,
               struct life_output *out)
{
    handler *h = table[life->state][in->event];

    *out = (struct life_output){0};
    if (h)
        h(life, spec, in, out);
}

enum task_state life_task_state(enum life_state state)
{
    switch (state) {
    case LIFE_STARTING:
    case LIFE_BACKOFF:
        return TASK_STATE_PENDING;
    case LIFE_DEAD:
        return TASK_STATE_DEAD;
    default:
        return TASK_STATE_RUNNING;
    }
}

const char *life_state_name(enum life_state state)
{
    static const char *const names[LIFE_STATE_N] = {"starting", "running", "delaying", "stopping",
                                                    "killing",  "reaping", "backoff",  "dead"};

    return (unsigned int)state < LIFE_STATE_N ? names[state] : "unknown";
}
