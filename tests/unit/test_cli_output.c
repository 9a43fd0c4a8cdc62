/* SPDX-License-Identifier: MIT
 *
 * How the command line shows sizes, times and tables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/cleanup.h"
#include "tools/cleat/output.h"
#include "tools/cleat/progress.h"

static void test_sizes(void **state)
{
    static const struct {
        uint64_t size;
        const char *text;
    } cases[] = {{0, "0 B"},           {60, "60 B"},          {1023, "1023 B"},  {1024, "1.0 KiB"},
                 {4096, "4.0 KiB"},    {10188, "9.9 KiB"},    {10240, "10 KiB"}, {12288, "12 KiB"},
                 {1 << 20, "1.0 MiB"}, {UINT64_MAX, "16 EiB"}};
    char buf[SIZE_TEXT];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(format_size(cases[i].size, buf), cases[i].text);
}

static void test_times(void **state)
{
    char buf[TIME_TEXT];

    (void)state;
    assert_string_equal(format_time(1603821639999999999, buf), "2020-10-27T18:00:39Z");
    assert_string_equal(format_time(0, buf), "-");
    assert_string_equal(format_time_text("2020-10-27T18:00:39.12Z", buf), "2020-10-27T18:00:39Z");
    assert_string_equal(format_time_text("2020-10-27T18:00:39Z", buf), "2020-10-27T18:00:39Z");
    assert_string_equal(format_time_text("0001-01-01T00:00:00Z", buf), "-");
    assert_string_equal(format_time_text("", buf), "-");
    assert_string_equal(format_time_text("a text that is far too long to be a time", buf), "-");
}

static void check_progress(long long bytes, long long total, long long rate, const char *expected)
{
    json_t *task = json_pack("{s:{s:I, s:I, s:I}}", "Artifacts", "Bytes", (json_int_t)bytes,
                             "Total", (json_int_t)total, "Rate", (json_int_t)rate);
    char buf[PROGRESS_TEXT];

    assert_string_equal(progress_text(task, buf), expected);
    json_decref(task);
}

static void test_progress(void **state)
{
    json_t *task = json_object();
    char buf[PROGRESS_TEXT];

    (void)state;
    assert_null(progress_text(task, buf));
    json_decref(task);
    check_progress(0, 0, 0, "0 B, 0 B/s");
    check_progress(0, 100, 0, "[--------------------]   0%  0 B of 100 B, 0 B/s");
    check_progress(1 << 20, 4 << 20, 1 << 19,
                   "[#####---------------]  25%  1.0 MiB of 4.0 MiB, 512 KiB/s, 6s left");
    check_progress(100, 100, 7, "[####################] 100%  100 B of 100 B, 7 B/s, 0s left");
    check_progress(101, 100, 7, "101 B, 7 B/s");
}

/* What `print` writes to stdout; the caller frees. */
static char *printed(void (*print)(void))
{
    FILE *real = stdout;
    char *text = NULL;
    size_t size;

    stdout = open_memstream(&text, &size);
    print();
    (void)fclose(stdout);
    stdout = real;
    return text;
}

static void print_table(void)
{
    struct table t;

    table_init(&t, 3, (const char *const[]){"A", "Long heading", "Last"});
    TABLE_ROW(&t, "\xc3\xa9\xc3\xa9\xc3\xa9", NULL, "x");
    TABLE_ROW(&t, "b", "\033[2J\n",
              "\xc2\x9b"
              "1m\x7f");
    table_print(&t);
}

static void test_table(void **state)
{
    autofree char *text = printed(print_table);

    (void)state;
    assert_string_equal(text, "A    Long heading  Last\n"
                              "\xc3\xa9\xc3\xa9\xc3\xa9                x\n"
                              "b    ?[2J?         ??1m?\n");
}

static void print_some_pairs(void)
{
    print_pairs((const char *const[]){"ID", "x\ty", "Status", "running"}, 2);
}

static void test_pairs(void **state)
{
    autofree char *text = printed(print_some_pairs);

    (void)state;
    assert_string_equal(text, "ID     = x?y\nStatus = running\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes), cmocka_unit_test(test_times), cmocka_unit_test(test_progress),
        cmocka_unit_test(test_table), cmocka_unit_test(test_pairs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
