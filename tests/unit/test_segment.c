/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "logrotate/segment.h"
#include "tests/unit/logdir.h"

static void test_number(void **state)
{
    static const struct {
        const char *file, *name;
        int64_t number;
    } cases[] = {
        {"a.stdout.0", "a.stdout", 0},
        {"a.stdout.17", "a.stdout", 17},
        {"a.stdout.999999999999999", "a.stdout", SEGMENT_NUMBER_MAX},
        {"a.stdout.1000000000000000", "a.stdout", -1},
        {"a.stdout.99999999999999999999999999", "a.stdout", -1},
        {"a.stdout.0", "a", -1},
        {"a.stdout.0.gz", "a.stdout", -1},
        {"a.stdout.stdout.0", "a.stdout", -1},
        {"a.stdout.00", "a.stdout", -1},
        {"a.stdout.01", "a.stdout", -1},
        {"a.stdout.-1", "a.stdout", -1},
        {"a.stdout.+1", "a.stdout", -1},
        {"a.stdout. 1", "a.stdout", -1},
        {"a.stdout.", "a.stdout", -1},
        {"a.stdout", "a.stdout", -1},
        {"a.stdout1", "a.stdout", -1},
        {"b.stdout.1", "a.stdout", -1},
        {"", "a.stdout", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (segment_number(cases[i].file, cases[i].name) != cases[i].number)
            fail_msg("%s of %s", cases[i].file, cases[i].name);
}

static void test_file_is_number_backwards(void **state)
{
    static const int64_t numbers[] = {0, 9, 10, 1234567, SEGMENT_NUMBER_MAX};
    char file[SEGMENT_NAME_MAX + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        segment_file(file, "web.stderr", numbers[i]);
        assert_int_equal(segment_number(file, "web.stderr"), numbers[i]);
    }
    segment_file(file, "web.stderr", 10);
    assert_string_equal(file, "web.stderr.10");
}

static void test_forms(void **state)
{
    static const struct {
        const char *file, *name;
        int64_t number;
        enum segment_form form;
    } cases[] = {
        {"a.stdout.3", "a.stdout", 3, SEGMENT_PLAIN},
        {"a.stdout.3.gz", "a.stdout", 3, SEGMENT_GZIP},
        {".a.stdout.3.tmp", "a.stdout", 3, SEGMENT_PARTIAL},
        {".a.stdout.3", ".a.stdout", 3, SEGMENT_PLAIN},
        {"..a.stdout.3.tmp", ".a.stdout", 3, SEGMENT_PARTIAL},
    };
    static const char *const none[] = {
        "a.stdout.3.tmp",   ".a.stdout.3",      ".a.stdout.3.gz", "a.stdout.3.gz.gz", "a.stdout.gz",
        ".a.stdout.3.tmp2", "..a.stdout.3.tmp", "a.stdout.03.gz", ".a.stdout..tmp",   ".",
    };
    char file[SEGMENT_NAME_MAX + 1], longest[SEGMENT_STREAM_MAX];
    enum segment_form form;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (segment_parse(cases[i].file, cases[i].name, &form) != cases[i].number ||
            form != cases[i].form)
            fail_msg("%s of %s", cases[i].file, cases[i].name);
        segment_file_as(file, cases[i].name, cases[i].number, form);
        assert_string_equal(file, cases[i].file);
    }
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        if (segment_parse(none[i], "a.stdout", &form) != -1)
            fail_msg("%s", none[i]);
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    segment_file_as(file, longest, SEGMENT_NUMBER_MAX, SEGMENT_PARTIAL);
    assert_true(strlen(file) <= SEGMENT_NAME_MAX);
}

static void test_check_name(void **state)
{
    char longest[SEGMENT_STREAM_MAX + 1];
    struct err e;

    (void)state;
    memset(longest, 'x', sizeof(longest));
    longest[SEGMENT_STREAM_MAX] = '\0';
    assert_int_equal(segment_check_name(longest, &e), -EINVAL);
    longest[SEGMENT_STREAM_MAX - 1] = '\0';
    assert_int_equal(segment_check_name(longest, &e), 0);
    assert_int_equal(segment_check_name("", &e), -EINVAL);
    assert_int_equal(segment_check_name("../etc.stdout", NULL), -EINVAL);
}

static void test_list(void **state)
{
    struct logdir d;
    int64_t *numbers = NULL;
    size_t n = 99;
    struct err e;

    (void)state;
    logdir_make(&d);
    assert_int_equal(segment_list(d.fd, "t.stdout", &numbers, &n, &e), 0);
    assert_int_equal(n, 0);
    assert_null(numbers);

    for (int i = 100; i >= 0; i--) {
        char file[SEGMENT_NAME_MAX + 1];

        segment_file(file, "t.stdout", i);
        logdir_put(&d, file, "", 0);
        segment_file(file, "t.stderr", i);
        logdir_put(&d, file, "", 0);
    }
    logdir_put(&d, "t.stdout.7.gz", "", 0); /* about to replace t.stdout.7 */
    logdir_put(&d, ".t.stdout.200.tmp", "", 0);
    assert_int_equal(unlinkat(d.fd, "t.stdout.3", 0), 0);
    logdir_put(&d, "t.stdout.3.gz", "", 0);
    assert_int_equal(mkdirat(d.fd, "t.stdout.101", 0700), 0);
    assert_int_equal(symlinkat("t.stdout.0", d.fd, "t.stdout.102"), 0);
    assert_int_equal(mkfifoat(d.fd, "t.stdout.103", 0600), 0);
    assert_int_equal(segment_list(d.fd, "t.stdout", &numbers, &n, &e), 0);
    assert_int_equal(n, 101);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(numbers[i], i);
    free(numbers);
    logdir_remove(&d);

    assert_int_equal(segment_list(-1, "t.stdout", &numbers, &n, &e), -EBADF);
    assert_non_null(strstr(e.text, "t.stdout"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number), cmocka_unit_test(test_file_is_number_backwards),
        cmocka_unit_test(test_forms),  cmocka_unit_test(test_check_name),
        cmocka_unit_test(test_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
