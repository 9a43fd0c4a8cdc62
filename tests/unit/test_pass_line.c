/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/cleanup.h"
#include "shared/clock.h"
#include "tests/unit/pump_fixture.h"
#include "tests/unit/syscalls.h"

static uint64_t long_ago(void)
{
    return clock_ticks() - ((uint64_t)1 << 32);
}

static void test_a_line_passes_by_the_loop(void **state)
{
    char large[2 * PUMP_SMALL];
    autofd int fd = attach();

    (void)state;
    spec.logs.max_file_size = 100000;
    pump.writer.max_size = 100000;
    put(fd, "one\n");
    assert_true(pass_line());
    expect("one\n");
    assert_true(pass_line()); /* nothing there */

    put(fd, "two\n");
    pump.checked_ticks = long_ago();
    assert_true(pass()); /* has looked for itself */
    assert_true(clock_ticks() - pump.checked_ticks < (uint64_t)1 << 32);
    expect("one\ntwo\n");

    pump.writer.size = pump.writer.max_size;
    put(fd, "three\n");
    assert_false(pass_line()); /* where to cut is the writer's to decide */
    assert_int_equal(pump.taken, 8);
    turn();
    assert_int_equal(heard[PUMP_ROTATED], 2);
    expect("one\ntwo\nthree\n");

    memset(large, '\n', sizeof(large));
    assert_int_equal(write(fd, large, sizeof(large)), sizeof(large));
    assert_false(pass_line()); /* more than a line is there */
    assert_true(pump.taken > 14);
    turn();
    assert_non_null(pump.buf);
    put(fd, "four\n");
    assert_false(pass_line());
    assert_int_equal(pump.taken, 14 + sizeof(large));
    turn();
    assert_int_equal(pump.taken, 19 + sizeof(large));
}

static void test_a_removed_segment_is_seen_at_a_line(void **state)
{
    autofd int fd = attach();

    (void)state;
    spec.logs.max_file_size = 100000;
    pump.writer.max_size = 100000;
    put(fd, "one\n");
    pump.checked_ticks = long_ago();
    assert_true(pass());

    assert_int_equal(unlinkat(logs.fd, NAME ".0", 0), 0);
    put(fd, "two\n");
    assert_true(pass_line()); /* not looked at so soon */
    put(fd, "three\n");
    pump.checked_ticks = long_ago();
    assert_false(pass());
    pump.checked_at = 0; /* for the loop it was long ago, too */
    turn();
    expect("three\n");
}

static void test_now_and_then_the_loop_looks_for_more(void **state)
{
    autofd int fd = attach();
    int passed = 0;

    (void)state;
    spec.logs.max_file_size = 100000;
    pump.writer.max_size = 100000;
    do {
        put(fd, "line\n");
        pump.checked_ticks = long_ago();
    } while (pass() && ++passed < 100);
    assert_in_range(passed, 1, 5);
    pump.checked_at = 0;
    turn();
    assert_true(pump.checked_at > 0);
    assert_int_equal(pump.quick_checks, 0);
    assert_int_equal(pump.taken, 5 * (passed + 1));
}

/* A directory that was moved is found by the pump only. */
static void test_after_a_long_time_the_loop_looks(void **state)
{
    autofd int fd = attach();

    (void)state;
    spec.logs.max_file_size = 100000;
    pump.writer.max_size = 100000;
    put(fd, "one\n");
    pump.checked_ticks = long_ago();
    assert_true(pass());
    put(fd, "two\n");
    pump.checked_ticks -= (uint64_t)20 << 32; /* more than ten seconds */
    assert_false(pass());
    turn();
    expect("one\ntwo\n");
}

static void test_a_line_that_cannot_be_written_does_not_pass(void **state)
{
    autofd int fd = attach();

    (void)state;
    spec.logs.on_full = SPEC_ON_FULL_DROP;
    fault = ENOSPC;
    put(fd, "one\n");
    assert_false(pass_line());
    assert_int_equal(heard[PUMP_FAILED], 1);
    fault = SYSCALL_GO_ON;
    put(fd, "two\n");
    assert_false(pass_line()); /* left to the loop, whose clock tells when to try again */
    turn();
    expect("two\n");
    assert_int_equal(lost_bytes, 4);

    close_fd(&fd);
    assert_false(pass_line());
    turn();
    assert_int_equal(pump.fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, pump_set_up, pump_tear_down)
        TEST(test_a_line_passes_by_the_loop),
        TEST(test_a_removed_segment_is_seen_at_a_line),
        TEST(test_now_and_then_the_loop_looks_for_more),
        TEST(test_after_a_long_time_the_loop_looks),
        TEST(test_a_line_that_cannot_be_written_does_not_pass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
