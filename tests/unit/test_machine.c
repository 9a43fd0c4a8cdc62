/* SPDX-License-Identifier: MIT
 *
 * manager/task/machine: what follows on each event in each phase, as a table; a walk over random
 * orders of events that checks what must hold in every one of them; the restart policy by example.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "manager/task/machine.h"
#include "shared/cleanup.h"

#define SECOND 1000000000ULL

static const struct spec_restart policy = {
    .attempts = 2, .interval_ns = 60 * SECOND, .delay_ns = 4 * SECOND};

/* The phase that follows with a policy that allows a restart, and nothing else said; '-': the event
 * means nothing. In the order of the events: start, prepared, failed, attached, heard, ended,
 * absent, lost, rebooted, gone, held, stop, changed. */
static const char expected[TASK_PHASE_N][MACHINE_EVENT_N + 1] = {
    [TASK_PHASE_QUEUED] = "P--SQDQWW--DW",     [TASK_PHASE_PREPARING] = "-PDSPDQWW--DW",
    [TASK_PHASE_SUPERVISED] = "---SSDQWW--SW", [TASK_PHASE_WAITING] = "---SWDW--QQWW",
    [TASK_PHASE_DONE] = "------------W",
};

static const char letters[TASK_PHASE_N] = {'Q', 'P', 'S', 'W', 'D'};

static void test_every_pair(void **state)
{
    static const struct machine_output nothing = {0};

    (void)state;
    for (int phase = 0; phase < TASK_PHASE_N; phase++)
        for (int event = 0; event < MACHINE_EVENT_N; event++) {
            struct machine_input in = {
                .event = (enum machine_event)event, .policy = &policy, .now_ns = 1000 * SECOND};
            struct machine m = {.phase = (enum task_phase)phase}, before = m;
            struct machine_output out;
            char follows = expected[phase][event];

            machine_step(&m, &in, &out);
            if (follows == '-') {
                assert_memory_equal(&m, &before, sizeof(m));
                assert_memory_equal(&out, &nothing, sizeof(out));
            } else if (letters[m.phase] != follows) {
                fail_msg("event %d in phase %s leads to %s", event, task_phase_name(before.phase),
                         task_phase_name(m.phase));
            } else {
                assert_true(out.actions || event == MACHINE_HEARD || event == MACHINE_HELD);
            }
        }
}

static struct machine_output feed(struct machine *m, struct machine_input in)
{
    struct machine_output out;

    in.policy = &policy;
    in.now_ns = 1000 * SECOND;
    machine_step(m, &in, &out);
    return out;
}

static bool notes(const struct machine_output *out, enum task_event_type type)
{
    for (size_t i = 0; i < out->n_notes; i++)
        if (out->notes[i].type == type)
            return true;
    return false;
}

static void test_a_start(void **state)
{
    struct machine m = {0};
    struct machine_output out =
        feed(&m, (struct machine_input){.event = MACHINE_START, .is_new = true});

    (void)state;
    assert_true(notes(&out, TASK_EVENT_RECEIVED) && notes(&out, TASK_EVENT_TASK_SETUP));
    assert_int_equal(out.actions, MACHINE_DO_NOTES | MACHINE_DO_PREPARE);
    out = feed(&m, (struct machine_input){.event = MACHINE_PREPARED});
    assert_int_equal(out.actions, MACHINE_DO_SPAWN);
    (void)feed(&m, (struct machine_input){.event = MACHINE_ATTACHED});
    assert_int_equal(m.phase, TASK_PHASE_SUPERVISED);
    m.phase = TASK_PHASE_QUEUED;
    out = feed(&m, (struct machine_input){.event = MACHINE_START});
    assert_false(notes(&out, TASK_EVENT_RECEIVED));
}

static void test_failed_starts_follow_the_policy(void **state)
{
    struct machine m = {0};
    struct machine_output out;

    (void)state;
    for (uint32_t i = 0; i < policy.attempts; i++) {
        m.phase = TASK_PHASE_PREPARING;
        out = feed(&m, (struct machine_input){.event = MACHINE_FAILED, .may_pass = true});
        assert_int_equal(m.phase, TASK_PHASE_WAITING);
        assert_true(out.delay_ns == policy.delay_ns && notes(&out, TASK_EVENT_RESTARTING));
        assert_true(out.actions & MACHINE_DO_COUNT && out.actions & MACHINE_DO_COUNT_OWN);
        (void)feed(&m, (struct machine_input){.event = MACHINE_GONE});
        assert_true(m.unheard);
    }
    m.phase = TASK_PHASE_PREPARING;
    m.unheard = false;
    out = feed(&m, (struct machine_input){.event = MACHINE_FAILED, .may_pass = true});
    assert_int_equal(m.phase, TASK_PHASE_DONE);
    assert_true(out.failed && notes(&out, TASK_EVENT_NOT_RESTARTING));
    m = (struct machine){.phase = TASK_PHASE_PREPARING};
    out = feed(&m, (struct machine_input){.event = MACHINE_FAILED});
    assert_int_equal(m.phase, TASK_PHASE_DONE);
    assert_true(out.failed && !m.lost);
}

static void test_losses(void **state)
{
    static const struct machine_input lost = {
        .event = MACHINE_LOST, .known = true, .started = true};
    struct machine m = {.phase = TASK_PHASE_SUPERVISED};
    struct machine_input in = lost;
    struct machine_output out;

    (void)state;
    in.ran = true;
    out = feed(&m, in);
    assert_true(notes(&out, TASK_EVENT_TERMINATED) && notes(&out, TASK_EVENT_RESTARTING));
    assert_false(out.actions & (MACHINE_DO_COUNT_OWN | MACHINE_DO_FORGET));
    m.phase = TASK_PHASE_SUPERVISED; /* between its end and its next start */
    out = feed(&m, lost);
    assert_true(notes(&out, TASK_EVENT_LOST) && !m.ends);
    m.phase = TASK_PHASE_SUPERVISED;
    out = feed(&m, in); /* the third within the interval */
    assert_true(notes(&out, TASK_EVENT_NOT_RESTARTING) && m.lost && m.ends);
    out = feed(&m, (struct machine_input){.event = MACHINE_GONE});
    assert_true(out.failed && out.actions & MACHINE_DO_FINISH);

    m = (struct machine){.phase = TASK_PHASE_SUPERVISED};
    out = feed(&m, (struct machine_input){.event = MACHINE_LOST});
    assert_true(out.actions & MACHINE_DO_FORGET && out.actions & MACHINE_DO_COUNT_OWN);
    assert_true(notes(&out, TASK_EVENT_TERMINATED));

    m = (struct machine){.phase = TASK_PHASE_SUPERVISED, .unheard = true};
    out = feed(&m, lost); /* it died before its first word: nobody else counts its start */
    assert_true(out.actions & MACHINE_DO_COUNT_OWN && out.actions & MACHINE_DO_COUNT);
    assert_false(m.unheard);

    m = (struct machine){.phase = TASK_PHASE_SUPERVISED};
    in.stopping = true;
    out = feed(&m, in);
    assert_true(notes(&out, TASK_EVENT_KILLED) && m.ends && !m.failed && !m.lost);

    m = (struct machine){.phase = TASK_PHASE_SUPERVISED};
    in.ended_well = true;
    out = feed(&m, in);
    assert_true(m.ends && !m.failed && !out.n_notes);

    m = (struct machine){.phase = TASK_PHASE_QUEUED};
    out = feed(&m, (struct machine_input){.event = MACHINE_REBOOTED});
    assert_true(out.delay_ns == 0 && notes(&out, TASK_EVENT_LOST) && !m.ends);
    assert_true(out.actions & MACHINE_DO_FORGET && out.actions & MACHINE_DO_COUNT_OWN);

    m = (struct machine){.phase = TASK_PHASE_SUPERVISED};
    out = feed(&m, (struct machine_input){.event = MACHINE_REBOOTED, .ended_well = true});
    assert_true(m.ends && !m.failed && !out.n_notes && !(out.actions & MACHINE_DO_FORGET));
}

static void test_a_noted_loss_is_not_counted_again(void **state)
{
    struct machine m = {.phase = TASK_PHASE_WAITING};
    struct machine_output out = feed(&m, (struct machine_input){.event = MACHINE_ABSENT});

    (void)state;
    assert_true(out.actions & MACHINE_DO_WAIT && !out.n_notes && !m.ends);
    assert_false(out.actions & MACHINE_DO_COUNT);
    assert_true(out.actions & MACHINE_DO_FORGET);
    out = feed(&m,
               (struct machine_input){.event = MACHINE_ABSENT, .known = true, .ended_well = true});
    assert_false(out.actions & MACHINE_DO_FORGET);
    assert_true(m.ends && !m.failed);
    out = feed(&m, (struct machine_input){.event = MACHINE_ABSENT, .gave_up = true});
    assert_true(m.ends && m.failed);
    m.lost = true;
    out = feed(&m, (struct machine_input){.event = MACHINE_ABSENT});
    assert_true(m.ends && m.failed && !out.n_notes);
    (void)feed(&m, (struct machine_input){.event = MACHINE_HELD});
    assert_true(m.phase == TASK_PHASE_QUEUED && !m.lost && m.unheard);
}

static void test_what_an_unknown_executor_may_have_left_goes_first(void **state)
{
    struct machine m = {.phase = TASK_PHASE_QUEUED};
    struct machine_output out = feed(&m, (struct machine_input){.event = MACHINE_ABSENT});

    (void)state;
    assert_int_equal(m.phase, TASK_PHASE_QUEUED);
    assert_int_equal(out.actions, MACHINE_DO_FORGET | MACHINE_DO_CANCEL | MACHINE_DO_QUEUE);
    out = feed(&m, (struct machine_input){.event = MACHINE_ABSENT, .ordered = true});
    assert_int_equal(m.phase, TASK_PHASE_WAITING);
    assert_int_equal(out.actions, MACHINE_DO_FORGET | MACHINE_DO_CANCEL | MACHINE_DO_WAIT);
    assert_true(out.delay_ns == 0 && !out.n_notes && !m.ends);
    out = feed(&m, (struct machine_input){.event = MACHINE_GONE});
    assert_int_equal(m.phase, TASK_PHASE_QUEUED);
}

static void test_stops(void **state)
{
    static const struct machine_input stop = {.event = MACHINE_STOP, .cause = STOP_ASKED},
                                      sibling = {.event = MACHINE_STOP, .cause = STOP_SIBLING};
    struct machine m = {.phase = TASK_PHASE_PREPARING};
    struct machine_output out = feed(&m, stop);

    (void)state;
    assert_true(out.actions & MACHINE_DO_CANCEL && out.actions & MACHINE_DO_FINISH && !out.failed);
    m.phase = TASK_PHASE_QUEUED;
    out = feed(&m, sibling);
    assert_true(out.failed && notes(&out, TASK_EVENT_SIBLING_FAILED));
    m = (struct machine){.phase = TASK_PHASE_WAITING};
    out = feed(&m, sibling);
    assert_true(out.actions & MACHINE_DO_HURRY && m.ends && m.failed);
    out = feed(&m, stop);
    assert_true(!out.actions && m.failed);
    m = (struct machine){.phase = TASK_PHASE_SUPERVISED};
    out = feed(&m, sibling);
    assert_true(out.actions & MACHINE_DO_STOP && out.failed);
    assert_string_equal(out.reason, "Sibling Task Failed");
    out = feed(&m, stop);
    assert_true(!out.failed && !out.reason && !out.n_notes);
    out = feed(&m, (struct machine_input){.event = MACHINE_STOP, .cause = STOP_LEADER});
    assert_true(!out.failed && notes(&out, TASK_EVENT_LEADER_DEAD));
    out = feed(&m, (struct machine_input){.event = MACHINE_STOP, .cause = STOP_MAIN});
    assert_true(!out.failed && notes(&out, TASK_EVENT_MAIN_DEAD));
    m.phase = TASK_PHASE_QUEUED;
    out = feed(&m, (struct machine_input){.event = MACHINE_STOP, .cause = STOP_LEADER});
    assert_true(!out.failed && out.n_notes == 2 && out.actions & MACHINE_DO_FINISH);
}

static void test_what_an_unheard_executor_left_is_killed_first(void **state)
{
    static const struct machine_input stop = {.event = MACHINE_STOP, .cause = STOP_ASKED};
    struct machine m = {.phase = TASK_PHASE_PREPARING, .unheard = true};
    struct machine_output out = feed(&m, (struct machine_input){.event = MACHINE_FAILED});

    (void)state;
    assert_true(m.ends && out.actions & MACHINE_DO_WAIT && !(out.actions & MACHINE_DO_FINISH));
    out = feed(&m, (struct machine_input){.event = MACHINE_GONE});
    assert_true(out.failed && out.actions & MACHINE_DO_FINISH);
    m = (struct machine){.phase = TASK_PHASE_QUEUED, .unheard = true};
    out = feed(&m, stop);
    assert_true(m.ends && !m.failed && out.actions & MACHINE_DO_WAIT);
}

static void test_restart_policy(void **state)
{
    struct spec_restart p = {.attempts = 2, .interval_ns = 60 * SECOND, .delay_ns = 40 * SECOND};
    uint64_t now = 1000 * SECOND, delay = 0;
    struct machine m = {0};

    (void)state;
    assert_true(machine_may_restart(&m, &p, now, 0, &delay));
    assert_int_equal(delay, 40 * SECOND);
    assert_true(machine_may_restart(&m, &p, now + SECOND, UINT32_MAX, &delay));
    assert_int_equal(delay, 50 * SECOND); /* a quarter more, but not more */
    assert_false(machine_may_restart(&m, &p, now + 2 * SECOND, 0, &delay));
    p.mode = SPEC_RESTART_DELAY;
    assert_true(machine_may_restart(&m, &p, now + 20 * SECOND, 7, &delay));
    assert_int_equal(delay, 40 * SECOND);
    p.mode = SPEC_RESTART_FAIL;
    m = (struct machine){.window_count = 2, .window_ns = now};
    assert_true(machine_may_restart(&m, &p, now + 60 * SECOND, 0, &delay));
    assert_int_equal(m.window_count, 1);
    m = (struct machine){.window_count = 2, .window_ns = now}; /* the clock was put back */
    assert_true(machine_may_restart(&m, &p, now - 1, 0, &delay));
    p.attempts = 0;
    m = (struct machine){0};
    assert_false(machine_may_restart(&m, &p, now, 0, &delay));
}

/* What must hold whatever comes: a task that is done stays done, unless it is made another, and
 * gets there once; one that is to start again waits until nothing runs; nothing is spawned twice;
 * stops are always followed. */
static void walk(unsigned int seed)
{
    struct machine m = {0};
    bool stopped = false;

    srand(seed);
    for (int step = 0; step < 200; step++) {
        struct machine_input in = {.event = (enum machine_event)(rand() % MACHINE_EVENT_N),
                                   .is_new = rand() % 2,
                                   .may_pass = rand() % 2,
                                   .known = rand() % 2,
                                   .started = rand() % 2,
                                   .ran = rand() % 2,
                                   .ended_well = rand() % 8 == 0,
                                   .stopping = stopped,
                                   .cause = (enum stop_cause)(rand() % STOP_CAUSE_N)};
        struct machine before = m;
        struct machine_output out;

        if (stopped && in.event == MACHINE_CHANGED)
            continue; /* what is to stop is not started over */
        out = feed(&m, in);
        bool ends = out.actions & (MACHINE_DO_FINISH | MACHINE_DO_RELEASE);

        stopped |= in.event == MACHINE_STOP && before.phase != TASK_PHASE_SUPERVISED;
        assert_true(before.phase != TASK_PHASE_DONE || in.event == MACHINE_CHANGED ||
                    (!out.actions && m.phase == before.phase));
        assert_int_equal(ends, m.phase == TASK_PHASE_DONE && before.phase != TASK_PHASE_DONE);
        assert_int_equal(!!(out.actions & MACHINE_DO_PREPARE),
                         m.phase == TASK_PHASE_PREPARING && before.phase == TASK_PHASE_QUEUED);
        assert_true(!(out.actions & MACHINE_DO_SPAWN) || m.phase == TASK_PHASE_PREPARING);
        assert_true(!(out.actions & MACHINE_DO_WAIT) || m.phase == TASK_PHASE_WAITING);
        assert_true(m.phase != TASK_PHASE_WAITING || before.phase == TASK_PHASE_WAITING ||
                    out.actions & MACHINE_DO_WAIT);
        assert_true(before.phase != TASK_PHASE_PREPARING || m.phase == TASK_PHASE_PREPARING ||
                    in.event == MACHINE_FAILED || out.actions & MACHINE_DO_CANCEL);
        assert_int_equal(!!out.n_notes, !!(out.actions & MACHINE_DO_NOTES));
        assert_true(out.n_notes <= ARRAY_LEN(out.notes));
        if (before.phase == TASK_PHASE_WAITING && in.event == MACHINE_STOP)
            assert_true(m.ends);
    }
}

static void test_random_orders(void **state)
{
    (void)state;
    for (unsigned int seed = 0; seed < 20000; seed++)
        walk(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_pair),
        cmocka_unit_test(test_a_start),
        cmocka_unit_test(test_failed_starts_follow_the_policy),
        cmocka_unit_test(test_losses),
        cmocka_unit_test(test_a_noted_loss_is_not_counted_again),
        cmocka_unit_test(test_what_an_unknown_executor_may_have_left_goes_first),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_what_an_unheard_executor_left_is_killed_first),
        cmocka_unit_test(test_restart_policy),
        cmocka_unit_test(test_random_orders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
