/* SPDX-License-Identifier: MIT
 *
 * Each field becomes a set of bits. Looking for the next time, days that cannot be it are passed by
 * the calendar alone; within one that can, a clock is read in steps, because only it knows what the
 * time zone does on that day.
 */
#include "shared/job/cron.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "shared/cleanup.h"

enum {
    FIELDS_MAX = 7,
    QUARTER_S = 900,
    DAY_S = 86400,
};

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                          "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const month_long_names[] = {"january",   "february", "march",    "april",
                                               "may",       "june",     "july",     "august",
                                               "september", "october",  "november", "december"};
static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
static const char *const day_long_names[] = {"sunday",   "monday", "tuesday", "wednesday",
                                             "thursday", "friday", "saturday"};

enum field_id {
    SECOND,
    MINUTE,
    HOUR,
    DAY,
    MONTH,
    WEEKDAY,
    YEAR
};

static const struct field {
    const char *name;
    int min, max;
    const char *const *names, *const *long_names; /* of min … */
    int n_names;
} fields[FIELDS_MAX] = {
    [SECOND] = {"second", 0, 59, NULL, NULL, 0},
    [MINUTE] = {"minute", 0, 59, NULL, NULL, 0},
    [HOUR] = {"hour", 0, 23, NULL, NULL, 0},
    [DAY] = {"day of the month", 1, 31, NULL, NULL, 0},
    [MONTH] = {"month", 1, 12, month_names, month_long_names, ARRAY_LEN(month_names)},
    [WEEKDAY] = {"day of the week", 0, 7, day_names, day_long_names, ARRAY_LEN(day_names)},
    [YEAR] = {"year", CRON_YEAR_MIN, CRON_YEAR_MAX, NULL, NULL, 0},
};

/* ---- one field ---- */

struct parse {
    struct cron *cron;
    struct err *e;
    const char *text;
    enum field_id id;
};

/* One entry of a field's list: "first-last/step" and what may stand behind it. */
struct entry {
    bool all; /* "*" or "?" */
    int first, last, step;
    char suffix; /* 'L', 'W', '#' or 0 */
    int nth;
};

static int fail(const struct parse *p, const char *entry)
{
    const struct field *f = &fields[p->id];

    return err_set(p->e, -EINVAL,
                   "\"%.64s\" is no cron expression: \"%.32s\" cannot be the %s, which is %d to "
                   "%d%s, *, a range such as %d-%d, a step such as */2, or a list of those%s",
                   p->text, entry, f->name, f->min, f->max, f->names ? " or a name" : "", f->min,
                   f->min + 2,
                   p->id == DAY       ? "; or L, LW, 15W"
                   : p->id == WEEKDAY ? "; or 5L, 5#3"
                                      : "");
}

static bool match_name(const char *const *names, int n, const char *text, size_t size, int *ret)
{
    for (int i = 0; i < n; i++)
        if (strlen(names[i]) == size && strncasecmp(names[i], text, size) == 0) {
            *ret = i;
            return true;
        }
    return false;
}

/* A number or a name at *at, which is moved behind it. */
static bool take_value(const struct field *f, const char **at, int *ret)
{
    size_t n = strspn(*at, "0123456789");
    int value = 0, index;

    if (n) {
        for (size_t i = 0; i < n && value <= f->max; i++)
            value = value * 10 + (*at)[i] - '0';
    } else {
        while (isalpha((unsigned char)(*at)[n]))
            n++;
        if (!match_name(f->names, f->n_names, *at, n, &index) &&
            !match_name(f->long_names, f->n_names, *at, n, &index)) {
            if (n < 2 || toupper((unsigned char)(*at)[n - 1]) != 'L' ||
                (!match_name(f->names, f->n_names, *at, n - 1, &index) &&
                 !match_name(f->long_names, f->n_names, *at, n - 1, &index)))
                return false;
            n--; /* "friL" */
        }
        value = f->min + index;
    }
    if (n > 4 && isdigit((unsigned char)**at))
        return false;
    *at += n;
    *ret = value;
    return value >= f->min && value <= f->max;
}

static bool take_step(const struct field *f, const char **at, int *ret)
{
    static const struct field number = {"", 1, CRON_YEAR_MAX, NULL, NULL, 0};

    (*at)++;
    return take_value(&number, at, ret) && *ret <= f->max;
}

static bool take_suffix(enum field_id id, const char **at, struct entry *ret)
{
    char c = (char)toupper((unsigned char)**at);

    if (c == (id == DAY ? 'W' : 'L') && (id == DAY || id == WEEKDAY)) {
        ret->suffix = c;
        (*at)++;
    } else if (c == '#' && id == WEEKDAY && (*at)[1] >= '1' && (*at)[1] <= '5') {
        ret->suffix = c;
        ret->nth = (*at)[1] - '0';
        *at += 2;
    }
    return !**at;
}

static bool parse_entry(enum field_id id, const char *at, struct entry *ret)
{
    const struct field *f = &fields[id];

    *ret = (struct entry){.first = f->min, .last = f->max, .step = 1};
    if (*at == '*' || *at == '?') {
        ret->all = !at[1];
        return ret->all ||
               (*at == '*' && at[1] == '/' && (at++, take_step(f, &at, &ret->step)) && !*at);
    }
    if (!take_value(f, &at, &ret->first))
        return false;
    if (*at == '/')
        return take_step(f, &at, &ret->step) && !*at;
    ret->last = ret->first;
    if (*at != '-')
        return take_suffix(id, &at, ret);
    at++;
    if (!take_value(f, &at, &ret->last))
        return false;
    if (id == WEEKDAY && ret->last == 0)
        ret->last = 7; /* up to and including Sunday */
    if (*at == '/' && !take_step(f, &at, &ret->step))
        return false;
    return !*at && ret->first <= ret->last;
}

static void set_bit(struct cron *c, enum field_id id, int value)
{
    unsigned int year = (unsigned int)(value - CRON_YEAR_MIN);

    switch (id) {
    case SECOND:
        c->seconds |= 1ULL << value;
        break;
    case MINUTE:
        c->minutes |= 1ULL << value;
        break;
    case HOUR:
        c->hours |= 1U << value;
        break;
    case DAY:
        c->days |= 1U << value;
        break;
    case MONTH:
        c->months |= (uint16_t)(1U << value);
        break;
    case WEEKDAY:
        c->weekdays |= (uint8_t)(1U << value % 7);
        break;
    case YEAR:
        c->years[year / 64] |= 1ULL << year % 64;
        break;
    }
}

static void add_entry(struct cron *c, enum field_id id, const struct entry *entry)
{
    uint8_t weekday = (uint8_t)(1U << entry->first % 7);

    if (entry->suffix == 'W')
        c->workdays |= 1U << entry->first;
    else if (entry->suffix == 'L')
        c->last_weekdays |= weekday;
    else if (entry->suffix == '#')
        c->nth_weekdays[entry->nth] |= weekday;
    else
        for (int i = entry->first; i <= entry->last; i += entry->step)
            set_bit(c, id, i);
    c->any_day |= entry->all && id == DAY;
    c->any_weekday |= entry->all && id == WEEKDAY;
}

static int parse_field(const struct parse *p, char *list)
{
    char *next = list;

    while (next) {
        char *text = strsep(&next, ",");
        struct entry entry;

        if (p->id == DAY && strcasecmp(text, "L") == 0)
            p->cron->last_day = true;
        else if (p->id == DAY && strcasecmp(text, "LW") == 0)
            p->cron->last_workday = true;
        else if (parse_entry(p->id, text, &entry))
            add_entry(p->cron, p->id, &entry);
        else
            return fail(p, text);
    }
    return 0;
}

/* ---- all of it ---- */

static const char *without_alias(const char *text)
{
    static const char *const aliases[][2] = {
        {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
        {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@hourly", "0 * * * *"},
    };

    for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
        if (strcmp(text, aliases[i][0]) == 0)
            return aliases[i][1];
    return text;
}

int cron_parse(const char *text, struct cron *ret, struct err *e)
{
    static const char blanks[] = " \t\r\n";
    autofree char *copy = strdup(without_alias(text + strspn(text, blanks)));
    char *words[FIELDS_MAX + 1], *rest = NULL;
    struct cron cron = {0};
    struct parse p = {.cron = &cron, .e = e, .text = text};
    size_t n = 0;

    if (!copy)
        return err_sys(e, -ENOMEM, "reading a cron expression");
    for (char *word = strtok_r(copy, blanks, &rest); word && n <= FIELDS_MAX;
         word = strtok_r(NULL, blanks, &rest))
        words[n++] = word;
    if (n < 5 || n > FIELDS_MAX)
        return err_set(e, -EINVAL,
                       "\"%.64s\" is no cron expression: it has %s fields; write minute, hour, day "
                       "of the month, month and day of the week, such as \"30 4 * * *\"",
                       text, n < 5 ? "too few" : "too many");
    if (n < FIELDS_MAX)
        cron.seconds = 1;
    if (n == 5)
        memset(cron.years, 0xff, sizeof(cron.years));
    for (size_t i = 0; i < n; i++) {
        int r;

        p.id = (enum field_id)(i + (n < FIELDS_MAX));
        r = parse_field(&p, words[i]);
        if (r < 0)
            return r;
    }
    *ret = cron;
    return 0;
}

/* ---- the calendar ---- */

struct date {
    int year, month, day; /* from 1 */
};

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && leap);
}

/* 0: Sunday. (Sakamoto's congruence) */
static int weekday_of(int year, int month, int day)
{
    static const int shift[] = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};

    year -= month < 3;
    return (year + year / 4 - year / 100 + year / 400 + shift[month - 1] + day) % 7;
}

/* The weekday nearest to `day`, in the same month. */
static int nearest_workday(const struct date *d, int day, int n_days)
{
    int weekday = weekday_of(d->year, d->month, day);

    if (weekday == 6)
        return day > 1 ? day - 1 : day + 2;
    if (weekday == 0)
        return day < n_days ? day + 1 : day - 2;
    return day;
}

static bool has(uint64_t set, int bit)
{
    return set >> bit & 1;
}

static bool is_day_of_month(const struct cron *c, const struct date *d, int n_days)
{
    if (has(c->days, d->day) || (c->last_day && d->day == n_days) ||
        (c->last_workday && d->day == nearest_workday(d, n_days, n_days)))
        return true;
    for (int day = 1; day <= n_days; day++)
        if (has(c->workdays, day) && nearest_workday(d, day, n_days) == d->day)
            return true;
    return false;
}

static bool is_day_of_week(const struct cron *c, const struct date *d, int n_days)
{
    int weekday = weekday_of(d->year, d->month, d->day);

    return has(c->weekdays, weekday) || has(c->nth_weekdays[(d->day + 6) / 7], weekday) ||
           (d->day + 7 > n_days && has(c->last_weekdays, weekday));
}

static bool is_its_day(const struct cron *c, const struct date *d)
{
    int n_days = days_of_month(d->year, d->month);

    if (c->any_day && c->any_weekday)
        return true;
    return (!c->any_day && is_day_of_month(c, d, n_days)) ||
           (!c->any_weekday && is_day_of_week(c, d, n_days));
}

static bool is_its_year(const struct cron *c, int year)
{
    unsigned int n = (unsigned int)(year - CRON_YEAR_MIN);

    return year >= CRON_YEAR_MIN && has(c->years[n / 64], (int)(n % 64));
}

/* The first such day from `d` on; false: there is none. */
static bool find_day(const struct cron *c, struct date *d)
{
    for (; d->year <= CRON_YEAR_MAX; d->year++, d->month = d->day = 1) {
        if (!is_its_year(c, d->year))
            continue;
        for (; d->month <= 12; d->month++, d->day = 1) {
            if (!has(c->months, d->month))
                continue;
            for (; d->day <= days_of_month(d->year, d->month); d->day++)
                if (is_its_day(c, d))
                    return true;
        }
    }
    return false;
}

/* ---- the clock ---- */

static int compare(const struct tm *tm, const struct date *d)
{
    int a = (tm->tm_year + 1900) * 512 + (tm->tm_mon + 1) * 32 + tm->tm_mday;

    return a - (d->year * 512 + d->month * 32 + d->day);
}

/* The first such time of that day that is not before `t`, or -1. A zone changes its clock where
 * that shows a quarter of an hour, so no step passes more than it looks at. */
static int64_t find_time(const struct cron *c, const struct date *d, int64_t t)
{
    struct tm tm = {.tm_year = d->year - 1900, .tm_mon = d->month - 1, .tm_mday = d->day};
    int64_t begin;

    tm.tm_isdst = -1;
    begin = (int64_t)mktime(&tm) - DAY_S / 8; /* there may be no midnight, or two */
    if (begin > t)
        t = begin;
    for (;;) {
        time_t now = (time_t)t;
        int order;

        if (!localtime_r(&now, &tm) || (order = compare(&tm, d)) > 0)
            return -1;
        if (order < 0 || !has(c->hours, tm.tm_hour))
            t += QUARTER_S - (tm.tm_min % 15 * 60 + tm.tm_sec);
        else if (!has(c->minutes, tm.tm_min))
            t += 60 - tm.tm_sec;
        else if (!has(c->seconds, tm.tm_sec))
            t++;
        else
            return t;
    }
}

int64_t cron_next(const struct cron *cron, int64_t after)
{
    time_t now = (time_t)(after + 1);
    struct date d;
    struct tm tm;

    if (!localtime_r(&now, &tm))
        return -1;
    d = (struct date){tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday};
    for (; find_day(cron, &d); d.day++) {
        int64_t t = find_time(cron, &d, now);

        if (t >= 0)
            return t;
    }
    return -1;
}
