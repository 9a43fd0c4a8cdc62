/* SPDX-License-Identifier: MIT
 *
 * One table of handlers by phase and event; an empty cell means: ignore. Handlers change only the
 * machine and fill `out`.
 *
 * Odd cases. An executor that finds its task locked by another one leaves at once, and the manager
 * looks for that other one (ATTACHED, or what its record says). An earlier manager had started
 * another executor and died: that one may take its lock while this one waits (HELD). A manager that
 * finds a task waiting goes on with it (ABSENT), and does not ask the policy a second time.
 */
#include "manager/task/machine.h"

#include "shared/cleanup.h"

bool machine_may_restart(struct machine *machine, const struct spec_restart *policy,
                         uint64_t now_ns, uint32_t random, uint64_t *ret_delay_ns)
{
    uint64_t end = machine->window_ns + policy->interval_ns;

    if (!machine->window_count || now_ns >= end || now_ns < machine->window_ns) {
        machine->window_count = 0;
        machine->window_ns = now_ns;
        end = now_ns + policy->interval_ns;
    }
    if (machine->window_count < policy->attempts) {
        machine->window_count++;
        *ret_delay_ns = spec_restart_delay(policy, random);
        return true;
    }
    if (policy->mode != SPEC_RESTART_DELAY)
        return false;
    machine->window_count = 0; /* the next window starts with the restart */
    *ret_delay_ns = end - now_ns;
    return true;
}

static void note(struct machine_output *out, enum task_event_type type, const char *message)
{
    out->actions |= MACHINE_DO_NOTES;
    out->notes[out->n_notes++] = (struct machine_note){.type = type, .message = message};
}

static void wait_for_start(struct machine *m, uint64_t delay_ns, struct machine_output *out)
{
    m->phase = TASK_PHASE_WAITING;
    m->ends = false;
    m->unheard = false;
    out->actions |= MACHINE_DO_CANCEL | MACHINE_DO_WAIT;
    out->delay_ns = delay_ns;
}

static void wait_for_end(struct machine *m, struct machine_output *out)
{
    wait_for_start(m, 0, out);
    m->ends = true;
    m->failed = m->lost;
}

static void finish(struct machine *m, bool failed, struct machine_output *out)
{
    m->phase = TASK_PHASE_DONE;
    out->actions |= MACHINE_DO_FINISH;
    out->failed = failed;
}

/* An executor that nothing was heard of may have died and left what it started. */
static void end(struct machine *m, bool failed, struct machine_output *out)
{
    if (!m->unheard) {
        finish(m, failed, out);
        return;
    }
    wait_for_end(m, out);
    m->failed = failed;
}

static void restart(struct machine *m, uint64_t delay_ns, const char *why,
                    struct machine_output *out)
{
    note(out, TASK_EVENT_RESTARTING, why);
    out->notes[out->n_notes - 1].delay_ns = delay_ns;
    out->actions |= MACHINE_DO_COUNT;
    wait_for_start(m, delay_ns, out);
}

typedef void handler(struct machine *m, const struct machine_input *in, struct machine_output *out);

static void on_start(struct machine *m, const struct machine_input *in, struct machine_output *out)
{
    if (in->is_new)
        note(out, TASK_EVENT_RECEIVED, "Task received by client");
    note(out, TASK_EVENT_TASK_SETUP, "Building Task Directory");
    m->phase = TASK_PHASE_PREPARING;
    out->actions |= MACHINE_DO_PREPARE;
}

static void on_prepared(struct machine *m, const struct machine_input *in,
                        struct machine_output *out)
{
    (void)m;
    (void)in;
    out->actions |= MACHINE_DO_SPAWN;
}

static void on_failed(struct machine *m, const struct machine_input *in, struct machine_output *out)
{
    uint64_t delay;

    if (in->may_pass && machine_may_restart(m, in->policy, in->now_ns, in->random, &delay)) {
        out->actions |= MACHINE_DO_COUNT_OWN;
        restart(m, delay, "Task is tried again: what kept it from starting may pass", out);
        return;
    }
    note(out, TASK_EVENT_NOT_RESTARTING, "the task could not be started");
    end(m, true, out);
}

static void on_attached(struct machine *m, const struct machine_input *in,
                        struct machine_output *out)
{
    (void)in;
    m->phase = TASK_PHASE_SUPERVISED;
    out->actions |= MACHINE_DO_CANCEL;
}

static void on_heard(struct machine *m, const struct machine_input *in, struct machine_output *out)
{
    (void)in;
    (void)out;
    m->unheard = false;
}

static void on_ended(struct machine *m, const struct machine_input *in, struct machine_output *out)
{
    (void)in;
    m->phase = TASK_PHASE_DONE;
    out->actions |= MACHINE_DO_CANCEL | MACHINE_DO_RELEASE;
}

/* Where an executor may have been, what it may have left goes first, whatever the record says. */
static void on_absent(struct machine *m, const struct machine_input *in, struct machine_output *out)
{
    if (!in->known)
        out->actions |= MACHINE_DO_FORGET;
    if (in->ordered) {
        wait_for_start(m, 0, out);
        return;
    }
    m->phase = TASK_PHASE_QUEUED;
    out->actions |= MACHINE_DO_CANCEL | MACHINE_DO_QUEUE;
}

/* An earlier manager took note of what had happened, and was waiting. */
static void on_absent_waiting(struct machine *m, const struct machine_input *in,
                              struct machine_output *out)
{
    if (!in->known)
        out->actions |= MACHINE_DO_FORGET;
    if (!m->lost && !in->ended_well && !in->gave_up) {
        wait_for_start(m, 0, out);
        return;
    }
    wait_for_end(m, out);
    m->failed |= in->gave_up;
}

/* The executor, or with it the machine, died under the task. */
static void lose(struct machine *m, const struct machine_input *in, bool rebooted,
                 struct machine_output *out)
{
    uint64_t delay;

    if (in->stopping) {
        note(out, TASK_EVENT_KILLED, "its executor died while the task was to stop");
        wait_for_end(m, out);
        return;
    }
    if (!machine_may_restart(m, in->policy, in->now_ns, in->random, &delay)) {
        note(out, TASK_EVENT_NOT_RESTARTING,
             "its executor was lost, and the attempts of the restart policy are used up");
        m->lost = true;
        wait_for_end(m, out);
        return;
    }
    /* An executor that goes on from the record of a started task counts this restart there; once,
     * if the one before it did not come to write any. */
    if (rebooted || !in->known || !in->started || m->unheard)
        out->actions |= MACHINE_DO_COUNT_OWN;
    /* After a reboot there is nothing to wait for to pass. */
    restart(m, rebooted ? 0 : delay, "Task restarting after the loss of its executor", out);
}

static void on_lost(struct machine *m, const struct machine_input *in, struct machine_output *out)
{
    if (in->ended_well) { /* it died between the exit of its task and the end of its own work */
        wait_for_end(m, out);
        return;
    }
    if (!in->known)
        out->actions |= MACHINE_DO_FORGET;
    /* Not running: before its start, or between its end and its next start; that end stands. */
    note(out, in->ran || !in->known ? TASK_EVENT_TERMINATED : TASK_EVENT_LOST, "");
    lose(m, in, false, out);
}

static void on_rebooted(struct machine *m, const struct machine_input *in,
                        struct machine_output *out)
{
    if (in->ended_well) {
        wait_for_end(m, out);
        return;
    }
    out->actions |= MACHINE_DO_FORGET;
    note(out, TASK_EVENT_LOST, "The machine was restarted under the task");
    lose(m, in, true, out);
}

static void on_gone(struct machine *m, const struct machine_input *in, struct machine_output *out)
{
    (void)in;
    if (m->ends) {
        finish(m, m->failed, out);
        return;
    }
    m->phase = TASK_PHASE_QUEUED;
    m->unheard = true;
    out->actions |= MACHINE_DO_QUEUE;
}

static void on_held(struct machine *m, const struct machine_input *in, struct machine_output *out)
{
    (void)in;
    (void)out;
    m->phase = TASK_PHASE_QUEUED;
    m->lost = false;
    m->unheard = true;
}

/* True when this task fails because another one did. */
static bool note_cause(const struct machine_input *in, struct machine_output *out)
{
    static const struct machine_note notes[STOP_CAUSE_N] = {
        [STOP_SIBLING] = {TASK_EVENT_SIBLING_FAILED, "", 0},
        [STOP_LEADER] = {TASK_EVENT_LEADER_DEAD, "Leader Task in Group dead", 0},
        [STOP_MAIN] = {TASK_EVENT_MAIN_DEAD, "Main tasks in the group died", 0},
    };

    if (notes[in->cause].message) {
        note(out, notes[in->cause].type, notes[in->cause].message);
        out->reason = task_event_type_name(notes[in->cause].type);
    }
    return in->cause == STOP_SIBLING;
}

static void on_stop_queued(struct machine *m, const struct machine_input *in,
                           struct machine_output *out)
{
    bool failed = note_cause(in, out);

    note(out, TASK_EVENT_KILLED, "Stopped before it was started");
    out->actions |= MACHINE_DO_CANCEL;
    end(m, failed, out);
}

static void on_stop_waiting(struct machine *m, const struct machine_input *in,
                            struct machine_output *out)
{
    if (m->ends)
        return;
    m->ends = true;
    m->failed = note_cause(in, out);
    note(out, TASK_EVENT_KILLED, "Stopped while it waited for its restart");
    out->actions |= MACHINE_DO_HURRY;
}

static void on_stop_supervised(struct machine *m, const struct machine_input *in,
                               struct machine_output *out)
{
    (void)m;
    out->failed = note_cause(in, out);
    out->actions |= MACHINE_DO_STOP;
}

/* Its end, if it had one, was that of another task. */
static void on_changed(struct machine *m, const struct machine_input *in,
                       struct machine_output *out)
{
    (void)in;
    note(out, TASK_EVENT_RESTARTING, "The job's new version changes the task");
    m->lost = false;
    wait_for_start(m, 0, out);
}

static handler *const table[TASK_PHASE_N][MACHINE_EVENT_N] = {
    [TASK_PHASE_QUEUED] = {[MACHINE_START] = on_start,
                           [MACHINE_ATTACHED] = on_attached,
                           [MACHINE_HEARD] = on_heard,
                           [MACHINE_ENDED] = on_ended,
                           [MACHINE_ABSENT] = on_absent,
                           [MACHINE_LOST] = on_lost,
                           [MACHINE_REBOOTED] = on_rebooted,
                           [MACHINE_STOP] = on_stop_queued,
                           [MACHINE_CHANGED] = on_changed},
    /* An executor of an earlier manager may have taken its lock meanwhile: all of QUEUED's. */
    [TASK_PHASE_PREPARING] = {[MACHINE_PREPARED] = on_prepared,
                              [MACHINE_FAILED] = on_failed,
                              [MACHINE_ATTACHED] = on_attached,
                              [MACHINE_HEARD] = on_heard,
                              [MACHINE_ENDED] = on_ended,
                              [MACHINE_ABSENT] = on_absent,
                              [MACHINE_LOST] = on_lost,
                              [MACHINE_REBOOTED] = on_rebooted,
                              [MACHINE_STOP] = on_stop_queued,
                              [MACHINE_CHANGED] = on_changed},
    [TASK_PHASE_SUPERVISED] = {[MACHINE_ATTACHED] = on_attached,
                               [MACHINE_HEARD] = on_heard,
                               [MACHINE_ENDED] = on_ended,
                               [MACHINE_ABSENT] = on_absent,
                               [MACHINE_LOST] = on_lost,
                               [MACHINE_REBOOTED] = on_rebooted,
                               [MACHINE_STOP] = on_stop_supervised,
                               [MACHINE_CHANGED] = on_changed},
    [TASK_PHASE_WAITING] = {[MACHINE_ATTACHED] = on_attached,
                            [MACHINE_HEARD] = on_heard,
                            [MACHINE_ENDED] = on_ended,
                            [MACHINE_ABSENT] = on_absent_waiting,
                            [MACHINE_GONE] = on_gone,
                            [MACHINE_HELD] = on_held,
                            [MACHINE_STOP] = on_stop_waiting,
                            [MACHINE_CHANGED] = on_changed},
    [TASK_PHASE_DONE] = {[MACHINE_CHANGED] = on_changed},
};

void machine_step(struct machine *machine, const struct machine_input *in,
                  struct machine_output *out)
{
    handler *h = table[machine->phase][in->event];

    *out = (struct machine_output){0};
    if (h)
        h(machine, in, out);
}

const char *task_phase_name(enum task_phase phase)
{
    static const char *const names[] = {"queued", "preparing", "supervised", "waiting", "done"};

    _Static_assert(ARRAY_LEN(names) == TASK_PHASE_N, "a name per phase");
    return (unsigned int)phase < TASK_PHASE_N ? names[phase] : "unknown";
}
