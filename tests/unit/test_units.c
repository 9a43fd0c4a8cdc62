/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/cleanup.h"
#include "shared/units.h"

#define MS 1000000ULL
#define SECOND (1000 * MS)

static void test_duration_parse(void **state)
{
    static const struct {
        const char *text;
        int result;
        uint64_t ns;
    } cases[] = {
        {"0", 0, 0},
        {"0s", 0, 0},
        {"15s", 0, 15 * SECOND},
        {"250ms", 0, 250 * MS},
        {"1h30m", 0, 5400 * SECOND},
        {"1h0m0.5s", 0, 3600 * SECOND + 500 * MS},
        {"1.5s", 0, 1500 * MS},
        {".5s", 0, 500 * MS},
        {"1.s", 0, SECOND},
        {"1.5h", 0, 5400 * SECOND},
        {"0.25m", 0, 15 * SECOND},
        {"3us", 0, 3000},
        {"3\u00b5s", 0, 3000},
        {"7ns", 0, 7},
        {"1.9ns", 0, 1},
        {"", -EINVAL, 0},
        {"5", -EINVAL, 0},
        {"s", -EINVAL, 0},
        {".s", -EINVAL, 0},
        {"-5s", -EINVAL, 0},
        {"5 s", -EINVAL, 0},
        {"5d", -EINVAL, 0},
        {"5s3", -EINVAL, 0},
        {"99999999999999999999s", -ERANGE, 0},
        {"9999999h", -ERANGE, 0},
        {"5124095h5124095h", -ERANGE, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t ns = 0;

        if (duration_parse(cases[i].text, &ns) != cases[i].result || ns != cases[i].ns)
            fail_msg("\"%s\" gave %llu", cases[i].text, (unsigned long long)ns);
    }
}

static void test_duration_format(void **state)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } cases[] = {
        {0, "0s"},
        {1, "1ns"},
        {1500, "1.5us"},
        {250 * MS, "250ms"},
        {15 * SECOND, "15s"},
        {1500 * MS, "1.5s"},
        {60 * SECOND, "1m0s"},
        {5400 * SECOND, "1h30m0s"},
        {3600 * SECOND + 1, "1h0m0.000000001s"},
    };
    char buf[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t back;

        assert_string_equal(duration_format(cases[i].ns, buf, sizeof(buf)), cases[i].text);
        assert_int_equal(duration_parse(buf, &back), 0);
        assert_int_equal(back, cases[i].ns);
    }
    assert_string_equal(duration_format(5400 * SECOND, buf, 4), "1h3");
}

static void test_size_parse(void **state)
{
    static const struct {
        const char *text;
        int result;
        uint64_t bytes;
    } cases[] = {
        {"0", 0, 0},         {"10", 0, 10},           {"10B", 0, 10},
        {"64KiB", 0, 65536}, {"64k", 0, 65536},       {"10MB", 0, 10 << 20},
        {"1G", 0, 1 << 30},  {"2TiB", 0, 2ULL << 40}, {"", -EINVAL, 0},
        {"K", -EINVAL, 0},   {"-1", -EINVAL, 0},      {"1.5M", -EINVAL, 0},
        {"1Kb", -EINVAL, 0}, {"1KiBs", -EINVAL, 0},   {"99999999999999999999", -ERANGE, 0},
        {"1 K", -EINVAL, 0}, {"1Ki", -EINVAL, 0},     {"99999999999T", -ERANGE, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t bytes = 0;

        if (size_parse(cases[i].text, &bytes) != cases[i].result || bytes != cases[i].bytes)
            fail_msg("\"%s\" gave %llu", cases[i].text, (unsigned long long)bytes);
    }
}

static void test_signals(void **state)
{
    (void)state;
    assert_int_equal(signal_parse("SIGTERM"), SIGTERM);
    assert_int_equal(signal_parse("term"), SIGTERM);
    assert_int_equal(signal_parse("15"), SIGTERM);
    assert_int_equal(signal_parse("SIGIOT"), SIGABRT);
    assert_int_equal(signal_parse("SIG35"), 35);
    assert_int_equal(signal_parse(""), -EINVAL);
    assert_int_equal(signal_parse("SIG"), -EINVAL);
    assert_int_equal(signal_parse("0"), -EINVAL);
    assert_int_equal(signal_parse("65"), -EINVAL);
    assert_int_equal(signal_parse("9x"), -EINVAL);
    assert_int_equal(signal_parse("SIGNOPE"), -EINVAL);
    assert_string_equal(signal_name(SIGTERM), "SIGTERM");
    for (int i = 1; i < NSIG; i++)
        assert_int_equal(signal_parse(signal_name(i)), i);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_duration_parse),
        cmocka_unit_test(test_duration_format),
        cmocka_unit_test(test_size_parse),
        cmocka_unit_test(test_signals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
