/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/cleanup.h"
#include "shared/job/cron.h"

static void use_zone(const char *zone)
{
    assert_int_equal(setenv("TZ", zone, 1), 0);
    tzset();
}

/* "2026-03-29 02:30:00" of the zone in use, the first of two where there are two. */
static int64_t read_time(const char *text)
{
    struct tm tm = {.tm_isdst = -1}, before;
    time_t t, earlier;

    assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &tm));
    t = mktime(&tm);
    earlier = t - 3600;
    assert_non_null(localtime_r(&earlier, &before));
    return before.tm_hour == tm.tm_hour && before.tm_min == tm.tm_min ? earlier : t;
}

static const char *show(int64_t at, char buf[40])
{
    struct tm tm;
    time_t t = (time_t)at;

    if (at < 0)
        return "never";
    assert_non_null(localtime_r(&t, &tm));
    (void)strftime(buf, 40, "%Y-%m-%d %H:%M:%S %z", &tm);
    return buf;
}

static int64_t next(const char *text, int64_t after)
{
    struct err e = ERR_INIT;
    struct cron cron;

    if (cron_parse(text, &cron, &e))
        fail_msg("%s", e.text);
    return cron_next(&cron, after);
}

struct row {
    const char *cron, *from;
    const char *next[4]; /* one after the other */
};

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t t = read_time(rows[i].from);

        for (size_t k = 0; k < 4 && rows[i].next[k]; k++) {
            char buf[40];

            t = next(rows[i].cron, t);
            if (strncmp(show(t, buf), rows[i].next[k], strlen(rows[i].next[k])) != 0)
                fail_msg("\"%s\" from %s, number %zu: %s, not %s", rows[i].cron, rows[i].from, k,
                         show(t, buf), rows[i].next[k]);
        }
    }
}

static void test_utc(void **state)
{
    static const struct row rows[] = {
        {"* * * * *", "2013-01-01 00:00:00", {"2013-01-01 00:01:00", "2013-01-01 00:02:00"}},
        {"* * * * *", "2012-12-31 23:59:59", {"2013-01-01 00:00:00"}},
        {"* * * * * * *", "2016-02-28 23:59:59", {"2016-02-29 00:00:00", "2016-02-29 00:00:01"}},
        {"*/5 * * * * * *", "2013-02-28 23:59:56", {"2013-03-01 00:00:00", "2013-03-01 00:00:05"}},
        {"30 1-59/20 * * * ? *",
         "2020-01-01 00:00:00",
         {"2020-01-01 00:01:30", "2020-01-01 00:21:30"}},
        {"17-43/5 * * * *",
         "2013-01-01 00:30:00",
         {"2013-01-01 00:32:00", "2013-01-01 00:37:00", "2013-01-01 00:42:00",
          "2013-01-01 01:17:00"}},
        {"15-30/4,55 * * * *",
         "2013-01-01 00:27:00",
         {"2013-01-01 00:55:00", "2013-01-01 01:15:00"}},
        {"50/3 * * * *",
         "2013-01-01 00:00:00",
         {"2013-01-01 00:50:00", "2013-01-01 00:53:00", "2013-01-01 00:56:00",
          "2013-01-01 00:59:00"}},
        /* days of the week */
        {"0 0 * * MON", "2013-01-01 00:00:00", {"2013-01-07", "2013-01-14"}},
        {"0 0 * * friday", "2013-12-30 00:30:00", {"2014-01-03"}},
        {"0 0 * * 6,7", "2013-01-04 00:00:00", {"2013-01-05", "2013-01-06", "2013-01-12"}},
        {"0 0 * * 5-7",
         "2013-01-01 00:00:00",
         {"2013-01-04", "2013-01-05", "2013-01-06", "2013-01-11"}},
        {"0 0 * * fri-sun", "2013-01-05 00:00:00", {"2013-01-06", "2013-01-11"}},
        {"0 0 * * 6#5",
         "2013-09-02 08:44:30",
         {"2013-11-30", "2014-03-29", "2014-05-31", "2014-08-30"}},
        {"0 0 * * 1#1", "2024-01-01 00:00:00", {"2024-02-05"}},
        {"0 0 * * 5L", "2024-01-01 00:00:00", {"2024-01-26", "2024-02-23", "2024-03-29"}},
        {"0 0 * * friL", "2024-02-01 00:00:00", {"2024-02-23"}},
        /* days of the month */
        {"0 0 14W * *",
         "2013-03-31 00:00:00",
         {"2013-04-15", "2013-05-14", "2013-06-14", "2013-07-15"}},
        {"0 0 30W * *",
         "2013-11-02 00:00:00",
         {"2013-11-29", "2013-12-30", "2014-01-30", "2014-03-31"}},
        {"0 0 1W * *", "2013-05-31 00:00:00", {"2013-06-03"}}, /* the 1st is a Saturday */
        {"0 0 L * *", "2016-02-15 00:00:00", {"2016-02-29", "2016-03-31", "2016-04-30"}},
        {"0 0 LW * *", "2013-11-02 00:00:00", {"2013-11-29", "2013-12-31", "2014-01-31"}},
        {"0 0 31 * *", "2014-01-31 00:00:00", {"2014-03-31", "2014-05-31"}},
        /* either is enough where both are given */
        {"0 0 13 * 5", "2024-09-01 00:00:00", {"2024-09-06", "2024-09-13", "2024-09-20"}},
        {"0 0 13 * *", "2024-09-01 00:00:00", {"2024-09-13", "2024-10-13"}},
        {"0 0 ? * 5", "2024-09-01 00:00:00", {"2024-09-06", "2024-09-13"}},
        /* leap years */
        {"0 0 29 2 *", "2023-01-01 00:00:00", {"2024-02-29", "2028-02-29", "2032-02-29"}},
        {"0 0 29 feb ? ", "2096-03-01 00:00:00", {"never"}}, /* 2100 is beyond, and none */
        {"0 0 30 2 *", "2024-01-01 00:00:00", {"never"}},
        /* months, years */
        {"0 0 * 04 *", "2013-09-02 00:00:00", {"2014-04-01", "2014-04-02"}},
        {"0 12 1 january,Jun-aug *",
         "2024-01-02 00:00:00",
         {"2024-06-01 12", "2024-07-01 12", "2024-08-01 12", "2025-01-01 12"}},
        {"0 0 1 1 * 2030-2040/5",
         "2024-01-01 00:00:00",
         {"2030-01-01", "2035-01-01", "2040-01-01", "never"}},
        {"0 0 1 1 * 1980", "2013-08-31 00:00:00", {"never"}},
        {"59 59 23 31 12 * 2099", "2013-08-31 00:00:00", {"2099-12-31 23:59:59", "never"}},
        /* names for all of it */
        {"@yearly", "2024-05-05 05:05:05", {"2025-01-01 00:00:00"}},
        {"@annually", "2024-05-05 05:05:05", {"2025-01-01 00:00:00"}},
        {" @monthly", "2024-05-05 05:05:05", {"2024-06-01 00:00:00"}},
        {"@weekly", "2024-05-05 05:05:05", {"2024-05-12 00:00:00"}},
        {"@daily", "2024-05-05 05:05:05", {"2024-05-06 00:00:00"}},
        {"@hourly", "2024-05-05 05:05:05", {"2024-05-05 06:00:00"}},
    };

    (void)state;
    use_zone("UTC0");
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_daylight_saving(void **state)
{
    static const struct row berlin[] = {
        /* 02:00 to 03:00 does not exist on 2026-03-29 */
        {"30 2 * * *",
         "2026-03-27 12:00:00",
         {"2026-03-28 02:30:00 +0100", "2026-03-30 02:30:00 +0200"}},
        {"*/30 * * * *",
         "2026-03-29 01:00:00",
         {"2026-03-29 01:30:00 +0100", "2026-03-29 03:00:00 +0200", "2026-03-29 03:30:00"}},
        {"0 3 * * *", "2026-03-28 12:00:00", {"2026-03-29 03:00:00 +0200"}},
        /* and there are two on 2026-10-25 */
        {"30 2 * * *",
         "2026-10-24 12:00:00",
         {"2026-10-25 02:30:00 +0200", "2026-10-25 02:30:00 +0100", "2026-10-26 02:30:00"}},
        {"0 4 * * *", "2026-10-24 12:00:00", {"2026-10-25 04:00:00 +0100"}},
    };
    static const struct row new_york[] = {
        {"0 0 * * *",
         "2026-03-07 12:00:00",
         {"2026-03-08 00:00:00 -0500", "2026-03-09 00:00:00 -0400"}},
        {"15 1 * * *",
         "2026-11-01 00:30:00",
         {"2026-11-01 01:15:00 -0400", "2026-11-01 01:15:00 -0500", "2026-11-02 01:15:00"}},
    };
    static const struct row sao_paulo[] = {
        /* without a midnight on 2018-11-04, with an hour twice before that of 2018-02-18 */
        {"0 0 * * *", "2018-11-02 12:00:00", {"2018-11-03 00:00:00", "2018-11-05 00:00:00"}},
        {"30 0,1 * * *",
         "2018-11-03 12:00:00",
         {"2018-11-04 01:30:00 -0200", "2018-11-05 00:30:00"}},
        {"30 23 17 2 *",
         "2018-02-17 12:00:00",
         {"2018-02-17 23:30:00 -0200", "2018-02-17 23:30:00 -0300", "2019-02-17 23:30:00"}},
    };
    static const struct row lord_howe[] = {
        /* by half an hour */
        {"10,40 * * * *",
         "2026-10-04 01:20:00",
         {"2026-10-04 01:40:00 +1030", "2026-10-04 02:40:00 +1100"}},
        {"45 1 * * *",
         "2026-04-04 12:00:00",
         {"2026-04-05 01:45:00 +1100", "2026-04-05 01:45:00 +1030", "2026-04-06 01:45:00"}},
    };
    static const struct row kathmandu[] = {
        {"0 6 * * *", "2026-01-01 00:00:00", {"2026-01-01 06:00:00 +0545"}},
    };

    (void)state;
    use_zone("Europe/Berlin");
    check_rows(berlin, ARRAY_LEN(berlin));
    use_zone("America/New_York");
    check_rows(new_york, ARRAY_LEN(new_york));
    use_zone("America/Sao_Paulo");
    check_rows(sao_paulo, ARRAY_LEN(sao_paulo));
    use_zone("Australia/Lord_Howe");
    check_rows(lord_howe, ARRAY_LEN(lord_howe));
    use_zone("Asia/Kathmandu");
    check_rows(kathmandu, ARRAY_LEN(kathmandu));
    use_zone("UTC0");
}

/* Against every minute looked at in turn. */
static void test_every_minute(void **state)
{
    static const struct {
        const char *cron;
        int minute, hour, step; /* -1: any; minute is one of every `step` */
    } rows[] = {
        {"*/15 * * * *", 0, -1, 15},
        {"45 1 * * *", 45, 1, 60},
        {"0 2 * * *", 0, 2, 60},
        {"3-59/20 23 * * *", 3, 23, 20},
    };
    static const char *const zones[] = {"Europe/Berlin", "Australia/Lord_Howe",
                                        "America/Sao_Paulo"};

    (void)state;
    for (size_t z = 0; z < ARRAY_LEN(zones); z++) {
        use_zone(zones[z]);
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            int64_t t = 1517443200 - 1, end = t + 366 * 86400; /* 2018-02-01 */

            for (time_t m = t + 1; m < end; m += 60) {
                struct tm tm;

                assert_non_null(localtime_r(&m, &tm));
                if ((rows[i].hour >= 0 && tm.tm_hour != rows[i].hour) ||
                    tm.tm_min < rows[i].minute || (tm.tm_min - rows[i].minute) % rows[i].step)
                    continue;
                t = next(rows[i].cron, t);
                if (t != m)
                    fail_msg("%s in %s: %lld, not %lld", rows[i].cron, zones[z], (long long)t,
                             (long long)m);
            }
        }
    }
    use_zone("UTC0");
}

static void test_refused(void **state)
{
    static const struct {
        const char *cron, *text;
    } rows[] = {
        {"", "too few fields"},
        {"* * * *", "too few fields"},
        {"* * * * * * * *", "too many fields"},
        {"@sometimes", "too few fields"},
        {"60 * * * *", "\"60\" cannot be the minute"},
        {"* 24 * * *", "the hour, which is 0 to 23"},
        {"* * 0 * *", "\"0\" cannot be the day of the month"},
        {"* * 32 * *", "or L, LW, 15W"},
        {"* * * 13 *", "the month, which is 1 to 12 or a name"},
        {"* * * foo *", "\"foo\" cannot be the month"},
        {"* * * * 8", "or 5L, 5#3"},
        {"* * * * 5#6", "\"5#6\""},
        {"* * * * 5W", "\"5W\""},
        {"* * 5L * *", "\"5L\""},
        {"5-2 * * * *", "\"5-2\""},
        {"*/0 * * * *", "\"*/0\""},
        {"*/99 * * * *", "\"*/99\""},
        {"?/5 * * * *", "\"?/5\""},
        {"1,,2 * * * *", "\"\" cannot be the minute"},
        {"1- * * * *", "\"1-\""},
        {"-1 * * * *", "\"-1\""},
        {"1x * * * *", "\"1x\""},
        {"99999999999999999999 * * * *", "the minute"},
        {"* * * * * 1969", "the year, which is 1970 to 2099"},
        {"61 * * * * * *", "the second"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = ERR_INIT;
        struct cron cron;

        if (cron_parse(rows[i].cron, &cron, &e) != -EINVAL || !strstr(e.text, rows[i].text))
            fail_msg("\"%s\": \"%s\", not \"%s\"", rows[i].cron, e.text, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utc),
        cmocka_unit_test(test_daylight_saving),
        cmocka_unit_test(test_every_minute),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
