/* SPDX-License-Identifier: MIT
 *
 * timestamp, with Go's layouts: a layout is the time "Mon Jan 2 15:04:05 MST 2006" written as one
 * wants it ("Constants" in the documentation of the package time). Always UTC.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "manager/template/engine.h"
#include "shared/cleanup.h"

struct moment {
    struct tm tm;
    unsigned int ns;
    uint64_t seconds;
};

/* What begins with another one comes before it. */
static const struct {
    const char *layout;
    const char *strftime; /* NULL: in put_odd() */
} parts[] = {
    {"January", "%B"},
    {"Jan", "%b"},
    {"Monday", "%A"},
    {"Mon", "%a"},
    {"MST", "UTC"},
    {"2006", "%Y"},
    {"-07:00:00", "+00:00:00"},
    {"-070000", "+000000"},
    {"-07:00", "+00:00"},
    {"-0700", "+0000"},
    {"-07", "+00"},
    {"Z07:00:00", "Z"},
    {"Z070000", "Z"},
    {"Z07:00", "Z"},
    {"Z0700", "Z"},
    {"Z07", "Z"},
    {"002", "%j"},
    {"__2", NULL},
    {"01", "%m"},
    {"02", "%d"},
    {"03", "%I"},
    {"04", "%M"},
    {"05", "%S"},
    {"06", "%y"},
    {"15", "%H"},
    {"_2", "%e"},
    {"PM", "%p"},
    {"pm", NULL},
    {"1", NULL},
    {"2", NULL},
    {"3", NULL},
    {"4", NULL},
    {"5", NULL},
};

static int put_odd(struct text *out, const char *layout, const struct tm *tm)
{
    if (strcmp(layout, "__2") == 0)
        return text_printf(out, "%3d", tm->tm_yday + 1);
    switch (*layout) {
    case 'p':
        return text_puts(out, tm->tm_hour < 12 ? "am" : "pm");
    case '1':
        return text_printf(out, "%d", tm->tm_mon + 1);
    case '2':
        return text_printf(out, "%d", tm->tm_mday);
    case '3':
        return text_printf(out, "%d", tm->tm_hour % 12 ? tm->tm_hour % 12 : 12);
    case '4':
        return text_printf(out, "%d", tm->tm_min);
    default:
        return text_printf(out, "%d", tm->tm_sec);
    }
}

/* ".000" or ".999" behind seconds; the latter without zeros at the end. Returns its length, or 0.
 */
static size_t fraction(const char *at)
{
    size_t n = 1;

    if ((*at != '.' && *at != ',') || (at[1] != '0' && at[1] != '9'))
        return 0;
    while (at[n] == at[1])
        n++;
    return isdigit((unsigned char)at[n]) ? 0 : n;
}

static int put_fraction(struct text *out, const char *at, size_t n, unsigned int ns)
{
    char digits[16];

    (void)snprintf(digits, sizeof(digits), "%c%09u", *at, ns);
    if (n < 10)
        digits[n] = '\0';
    if (at[1] == '9') {
        size_t end = strlen(digits);

        while (end > 1 && digits[end - 1] == '0')
            digits[--end] = '\0';
        if (end == 1)
            return 0;
    }
    return text_puts(out, digits);
}

static size_t find_part(const char *at)
{
    size_t i = 0;

    while (i < ARRAY_LEN(parts) && strncmp(at, parts[i].layout, strlen(parts[i].layout)) != 0)
        i++;
    /* "Janet" is no month */
    if (i < ARRAY_LEN(parts) && strcmp(parts[i].layout, "Jan") == 0 &&
        islower((unsigned char)at[3]))
        return ARRAY_LEN(parts);
    if (i < ARRAY_LEN(parts) && strcmp(parts[i].layout, "Mon") == 0 &&
        islower((unsigned char)at[3]))
        return ARRAY_LEN(parts);
    return i;
}

/* The formats stand in the table above, where the compiler does not see them. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static int put_strftime(struct text *out, const char *format, const struct tm *tm)
{
    char buf[64];

    (void)strftime(buf, sizeof(buf), format, tm);
    return text_puts(out, buf);
}
#pragma GCC diagnostic pop

static int put_time(struct text *out, const char *layout, const struct moment *t)
{
    int r = 0;

    while (*layout && !r) {
        size_t n = fraction(layout), i = find_part(layout);

        if (n) {
            r = put_fraction(out, layout, n, t->ns);
            layout += n;
        } else if (i == ARRAY_LEN(parts)) {
            r = text_add(out, layout++, 1);
        } else if (!parts[i].strftime) {
            r = put_odd(out, parts[i].layout, &t->tm);
            layout += strlen(parts[i].layout);
        } else {
            r = put_strftime(out, parts[i].strftime, &t->tm);
            layout += strlen(parts[i].layout);
        }
    }
    return r;
}

static int fn_timestamp(struct call *c, json_t **ret)
{
    const char *layout = "2006-01-02T15:04:05Z07:00";
    struct moment t = {.seconds = c->ev->in->now_ns / 1000000000,
                       .ns = (unsigned int)(c->ev->in->now_ns % 1000000000)};
    time_t seconds = (time_t)t.seconds;
    struct text out;
    size_t size;
    int r = c->n ? call_string(c, 0, &layout, &size) : 0;

    if (r)
        return r;
    (void)gmtime_r(&seconds, &t.tm);
    text_init(&out, c->ev);
    if (strcmp(layout, "unix") == 0)
        r = text_printf(&out, "%llu", (unsigned long long)t.seconds);
    else
        r = put_time(&out, layout, &t);
    return text_finish(&out, r, ret);
}

const function functions_time[TMPL_FN_N] = {
    [TMPL_FN_TIMESTAMP] = fn_timestamp,
};
