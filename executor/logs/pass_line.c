/* SPDX-License-Identifier: MIT
 *
 * The short way of a line that comes alone, from the pipe into the segment; all that is less simple
 * goes the long one, in pump.c. Apart from the kernel, what it costs is the pages it touches, which
 * are cold for a process that slept a tenth of a second: so this is one piece of code, next to
 * wait.c's (the linker puts "hot" functions together), with no call of libc and a small buffer.
 */
#include "executor/logs/pump.h"
#include "shared/clock.h"
#include "shared/direct.h"

enum {
    LINE = 512, /* what is longer is not alone for long, or rare */
    QUICK_CHECKS = 2,
};

/* As check_place() of pump.c, which looks for more, and so now and then does it all the same. */
QUICK static bool is_in_place(struct pump *p)
{
    uint64_t ticks = clock_ticks();

    if ((ticks - p->checked_ticks) >> 32 == 0)
        return true;
    if (p->quick_checks++ >= QUICK_CHECKS || direct_is_removed(p->writer.fd))
        return false;
    p->checked_ticks = ticks;
    return true;
}

QUICK bool pump_pass_line(struct pump *p)
{
    char line[LINE];
    ssize_t n, done;

    if (p->buf || p->loss.error || !writer_is_far(&p->writer, sizeof(line)) || !is_in_place(p))
        return false;
    n = direct_read(p->fd, line, sizeof(line));
    if (n <= 0)
        return n < 0; /* EAGAIN; or EOF, which the loop will find, too */
    p->taken += (uint64_t)n;
    done = direct_write(p->writer.fd, line, (size_t)n);
    if (done == n) {
        writer_wrote(&p->writer, line, (size_t)n);
        return n < (ssize_t)sizeof(line);
    }
    if (done > 0)
        writer_wrote(&p->writer, line, (size_t)done);
    else
        done = 0; /* pump_put() finds out why */
    pump_put(p, line + done, (size_t)(n - done));
    return false;
}
