/* SPDX-License-Identifier: MIT
 *
 * One line is one write(2): lines of several processes on one stderr do not mix, and a sink that
 * cannot take one loses that line only. A pipe is ready when it has room for PIPE_BUF bytes, more
 * than a line has, so the write does not wait either; O_NONBLOCK would be set for whoever else has
 * the same stderr, a shell for example.
 */
#include "shared/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "shared/clock.h"

static const char *const names[LOG_LEVEL_N] = {"debug", "info", "warn", "error"};
static const char *const tags[LOG_LEVEL_N] = {"[DEBUG]", "[INFO]", "[WARN]", "[ERROR]"};
static enum log_level threshold = LOG_LEVEL_INFO;
static unsigned long dropped;

void log_set_level(enum log_level level)
{
    threshold = level;
}

int log_level_parse(const char *text)
{
    for (int i = 0; i < LOG_LEVEL_N; i++)
        if (strcasecmp(text, names[i]) == 0)
            return i;
    return -EINVAL;
}

static bool put(const char *line, size_t n)
{
    struct pollfd sink = {.fd = STDERR_FILENO, .events = POLLOUT};

    return poll(&sink, 1, 0) == 1 && (sink.revents & POLLOUT) &&
           write(STDERR_FILENO, line, n) == (ssize_t)n;
}

void log_message(enum log_level level, const char *fmt, ...)
{
    char line[1024];
    _Static_assert(sizeof(line) <= PIPE_BUF, "a pipe with room takes a line whole");
    char when[CLOCK_TEXT_BYTES];
    va_list ap;
    size_t n;
    int len;

    if (level < threshold)
        return;
    n = (size_t)snprintf(line, sizeof(line), "%s %-7s ",
                         clock_format(clock_now_ns(CLOCK_REALTIME), when), tags[level]);
    if (dropped)
        n += (size_t)snprintf(line + n, sizeof(line) - n, "(%lu lines lost before this) ", dropped);
    va_start(ap, fmt);
    len = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
    va_end(ap);
    n += len < 0 ? 0 : (size_t)len;
    if (n > sizeof(line) - 2)
        n = sizeof(line) - 2;
    line[n++] = '\n';
    if (put(line, n))
        dropped = 0;
    else
        dropped++;
}
