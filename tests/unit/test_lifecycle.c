/* SPDX-License-Identifier: MIT
 *
 * executor/lifecycle: the restart policy by example, and a walk over random orders of events that
 * checks what must hold in every one of them. The seed is printed on failure; give it as the only
 * argument to replay.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "executor/lifecycle.h"

static const uint64_t second = 1000000000;

static struct exec_spec spec_of(uint32_t attempts, enum spec_restart_mode mode)
{
    return (struct exec_spec){.restart = {.attempts = attempts,
                                          .interval_ns = 60 * second,
                                          .delay_ns = 4 * second,
                                          .mode = mode,
                                          .on_success = true},
                              .kill_signal = 2,
                              .kill_timeout_ns = 5 * second};
}

static struct life_output feed(struct life *life, const struct exec_spec *spec,
                               enum life_event event, uint64_t now_ns)
{
    struct life_input in = {.event = event, .now_ns = now_ns, .random = 7};
    struct life_output out;

    life_step(life, spec, &in, &out);
    return out;
}

static void fail_once(struct life *life, const struct exec_spec *spec, uint64_t now_ns,
                      struct life_output *out)
{
    (void)feed(life, spec, LIFE_EV_STARTED, now_ns);
    *out = feed(life, spec, LIFE_EV_EXITED, now_ns);
    assert_true(out->actions & LIFE_REAP);
    *out = feed(life, spec, LIFE_EV_REAPED, now_ns);
}

static void test_attempts_used_up(void **state)
{
    struct exec_spec spec = spec_of(2, SPEC_RESTART_FAIL);
    struct life_output out;
    struct life life;

    (void)state;
    life_init(&life);
    for (int i = 0; i < 2; i++) {
        fail_once(&life, &spec, second, &out);
        assert_int_equal(life.state, LIFE_BACKOFF);
        assert_true(out.timer_ns >= 4 * second && out.timer_ns <= 5 * second);
        assert_int_equal(out.notes[0].type, TASK_EVENT_RESTARTING);
        out = feed(&life, &spec, LIFE_EV_TIMER, second);
        assert_true(out.actions & LIFE_LAUNCH);
    }
    fail_once(&life, &spec, second, &out);
    assert_int_equal(life.state, LIFE_DEAD);
    assert_true(life.failed);
    assert_true(out.actions & LIFE_FINISH);
    assert_int_equal(out.notes[0].type, TASK_EVENT_NOT_RESTARTING);
}

static void test_window_reopens(void **state)
{
    struct exec_spec spec = spec_of(1, SPEC_RESTART_FAIL);
    struct life_output out;
    struct life life;

    (void)state;
    life_init(&life);
    for (uint64_t i = 0; i < 5; i++) {
        fail_once(&life, &spec, i * 61 * second, &out);
        assert_int_equal(life.state, LIFE_BACKOFF);
        (void)feed(&life, &spec, LIFE_EV_TIMER, i * 61 * second);
    }
}

static void test_mode_delay_waits_for_the_window(void **state)
{
    struct exec_spec spec = spec_of(1, SPEC_RESTART_DELAY);
    struct life_output out;
    struct life life;

    (void)state;
    life_init(&life);
    fail_once(&life, &spec, 10 * second, &out);
    (void)feed(&life, &spec, LIFE_EV_TIMER, 14 * second);
    fail_once(&life, &spec, 20 * second, &out);
    assert_int_equal(life.state, LIFE_BACKOFF);
    assert_true(out.timer_ns == 50 * second);
}

static void test_success_ends_a_batch_task(void **state)
{
    struct exec_spec spec = spec_of(3, SPEC_RESTART_FAIL);
    struct life_input exited = {.event = LIFE_EV_EXITED, .exit_ok = true};
    struct life_output out;
    struct life life;

    (void)state;
    spec.restart.on_success = false;
    life_init(&life);
    (void)feed(&life, &spec, LIFE_EV_STARTED, 0);
    life_step(&life, &spec, &exited, &out);
    out = feed(&life, &spec, LIFE_EV_REAPED, 0);
    assert_int_equal(life.state, LIFE_DEAD);
    assert_false(life.failed);
    assert_int_equal(out.n_notes, 0);
}

static void test_stop_sequence(void **state)
{
    struct exec_spec spec = spec_of(1, SPEC_RESTART_FAIL);
    struct life_output out;
    struct life life;

    (void)state;
    spec.shutdown_delay_ns = 3 * second;
    life_init(&life);
    (void)feed(&life, &spec, LIFE_EV_STARTED, 0);
    out = feed(&life, &spec, LIFE_EV_STOP, 0);
    assert_int_equal(life.state, LIFE_DELAYING);
    assert_true(out.timer_ns == 3 * second);
    assert_false(out.actions & LIFE_SIGNAL);
    out = feed(&life, &spec, LIFE_EV_TIMER, 0);
    assert_int_equal(life.state, LIFE_STOPPING);
    assert_true(out.actions & LIFE_SIGNAL);
    assert_true(out.timer_ns == 5 * second);
    out = feed(&life, &spec, LIFE_EV_TIMER, 0);
    assert_true(out.actions & LIFE_KILL);
    (void)feed(&life, &spec, LIFE_EV_EXITED, 0);
    out = feed(&life, &spec, LIFE_EV_REAPED, 0);
    assert_int_equal(life.state, LIFE_DEAD);
    assert_false(life.failed);
    assert_int_equal(out.notes[0].type, TASK_EVENT_KILLED);
}

static void test_setup_failure(void **state)
{
    struct exec_spec spec = spec_of(3, SPEC_RESTART_FAIL);

    (void)state;
    for (int passes = 0; passes < 2; passes++) {
        struct life_input failed = {.event = LIFE_EV_FAILED, .may_pass = passes};
        struct life_output out;
        struct life life;

        life_init(&life);
        life_step(&life, &spec, &failed, &out);
        assert_true(out.actions & LIFE_REAP);
        (void)feed(&life, &spec, LIFE_EV_REAPED, 0);
        assert_int_equal(life.state, passes ? LIFE_BACKOFF : LIFE_DEAD);
        assert_int_equal(life.failed, !passes);
    }
}

static void test_restart_on_demand_is_free(void **state)
{
    struct exec_spec spec = spec_of(0, SPEC_RESTART_FAIL);
    struct life_output out;
    struct life life;

    (void)state;
    life_init(&life);
    for (int i = 0; i < 10; i++) {
        (void)feed(&life, &spec, LIFE_EV_STARTED, 0);
        out = feed(&life, &spec, LIFE_EV_RESTART, 0);
        assert_true(out.actions & LIFE_SIGNAL);
        (void)feed(&life, &spec, LIFE_EV_EXITED, 0);
        out = feed(&life, &spec, LIFE_EV_REAPED, 0);
        assert_int_equal(life.state, LIFE_STARTING);
        assert_true(out.actions & LIFE_LAUNCH);
        assert_int_equal(out.notes[0].type, TASK_EVENT_RESTARTING);
        assert_int_equal(out.notes[0].delay_ns, 0);
    }
}

/* What a supervisor would have of a task, by the actions it was told. */
struct model {
    bool launched; /* an attempt exists that was not reaped */
    bool reaping;
    bool timer;
    bool stop_asked;
    unsigned int restarts_by_policy;
};

static unsigned int seed = 1;

static bool legal(const struct life *life, const struct model *m, enum life_event event)
{
    switch (event) {
    case LIFE_EV_STARTED:
    case LIFE_EV_FAILED:
        return m->launched && !m->reaping &&
               (life->state == LIFE_STARTING || life->state == LIFE_KILLING);
    case LIFE_EV_EXITED:
        return m->launched && !m->reaping;
    case LIFE_EV_REAPED:
        return m->reaping;
    case LIFE_EV_TIMER:
        return m->timer;
    default:
        return true;
    }
}

static void apply(struct model *m, const struct life *life, const struct life_output *out)
{
    if (out->actions & LIFE_DISARM)
        m->timer = false;
    if (out->actions & LIFE_ARM)
        m->timer = true;
    if (out->actions & LIFE_REAP) {
        assert_true(m->launched); /* nothing is reaped twice */
        m->reaping = true;
    }
    if (out->actions & LIFE_LAUNCH) {
        assert_false(m->launched);   /* never two attempts at once */
        assert_false(m->stop_asked); /* a stopped task is never started again */
        m->launched = true;
    }
    assert_int_equal(life->state == LIFE_DEAD, (out->actions & LIFE_FINISH) != 0);
    if (life->state == LIFE_DEAD)
        assert_false(m->launched || m->timer);
    /* Something will always happen next: a process to die, clearing to end, or a timer. */
    if (life->state != LIFE_DEAD)
        assert_true(m->launched || m->timer);
}

static void walk(struct exec_spec *spec)
{
    struct model m = {.launched = true};
    struct life life;

    life_init(&life);
    for (int step = 0; step < 200 && life.state != LIFE_DEAD; step++) {
        struct life_input in = {.event = (enum life_event)(rand_r(&seed) % LIFE_EVENT_N),
                                .now_ns = (uint64_t)step * second,
                                .random = (uint32_t)rand_r(&seed),
                                .exit_ok = rand_r(&seed) % 2,
                                .may_pass = rand_r(&seed) % 2};
        struct life_output out;

        if (!legal(&life, &m, in.event))
            continue;
        if (in.event == LIFE_EV_TIMER)
            m.timer = false;
        if (in.event == LIFE_EV_STOP)
            m.stop_asked = true;
        if (in.event == LIFE_EV_REAPED)
            m.launched = m.reaping = false;
        life_step(&life, spec, &in, &out);
        apply(&m, &life, &out);
    }
    if (m.stop_asked) /* from here on every stop ends, if what was launched dies */
        for (int i = 0; i < 4 && life.state != LIFE_DEAD; i++)
            (void)feed(&life, spec, m.launched && !m.reaping ? LIFE_EV_EXITED : LIFE_EV_REAPED,
                       1000 * second),
                m.reaping = true;
    if (m.stop_asked)
        assert_int_equal(life.state, LIFE_DEAD);
}

static void test_random_walks(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct exec_spec spec = spec_of((uint32_t)rand_r(&seed) % 4, rand_r(&seed) % 2);

        spec.restart.on_success = rand_r(&seed) % 2;
        spec.shutdown_delay_ns = rand_r(&seed) % 2 ? second : 0;
        spec.kill_timeout_ns = rand_r(&seed) % 2 ? second : 0;
        walk(&spec);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attempts_used_up),
        cmocka_unit_test(test_window_reopens),
        cmocka_unit_test(test_mode_delay_waits_for_the_window),
        cmocka_unit_test(test_success_ends_a_batch_task),
        cmocka_unit_test(test_stop_sequence),
        cmocka_unit_test(test_setup_failure),
        cmocka_unit_test(test_restart_on_demand_is_free),
        cmocka_unit_test(test_random_walks),
    };

    if (argc > 1)
        seed = (unsigned int)strtoul(argv[1], NULL, 10);
    (void)fprintf(stderr, "seed %u\n", seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
