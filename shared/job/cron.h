/* SPDX-License-Identifier: MIT
 *
 * When something recurs, in cron's words: "minute hour day-of-month month day-of-week", with a year
 * behind them, and then with seconds before them, where those are wanted. The dialect is that of
 * Nomad (github.com/hashicorp/cronexpr): names of months and days; ? for *; L, LW and 15W of days
 * of the month; 5L and 5#3 of days of the week; @yearly, @annually, @monthly, @weekly, @daily,
 * @hourly. A range of days may end on a Sunday, as 0 or as 7, and includes it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shared/err.h"

enum {
    CRON_YEAR_MIN = 1970,
    CRON_YEAR_MAX = 2099,
};

/* Bit n of a set: n is in it. */
struct cron {
    uint64_t seconds, minutes;
    uint32_t hours;
    uint32_t days;     /* of the month */
    uint32_t workdays; /* 15W: the weekday nearest to the 15th */
    uint16_t months;   /* 1 … 12 */
    uint8_t weekdays;  /* 0: Sunday */
    uint8_t last_weekdays;
    uint8_t nth_weekdays[6]; /* [k]: of 5#k */
    bool last_day, last_workday;
    bool any_day, any_weekday; /* given as *: where neither is, one of the two is enough */
    uint64_t years[3];         /* from CRON_YEAR_MIN on */
};

/* -EINVAL: the text says which field, and what it takes. */
int cron_parse(const char *text, struct cron *ret, struct err *e);

/* The first second after `after` (seconds since 1970) at which a clock of the process's time zone
 * (tzset(3)) shows what `cron` names; -1: never before the year 2100. A time that a clock skips is
 * no such time, and one it shows twice is two. */
int64_t cron_next(const struct cron *cron, int64_t after);
