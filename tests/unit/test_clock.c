/* SPDX-License-Identifier: MIT
 *
 * shared/clock: the calendar against the C library's, over all the days a uint64_t of nanoseconds
 * has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "shared/clock.h"

static void test_every_day(void **state)
{
    (void)state;
    for (uint64_t day = 0; day < UINT64_MAX / 1000000000 / 86400; day++) {
        time_t seconds = (time_t)(day * 86400 + day % 86400);
        char expected[CLOCK_TEXT_BYTES], text[CLOCK_TEXT_BYTES];
        struct tm tm;

        gmtime_r(&seconds, &tm);
        (void)strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.007Z", &tm);
        assert_string_equal(clock_format((uint64_t)seconds * 1000000000 + 7999999, text), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_day)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
