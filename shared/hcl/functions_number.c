/* SPDX-License-Identifier: MIT
 *
 * Functions on numbers.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "shared/cleanup.h"
#include "shared/hcl/functions.h"
#include "shared/hcl/json.h"

static int f_abs(struct call *c)
{
    double n;
    int r = call_number(c, 0, &n);

    return r < 0 ? r : call_give_number(c, fabs(n));
}

static int f_ceil(struct call *c)
{
    double n;
    int r = call_number(c, 0, &n);

    return r < 0 ? r : call_give_number(c, ceil(n));
}

static int f_floor(struct call *c)
{
    double n;
    int r = call_number(c, 0, &n);

    return r < 0 ? r : call_give_number(c, floor(n));
}

static int f_pow(struct call *c)
{
    double a, b;
    int r = call_number(c, 0, &a);

    if (r == 0)
        r = call_number(c, 1, &b);
    return r < 0 ? r : call_give_number(c, pow(a, b));
}

static int f_log(struct call *c)
{
    double n, base;
    int r = call_number(c, 0, &n);

    if (r == 0)
        r = call_number(c, 1, &base);
    return r < 0 ? r : call_give_number(c, log(n) / log(base));
}

static int f_signum(struct call *c)
{
    double n;
    int r = call_number(c, 0, &n);

    return r < 0 ? r : call_give_number(c, (n > 0) - (n < 0));
}

static int most(struct call *c, bool largest)
{
    double best = 0, n;
    int r = 0;

    for (size_t i = 0; r == 0 && i < c->n; i++) {
        r = call_number(c, i, &n);
        if (r == 0 && (i == 0 || (largest ? n > best : n < best)))
            best = n;
    }
    return r < 0 ? r : call_give_number(c, best);
}

static int f_max(struct call *c)
{
    return most(c, true);
}

static int f_min(struct call *c)
{
    return most(c, false);
}

/* Digits are 0-9, a-z, and A-Z: the same as a-z up to the base 36, more above it. */
static int digit_of(char c, int base)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'Z')
        return c - 'A' + (base > 36 ? 36 : 10);
    return base;
}

static int f_parseint(struct call *c)
{
    const char *text, *at;
    double base, n = 0;
    int r = call_text(c, 0, &text);

    if (r == 0)
        r = call_number(c, 1, &base);
    if (r < 0)
        return r;
    if (base < 2 || base > 62 || base != floor(base))
        return call_fail(c, "the base of parseint() is 2 to 62");
    at = text + (*text == '-' || *text == '+');
    for (r = *at ? 0 : 1; *at && r == 0; at++) {
        int digit = digit_of(*at, (int)base);

        n = n * base + digit;
        r = digit >= (int)base;
    }
    if (r)
        return call_fail(c, "\"%.64s\" is no number to the base %d", text, (int)base);
    return call_give_number(c, *text == '-' ? -n : n);
}

static int f_range(struct call *c)
{
    double start = 0, limit, step;
    int r = call_number(c, c->n == 1 ? 0 : 1, &limit);

    if (r == 0 && c->n > 1)
        r = call_number(c, 0, &start);
    step = start <= limit ? 1 : -1;
    if (r == 0 && c->n > 2)
        r = call_number(c, 2, &step);
    if (r == 0 && (step == 0 || fabs(limit - start) / fabs(step) > 65536))
        r = call_fail(c, "range() of more than 65536 numbers");
    call_give_list(c);
    for (double n = start; r == 0 && (step > 0 ? n < limit : n > limit); n += step) {
        const struct hcl_value item = {.kind = HCL_NUMBER, .number = n};

        r = call_add(c, NULL, &item);
    }
    return r;
}

const struct function functions_number[] = {
    {"abs", 1, 1, f_abs},
    {"ceil", 1, 1, f_ceil},
    {"floor", 1, 1, f_floor},
    {"log", 2, 2, f_log},
    {"max", 1, 0, f_max},
    {"min", 1, 0, f_min},
    {"parseint", 2, 2, f_parseint},
    {"pow", 2, 2, f_pow},
    {"range", 1, 3, f_range},
    {"signum", 1, 1, f_signum},
    {0},
};
