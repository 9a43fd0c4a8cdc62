/* SPDX-License-Identifier: MIT
 *
 * Text to number and back, without floating point: fractions are scaled as integers, so "1.5s" is
 * exact and a value that does not fit is refused, never rounded into range. The static executor
 * links this file, so it stays free of anything but libc's string functions.
 */
#include "shared/units.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "shared/cleanup.h"

struct unit {
    const char *name;
    uint64_t scale;
};

/* Longer names first where one begins another. */
static const struct unit durations[] = {
    {"ns", 1ULL},         {"us", 1000ULL},       {"\u00b5s", 1000ULL},    {"ms", 1000000ULL},
    {"s", 1000000000ULL}, {"m", 60000000000ULL}, {"h", 3600000000000ULL},
};

/* Reads a run of digits and moves behind it. 1 if there was a digit, 0 if none, -ERANGE. */
static int read_whole(const char **at, uint64_t *ret)
{
    const char *p = *at;
    uint64_t value = 0;

    for (; isdigit((unsigned char)*p); p++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return -ERANGE;
    *ret = value;
    if (p == *at)
        return 0;
    *at = p;
    return 1;
}

/* Skips ".ddd" and leaves *ret_digits at its first digit (NULL without a fraction). Returns how
 * many digits there are. */
static size_t skip_fraction(const char **at, const char **ret_digits)
{
    size_t n;

    *ret_digits = NULL;
    if (**at != '.')
        return 0;
    n = strspn(*at + 1, "0123456789");
    *ret_digits = *at + 1;
    *at += 1 + n;
    return n;
}

static const struct unit *find_duration_unit(const char *at)
{
    for (size_t i = 0; i < ARRAY_LEN(durations); i++)
        if (strncmp(at, durations[i].name, strlen(durations[i].name)) == 0)
            return &durations[i];
    return NULL;
}

/* The digits behind the point as a part of `scale`. Every scale divides by ten down to less than a
 * microsecond's worth of nanoseconds; what is finer is cut, as Go cuts it. */
static uint64_t fraction_of(const char *digits, size_t n, uint64_t scale)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n && scale >= 10; i++) {
        sum += (uint64_t)(digits[i] - '0') * (scale / 10);
        scale /= 10;
    }
    return sum;
}

static int read_duration_part(const char **at, uint64_t *total)
{
    const struct unit *unit;
    const char *digits;
    uint64_t whole;
    size_t n_digits;
    int r;

    r = read_whole(at, &whole);
    if (r < 0)
        return r;
    n_digits = skip_fraction(at, &digits);
    if (r == 0 && n_digits == 0)
        return -EINVAL;
    unit = find_duration_unit(*at);
    if (!unit)
        return -EINVAL;
    *at += strlen(unit->name);
    if (__builtin_mul_overflow(whole, unit->scale, &whole) ||
        __builtin_add_overflow(*total, whole, total) ||
        __builtin_add_overflow(*total, fraction_of(digits, n_digits, unit->scale), total))
        return -ERANGE;
    return 0;
}

int duration_parse(const char *text, uint64_t *ret_ns)
{
    uint64_t total = 0;

    if (strcmp(text, "0") != 0) {
        do {
            int r = read_duration_part(&text, &total);

            if (r < 0)
                return r;
        } while (*text);
    }
    *ret_ns = total;
    return 0;
}

/* "1.25" and "s": `value` in units of `scale`, without zeros at the end of the fraction. */
static void append_scaled(char *buf, uint64_t size, uint64_t value, uint64_t scale,
                          const char *unit)
{
    char fraction[12];
    size_t used = strlen(buf), n = 0;
    uint64_t whole = value / scale;

    value %= scale;
    if (value)
        fraction[n++] = '.';
    while (value) {
        scale /= 10;
        fraction[n++] = (char)('0' + value / scale);
        value %= scale;
    }
    fraction[n] = '\0';
    (void)snprintf(buf + used, size - used, "%llu%s%s", (unsigned long long)whole, fraction, unit);
}

const char *duration_format(uint64_t ns, char *buf, uint64_t size)
{
    const uint64_t second = 1000000000ULL;
    uint64_t hours = ns / (3600 * second), minutes = ns / (60 * second) % 60;

    if (size == 0)
        return buf;
    buf[0] = '\0';
    if (ns == 0)
        (void)snprintf(buf, size, "0s");
    else if (ns < 1000)
        append_scaled(buf, size, ns, 1, "ns");
    else if (ns < 1000000)
        append_scaled(buf, size, ns, 1000, "us");
    else if (ns < second)
        append_scaled(buf, size, ns, 1000000, "ms");
    else {
        if (hours)
            (void)snprintf(buf, size, "%lluh%llum", (unsigned long long)hours,
                           (unsigned long long)minutes);
        else if (minutes)
            (void)snprintf(buf, size, "%llum", (unsigned long long)minutes);
        append_scaled(buf, size, ns % (60 * second), second, "s");
    }
    return buf;
}

int size_parse(const char *text, uint64_t *ret_bytes)
{
    static const char prefixes[] = "KMGT";
    uint64_t value;
    int r = read_whole(&text, &value);

    if (r <= 0)
        return r < 0 ? r : -EINVAL;
    if (*text && *text != 'B') {
        const char *prefix = strchr(prefixes, toupper((unsigned char)*text));

        if (!prefix)
            return -EINVAL;
        if (__builtin_mul_overflow(value, 1ULL << (10 * (prefix - prefixes + 1)), &value))
            return -ERANGE;
        text++;
        if (text[0] == 'i' && text[1] == 'B')
            text++;
    }
    if (*text == 'B')
        text++;
    if (*text)
        return -EINVAL;
    *ret_bytes = value;
    return 0;
}

int signal_parse(const char *name)
{
    uint64_t number;

    if (strncasecmp(name, "SIG", 3) == 0)
        name += 3;
    if (read_whole(&name, &number) > 0)
        return *name == '\0' && number > 0 && number < NSIG ? (int)number : -EINVAL;
    for (int i = 1; i < NSIG; i++)
        if (sigabbrev_np(i) && strcasecmp(name, sigabbrev_np(i)) == 0)
            return i;
    return strcasecmp(name, "IOT") == 0 ? SIGABRT : -EINVAL;
}

const char *signal_name(int signo)
{
    static char name[16];
    const char *abbrev = sigabbrev_np(signo);

    if (abbrev)
        (void)snprintf(name, sizeof(name), "SIG%s", abbrev);
    else
        (void)snprintf(name, sizeof(name), "SIG%d", signo);
    return name;
}
