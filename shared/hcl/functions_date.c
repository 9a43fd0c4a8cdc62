/* SPDX-License-Identifier: MIT
 *
 * Times, which are texts in RFC 3339.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/cleanup.h"
#include "shared/hcl/functions.h"

struct moment {
    long long seconds; /* since 1970, of the clock it is told by */
    int offset;        /* of that clock, in minutes east of UTC */
};

/* Exactly `n` digits, from least to most. */
static bool digits(const char **at, size_t n, int least, int most, int *ret)
{
    *ret = 0;
    for (size_t i = 0; i < n; i++, (*at)++) {
        if (!isdigit((unsigned char)**at))
            return false;
        *ret = *ret * 10 + (**at - '0');
    }
    return *ret >= least && *ret <= most;
}

static bool read_zone(const char *at, int *ret_offset)
{
    char sign = *at++;
    int hours, minutes;

    *ret_offset = 0;
    if (sign == 'Z')
        return !*at;
    if ((sign != '+' && sign != '-') || !digits(&at, 2, 0, 23, &hours) || *at++ != ':' ||
        !digits(&at, 2, 0, 59, &minutes) || *at)
        return false;
    *ret_offset = (sign == '-' ? -1 : 1) * (60 * hours + minutes);
    return true;
}

/* 2006-01-02T15:04:05Z, 2006-01-02T15:04:05.5+01:00. Parts of a second are dropped. */
static int read_moment(struct call *c, size_t i, struct moment *ret)
{
    struct tm tm = {0}, same;
    const char *text, *at;
    int year, month, day, r = call_text(c, i, &text);

    if (r < 0)
        return r;
    at = text;
    if (!digits(&at, 4, 0, 9999, &year) || *at++ != '-' || !digits(&at, 2, 1, 12, &month) ||
        *at++ != '-' || !digits(&at, 2, 1, 31, &day) || *at++ != 'T' ||
        !digits(&at, 2, 0, 23, &tm.tm_hour) || *at++ != ':' || !digits(&at, 2, 0, 59, &tm.tm_min) ||
        *at++ != ':' || !digits(&at, 2, 0, 59, &tm.tm_sec))
        goto fail;
    if (*at == '.' && isdigit((unsigned char)at[1]))
        at += 1 + strspn(at + 1, "0123456789");
    if (!read_zone(at, &ret->offset))
        goto fail;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    tm.tm_mday = day;
    ret->seconds = timegm(&tm);
    same = tm; /* timegm() makes March of 30 February */
    if (same.tm_mday == day)
        return 0;
fail:
    return call_fail(c, "\"%.64s\" is no time such as 2006-01-02T15:04:05Z", text);
}

static void broken_down(const struct moment *when, struct tm *ret)
{
    const time_t seconds = (time_t)when->seconds;

    (void)gmtime_r(&seconds, ret);
}

static void put_zone(FILE *out, int offset, const char *colon)
{
    int size = abs(offset);

    (void)fprintf(out, "%c%02d%s%02d", offset < 0 ? '-' : '+', size / 60, colon, size % 60);
}

/* ---- formatdate() ---- */

/* One run of a letter; false: there is none such. */
static bool put_run(FILE *out, const struct moment *when, const struct tm *tm, char c, size_t n)
{
    static const char *const months[] = {"January",   "February", "March",    "April",
                                         "May",       "June",     "July",     "August",
                                         "September", "October",  "November", "December"};
    static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};
    int hour = tm->tm_hour % 12 ? tm->tm_hour % 12 : 12;
    int number = c == 'M'   ? tm->tm_mon + 1
                 : c == 'D' ? tm->tm_mday
                 : c == 'h' ? tm->tm_hour
                 : c == 'H' ? hour
                 : c == 'm' ? tm->tm_min
                            : tm->tm_sec;

    if (c == 'Y' && (n == 2 || n == 4))
        (void)fprintf(out, "%0*d", (int)n,
                      n == 2 ? (tm->tm_year + 1900) % 100 : tm->tm_year + 1900);
    else if (c == 'M' && n == 4)
        (void)fputs(months[tm->tm_mon], out);
    else if (c == 'M' && n == 3)
        (void)fprintf(out, "%.3s", months[tm->tm_mon]);
    else if (c == 'E' && n == 4)
        (void)fputs(days[tm->tm_wday], out);
    else if (c == 'E' && n == 3)
        (void)fprintf(out, "%.3s", days[tm->tm_wday]);
    else if (strchr("MDhHms", c) && n <= 2)
        (void)fprintf(out, "%0*d", (int)n, number);
    else if (c == 'A' && n == 2)
        (void)fputs(tm->tm_hour < 12 ? "AM" : "PM", out);
    else if (c == 'a' && n == 2)
        (void)fputs(tm->tm_hour < 12 ? "am" : "pm", out);
    else if (c == 'Z' && ((n == 1 && !when->offset) || (n == 3 && !when->offset)))
        (void)fputs(n == 1 ? "Z" : "UTC", out);
    else if (c == 'Z' && n <= 5 && n != 2)
        put_zone(out, when->offset, n == 1 || n == 5 ? ":" : "");
    else
        return false;
    return true;
}

/* What is between two ', behind the first; two of them are one. NULL: it is not closed. */
static const char *put_literal(FILE *out, const char *at)
{
    for (; *at; at++) {
        if (*at == '\'' && *++at != '\'')
            return at;
        (void)fputc(*at, out);
    }
    return NULL;
}

static int f_formatdate(struct call *c)
{
    struct moment when;
    const char *form, *start;
    char *text = NULL;
    struct tm tm;
    size_t size;
    FILE *out;
    int r = call_text(c, 0, &form);

    if (r == 0)
        r = read_moment(c, 1, &when);
    out = r == 0 ? open_memstream(&text, &size) : NULL;
    if (!out)
        return r < 0 ? r : -ENOMEM;
    broken_down(&when, &tm);
    while (r == 0 && form && *(start = form)) {
        size_t n = 1;

        if (*form == '\'') {
            form = put_literal(out, form + 1);
            if (!form)
                r = call_fail(c, "a ' of the format is not closed");
            continue;
        }
        while (isalpha((unsigned char)*form) && form[n] == *form)
            n++;
        form += n;
        if (!isalpha((unsigned char)*start))
            (void)fputc(*start, out);
        else if (!put_run(out, &when, &tm, *start, n))
            r = call_fail(c, "formatdate() does not know \"%.*s\"; text goes between two '",
                          n > 16 ? 16 : (int)n, start);
    }
    return call_give_stream(c, out, &text, r);
}

/* ---- timeadd() ---- */

/* "-1.5h", "2h45m", "300ms", in seconds. */
static bool read_duration(const char *at, double *ret)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"ns", 1e-9}, {"us", 1e-6}, {"\xc2\xb5s", 1e-6}, {"\xce\xbcs", 1e-6},
                 {"ms", 1e-3}, {"s", 1},     {"m", 60},           {"h", 3600}};
    double sign = *at == '-' ? -1 : 1;

    *ret = 0;
    at += *at == '-' || *at == '+';
    if (strcmp(at, "0") == 0)
        return true;
    if (!*at)
        return false;
    while (*at) {
        size_t n = strspn(at, "0123456789."), i = 0;
        char *end;
        double number = strtod(at, &end);

        if (!n || (n == 1 && *at == '.') || end != at + n)
            return false;
        at += n;
        while (i < ARRAY_LEN(units) && (strncmp(at, units[i].name, strlen(units[i].name)) != 0 ||
                                        isalpha((unsigned char)at[strlen(units[i].name)])))
            i++;
        if (i == ARRAY_LEN(units))
            return false;
        at += strlen(units[i].name);
        *ret += number * units[i].seconds;
    }
    *ret *= sign;
    return fabs(*ret) < 9.2e9; /* 292 years: 64 bits of nanoseconds */
}

static int f_timeadd(struct call *c)
{
    struct moment when;
    const char *text;
    char *made = NULL;
    double more = 0;
    struct tm tm;
    size_t size;
    FILE *out;
    int r = read_moment(c, 0, &when);

    if (r == 0)
        r = call_text(c, 1, &text);
    if (r == 0 && !read_duration(text, &more))
        r = call_fail(c, "\"%.64s\" is no duration such as 1h30m or -10s", text);
    if (r < 0)
        return r;
    when.seconds += (long long)floor(more);
    broken_down(&when, &tm);
    if (tm.tm_year < -1900 || tm.tm_year > 8099)
        return call_fail(c, "the year of this is not 0 to 9999");
    out = open_memstream(&made, &size);
    if (!out)
        return -ENOMEM;
    (void)fprintf(out, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1,
                  tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    if (when.offset)
        put_zone(out, when.offset, ":");
    else
        (void)fputc('Z', out);
    return call_give_stream(c, out, &made, 0);
}

const struct function functions_date[] = {
    {"formatdate", 2, 2, f_formatdate},
    {"timeadd", 2, 2, f_timeadd},
    {0},
};
