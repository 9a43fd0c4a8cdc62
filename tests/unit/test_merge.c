/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "logrotate/merge.h"
#include "tests/unit/logdir.h"

static struct logdir d;
static struct log_merge m;
static struct err e;

static int setup(void **state)
{
    (void)state;
    logdir_make(&d);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    merge_close(&m);
    logdir_remove(&d);
    return 0;
}

/* Appends, as if it were `second`. */
static void put(const char *file, const char *text, time_t second)
{
    const struct timespec times[2] = {{.tv_sec = second}, {.tv_sec = second}};

    logdir_put(&d, file, text, strlen(text));
    assert_int_equal(utimensat(d.fd, file, times, 0), 0);
}

static void open_both(void)
{
    static const struct reader_start from_start = {.origin = READER_START};
    const struct reader_start *const starts[] = {&from_start, &from_start};

    assert_int_equal(merge_open(&m, d.fd, "t", starts, &e), 0);
}

/* All there is, read in pieces of `size`; bytes of standard error in capitals. */
static void expect(const char *text, size_t size)
{
    enum merge_stream stream = MERGE_STREAM_N;
    char all[512] = "";
    size_t at = 0, n;
    int rc;

    while ((rc = merge_read(&m, all + at, size, &n, &stream, &e)) != READER_IDLE) {
        assert_true(rc == READER_BUSY || (rc == READER_DATA && n));
        for (size_t i = 0; rc == READER_DATA && i < n; i++, at++)
            if (stream == MERGE_STDERR && all[at] >= 'a')
                all[at] = (char)(all[at] - 32);
        assert_true(at + size < sizeof(all));
    }
    all[at] = '\0';
    assert_string_equal(all, text);
}

static void test_segments_in_the_order_they_were_finished(void **state)
{
    (void)state;
    put("t.stdout.0", "a\nb\n", 10);
    put("t.stdout.1", "c\n", 40);
    put("t.stdout.2", "d\n", 50);
    put("t.stderr.0", "x\n", 20);
    put("t.stderr.1", "y\n", 30);
    put("t.stderr.2", "z\n", 60);
    open_both();
    expect("a\nb\nX\nY\nc\nd\nZ\n", 100);
}

static void test_followed_in_the_order_of_writes(void **state)
{
    (void)state;
    put("t.stdout.0", "", 1);
    put("t.stderr.0", "", 1);
    open_both();
    expect("", 100);
    put("t.stderr.0", "x\n", 2);
    put("t.stdout.0", "a\n", 3);
    expect("X\na\n", 100);
    put("t.stdout.0", "b\n", 4);
    put("t.stderr.0", "y\n", 5);
    expect("b\nY\n", 100);
}

static void test_lines_are_not_interrupted(void **state)
{
    (void)state;
    put("t.stdout.0", "one\ntwo two\nthree\n", 50);
    put("t.stderr.0", "x\nyyyyyyyy\nz\n", 10);
    open_both();
    expect("X\nYYYYYYYY\nZ\none\ntwo two\nthree\n", 6);
    put("t.stdout.0", "wait ", 60); /* the rest of a line is late */
    put("t.stderr.0", "w\n", 70);
    expect("wait W\n", 6);
    put("t.stderr.0", "v\n", 80);
    put("t.stdout.0", "here\nand\n", 90);
    expect("V\nhere\nand\n", 6);
}

/* While bytes of both are there, and the one that is read is written to all the time. */
static void test_takes_turns_at_line_ends(void **state)
{
    enum merge_stream stream = MERGE_STREAM_N;
    char buf[8];
    size_t n;

    (void)state;
    put("t.stdout.0", "111\n222\n333\n", 10);
    put("t.stderr.0", "xx\n", 20);
    open_both();
    do
        assert_true(merge_read(&m, buf, 6, &n, &stream, &e) >= 0);
    while (stream != MERGE_STDOUT || m.unfinished == 0);
    assert_memory_equal(buf, "111\n22", 6);
    put("t.stdout.0", "444\n", 30);
    expect("2\nXX\n333\n444\n", 6);
}

static void test_a_long_line_holds_nobody_up(void **state)
{
    enum merge_stream stream = MERGE_STREAM_N;
    static char buf[50000];
    size_t n, total = 0;

    (void)state;
    memset(buf, 'a', sizeof(buf) - 1);
    for (int i = 0; i < 4; i++)
        put("t.stdout.0", buf, 10);
    put("t.stderr.0", "x\n", 20);
    open_both();
    while (stream != MERGE_STDERR) {
        int rc = merge_read(&m, buf, 40000, &n, &stream, &e);

        assert_true(rc == READER_BUSY || rc == READER_DATA);
        if (rc == READER_DATA)
            total += n;
        put("t.stdout.0", "", 30); /* written to all the time */
    }
    assert_true(total < 4 * (sizeof(buf) - 1));
}

static void test_one_stream(void **state)
{
    static const struct reader_start from_start = {.origin = READER_START};
    const struct reader_start *const starts[] = {NULL, &from_start};

    (void)state;
    put("t.stdout.0", "a\n", 1);
    put("t.stderr.0", "x\n", 2);
    assert_int_equal(merge_open(&m, d.fd, "t", starts, &e), 0);
    assert_int_equal(merge_stop_at_end(&m, &e), 0);
    put("t.stderr.0", "y\n", 3);
    expect("X\n", 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_segments_in_the_order_they_were_finished, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_followed_in_the_order_of_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lines_are_not_interrupted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_takes_turns_at_line_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_long_line_holds_nobody_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_stream, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
