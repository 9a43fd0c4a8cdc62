/* SPDX-License-Identifier: MIT
 *
 * Texts are cut at the size of the buffer; a cut text is still a terminated string.
 */
#include "shared/err.h"

#include <stdio.h>
#include <string.h>

static void format(struct err *e, const char *tail, const char *fmt, va_list ap)
{
    int n = vsnprintf(e->text, sizeof(e->text), fmt, ap);

    if (tail && n >= 0 && (size_t)n < sizeof(e->text))
        (void)snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %s", tail);
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
    va_list ap;

    if (!e)
        return code;
    e->code = code;
    va_start(ap, fmt);
    format(e, NULL, fmt, ap);
    va_end(ap);
    return code;
}

int err_sys(struct err *e, int code, const char *fmt, ...)
{
    va_list ap;

    if (!e)
        return code;
    e->code = code;
    va_start(ap, fmt);
    format(e, strerrordesc_np(-code) ? strerrordesc_np(-code) : "unknown error", fmt, ap);
    va_end(ap);
    return code;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    struct err inner;
    va_list ap;

    if (!e)
        return 0;
    inner = *e;
    va_start(ap, fmt);
    format(e, inner.text, fmt, ap);
    va_end(ap);
    return e->code;
}
