/* SPDX-License-Identifier: MIT
 *
 * The calendar is computed here and not by gmtime_r(3), which loads the time zone of the host
 * first: four system calls and five kilobytes in every executor, for a result in UTC.
 */
#include "shared/clock.h"

#include <stdio.h>
#include <unistd.h>

uint64_t clock_now_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return clock_to_ns(&ts);
}

/* Days since 1970-01-01 to a date of the Gregorian calendar, counted in eras of 400 years (146,097
 * days) that begin on 1 March, so that the leap day is the last of its year. */
static void civil(uint64_t days, unsigned int *year, unsigned int *month, unsigned int *day)
{
    uint64_t shifted = days + 719468; /* days from 0000-03-01 to 1970-01-01 */
    uint64_t era = shifted / 146097, of_era = shifted % 146097;
    uint64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t from_march = (5 * of_year + 2) / 153;

    *day = (unsigned int)(of_year - (153 * from_march + 2) / 5 + 1);
    *month = (unsigned int)(from_march < 10 ? from_march + 3 : from_march - 9);
    *year = (unsigned int)(era * 400 + year_of_era + (*month <= 2));
}

const char *clock_format(uint64_t ns, char buf[CLOCK_TEXT_BYTES])
{
    uint64_t seconds = ns / 1000000000;
    unsigned int of_day = (unsigned int)(seconds % 86400);
    unsigned int year, month, day;

    civil(seconds / 86400, &year, &month, &day);
    (void)snprintf(buf, CLOCK_TEXT_BYTES, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", year, month, day,
                   of_day / 3600, of_day / 60 % 60, of_day % 60,
                   (unsigned int)(ns / 1000000 % 1000));
    return buf;
}

uint32_t clock_spread(uint64_t now_ns)
{
    return (uint32_t)((now_ns ^ (uint64_t)getpid() << 32) * 0x9e3779b97f4a7c15 >> 32);
}
