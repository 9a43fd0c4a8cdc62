/* SPDX-License-Identifier: MIT
 *
 * Nobody writes here: which segment is the live one is said by the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "executor/logs/housekeeper.h"
#include "shared/clock.h"
#include "tests/unit/logdir.h"

#define NAME "h.stdout"

static const uint64_t day_ns = 86400000000000;

static struct logdir d;
static struct ev_loop *loop;
static struct housekeeper keeper;
static struct spec_logs limits;
static struct log_dir dir;
static struct pump pump;
static uint64_t put_back_ns; /* the wall clock */

uint64_t __real_clock_now_ns(clockid_t id);
uint64_t __wrap_clock_now_ns(clockid_t id);

uint64_t __wrap_clock_now_ns(clockid_t id)
{
    return __real_clock_now_ns(id) - (id == CLOCK_REALTIME ? put_back_ns : 0);
}

static void on_say(void *arg, const char *text)
{
    (void)arg;
    fail_msg("%s", text);
}

static int set_up(void **state)
{
    (void)state;
    logdir_make(&d);
    dir = (struct log_dir){.fd = d.fd};
    pump = (struct pump){.name = NAME, .writer = {.number = 0}};
    limits = (struct spec_logs){.max_files = 10, .compress = SPEC_COMPRESS_GZIP};
    put_back_ns = 0;
    loop = ev_loop_new(EVFLAG_NOENV);
    housekeeper_init(&keeper, loop, &limits, &dir, &pump, 1, on_say, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    housekeeper_deinit(&keeper);
    ev_loop_destroy(loop);
    logdir_remove(&d);
    return 0;
}

/* The live segment is finished, and it is looked at. */
static void rotate(void)
{
    char file[SEGMENT_NAME_MAX + 1];

    segment_file(file, NAME, pump.writer.number++);
    logdir_put(&d, file, "text\n", 5);
    housekeeper_stir(&keeper);
    while (keeper.stirred)
        ev_run(loop, EVRUN_ONCE);
}

static void await_child(void)
{
    assert_true(keeper.child > 0);
    while (keeper.child)
        ev_run(loop, EVRUN_ONCE);
}

static void test_compresses_what_is_finished(void **state)
{
    (void)state;
    rotate();
    await_child();
    assert_true(logdir_has(&d, NAME ".0.gz"));
    assert_false(logdir_has(&d, NAME ".0"));
    assert_false(ev_is_active(&keeper.due)); /* nothing wakes it for nothing */
}

static void test_the_clock_is_put_back(void **state)
{
    (void)state;
    rotate();
    await_child();
    put_back_ns = day_ns;
    rotate();
    assert_true(ev_is_active(&keeper.due)); /* there is a pause between children */
    assert_true(ev_timer_remaining(loop, &keeper.due) < 2.);
    while (!keeper.child)
        ev_run(loop, EVRUN_ONCE);
    await_child();
    assert_true(logdir_has(&d, NAME ".1.gz"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_compresses_what_is_finished, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_clock_is_put_back, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
