/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "logrotate/trim.h"
#include "tests/unit/logdir.h"
#include "tests/unit/syscalls.h"

#define SECOND 1000000000ULL
#define NOW (1700000000 * SECOND)

static const struct trim_stream streams[] = {{"t.stdout", 9}, {"t.stderr", 2}};
static struct logdir d;

static int setup(void **state)
{
    (void)state;
    logdir_make(&d);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    syscall_verdict = NULL;
    logdir_remove(&d);
    return 0;
}

/* A file of 100 bytes that was last written `age` seconds before NOW. */
static void put(const char *file, int64_t age)
{
    static const char data[100];
    struct timespec times[2] = {{.tv_sec = (time_t)(NOW / SECOND) - age}};

    times[1] = times[0];
    logdir_put(&d, file, data, sizeof(data));
    assert_int_equal(utimensat(d.fd, file, times, 0), 0);
}

static struct trim_result look(const struct trim_rules *rules)
{
    struct trim_result result = {0};

    assert_int_equal(trim_look(d.fd, rules, streams, 2, NOW, &result), 0);
    return result;
}

static void test_age(void **state)
{
    const struct trim_rules rules = {.max_age_ns = 60 * SECOND};
    struct trim_result result;

    (void)state;
    put("t.stdout.5", 61);
    put("t.stdout.6.gz", 60);
    put("t.stdout.7", 59);
    put("t.stdout.8", -1000); /* the clock was put back */
    put("t.stdout.9", 1000);
    put("t.stderr.2", 1000);
    put("t.stderr.1", 1000);
    put("other.stdout.0", 1000);
    result = look(&rules);
    assert_false(logdir_has(&d, "t.stdout.5"));
    assert_false(logdir_has(&d, "t.stdout.6.gz"));
    assert_true(logdir_has(&d, "t.stdout.7"));
    assert_true(logdir_has(&d, "t.stdout.8"));
    assert_true(logdir_has(&d, "t.stdout.9"));
    assert_true(logdir_has(&d, "t.stderr.2"));
    assert_false(logdir_has(&d, "t.stderr.1"));
    assert_true(logdir_has(&d, "other.stdout.0"));
    assert_false(result.compress);
    assert_true(result.next_ns == NOW + SECOND);
}

/* What was written before the clock was put back is as old as its number. */
static void test_the_clock_was_put_back(void **state)
{
    const struct trim_rules rules = {.max_total_bytes = 500};

    (void)state;
    for (int i = 0; i < 9; i++) {
        char file[32];

        (void)snprintf(file, sizeof(file), "t.stdout.%d", i);
        put(file, i < 4 ? -7200 + i : 100 - i);
    }
    put("t.stdout.9", 0);
    (void)look(&rules);
    for (int i = 0; i < 10; i++) {
        char file[32];

        (void)snprintf(file, sizeof(file), "t.stdout.%d", i);
        assert_int_equal(logdir_has(&d, file), i >= 5);
    }
}

static void test_nothing_to_come(void **state)
{
    const struct trim_rules rules = {
        .max_age_ns = SECOND, .compress = true, .compress_after_ns = SECOND};
    struct trim_result result;

    (void)state;
    put("t.stdout.9", 1000);
    put(".t.stdout.4.tmp", 1000);
    result = look(&rules);
    assert_false(result.compress);
    assert_true(result.next_ns == 0);
}

static void test_compression(void **state)
{
    const struct trim_rules rules = {.compress = true, .compress_after_ns = 60 * SECOND};

    (void)state;
    put("t.stdout.1.gz", 1000);
    put("t.stdout.2", 40);
    put("t.stdout.3", 30);
    assert_false(look(&rules).compress);
    assert_true(look(&rules).next_ns == NOW + 20 * SECOND);
    put("t.stderr.0", 60);
    assert_true(look(&rules).compress);
    assert_true(look(&rules).next_ns == NOW + 20 * SECOND);
}

static void test_count(void **state)
{
    const struct trim_rules rules = {.max_files = 3};

    (void)state;
    put("t.stdout.6.gz", 0);
    put("t.stdout.7", 0);
    put("t.stderr.0", 0);
    (void)look(&rules);
    assert_false(logdir_has(&d, "t.stdout.6.gz"));
    assert_true(logdir_has(&d, "t.stdout.7"));
    assert_true(logdir_has(&d, "t.stderr.0"));
}

/* The oldest go first, of whichever stream; the live ones count and stay. */
static void test_total(void **state)
{
    struct trim_rules rules = {.max_total_bytes = 450};

    (void)state;
    put("t.stdout.6", 50);
    put("t.stdout.7.gz", 30);
    put("t.stdout.8", 10);
    put("t.stdout.9", 90);
    put("t.stderr.1", 40);
    put("t.stderr.2", 90);
    (void)look(&rules);
    assert_false(logdir_has(&d, "t.stdout.6"));
    assert_false(logdir_has(&d, "t.stderr.1"));
    assert_true(logdir_has(&d, "t.stdout.7.gz"));
    rules.max_total_bytes = 1;
    (void)look(&rules);
    assert_false(logdir_has(&d, "t.stdout.7.gz"));
    assert_false(logdir_has(&d, "t.stdout.8"));
    assert_true(logdir_has(&d, "t.stdout.9"));
    assert_true(logdir_has(&d, "t.stderr.2"));
}

static int refuse_first_unlink(const char *name)
{
    static int n;

    return strcmp(name, "unlinkat") == 0 && n++ == 0 ? EPERM : SYSCALL_GO_ON;
}

static void test_what_cannot_be_removed_is_in_nobodys_way(void **state)
{
    const struct trim_rules rules = {.max_total_bytes = 350};

    (void)state;
    put("t.stdout.6", 50);
    put("t.stdout.7", 40);
    put("t.stdout.8", 30);
    put("t.stdout.9", 20);
    assert_int_equal(mkdirat(d.fd, "t.stdout.2", 0700), 0);
    assert_int_equal(symlinkat("t.stdout.9", d.fd, "t.stdout.3"), 0);
    syscall_verdict = refuse_first_unlink;
    (void)look(&rules);
    assert_true(logdir_has(&d, "t.stdout.6"));
    assert_true(logdir_has(&d, "t.stdout.7")); /* 400 bytes, 100 of which nobody can help */
    put("t.stdout.5", 60);
    (void)look(&rules);
    assert_false(logdir_has(&d, "t.stdout.5"));
}

static void test_an_unknown_live_segment(void **state)
{
    const struct trim_stream unknown[] = {{"t.stdout", -1}};
    const struct trim_rules rules = {.max_age_ns = 1, .max_total_bytes = 1};
    struct trim_result result;

    (void)state;
    put("t.stdout.6", 50);
    assert_int_equal(trim_look(d.fd, &rules, unknown, 1, NOW, &result), 0);
    assert_true(logdir_has(&d, "t.stdout.6"));
    assert_int_equal(trim_look(-1, &rules, streams, 2, NOW, &result), -EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_age, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_clock_was_put_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_to_come, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compression, setup, teardown),
        cmocka_unit_test_setup_teardown(test_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_total, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_removed_is_in_nobodys_way, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_an_unknown_live_segment, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
