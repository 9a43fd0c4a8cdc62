/* SPDX-License-Identifier: MIT
 *
 * Apart from the kernel, what a line costs is the pages it touches, which are cold for a process
 * that slept a tenth of a second, 0.3 to 1 µs each (measured). Here that is one of code, next to
 * wait.c's, and one or two of the stack: no libc, nothing of the heap.
 */
#include "executor/logs/pass_line.h"

#include "executor/direct.h"
#include "shared/clock.h"

enum {
    CHECKS = 2, /* then, or after as long, the pump does it, which looks for more */
};

void line_way_open(struct line_way *way, const struct pump *p)
{
    way->from = p->fd;
    way->to = p->writer.fd;
    way->checks = p->quick_checks;
    way->room = p->buf || p->loss.error ? 0 : writer_room(&p->writer);
    way->checked_ticks = p->checked_ticks;
    way->passed = 0;
    way->rest = 0;
}

/* As check_place() of the pump. */
QUICK static bool is_in_place(struct line_way *way)
{
    uint64_t ticks = clock_ticks(), passed = (ticks - way->checked_ticks) >> 32;

    if (passed == 0)
        return true;
    if (passed > CHECKS || way->checks++ >= CHECKS || direct_is_removed(way->to))
        return false;
    way->checked_ticks = ticks;
    return true;
}

QUICK bool line_way_pass(struct line_way *way, char line[LINE])
{
    ssize_t n, done;

    if (way->room < LINE || !is_in_place(way))
        return false;
    n = direct_read(way->from, line, LINE);
    if (n <= 0)
        return n < 0; /* EAGAIN; or EOF, which the loop will find, too */
    done = direct_write(way->to, line, (size_t)n);
    if (done < 0)
        done = 0; /* the pump finds out why */
    if (done > 0)
        way->last = line[done - 1];
    way->passed += (uint64_t)done;
    way->room -= (uint64_t)done;
    way->rest_at = (size_t)done;
    way->rest = (size_t)(n - done);
    return done == n && n < LINE;
}

void line_way_close(const struct line_way *way, const char line[LINE], struct pump *p)
{
    p->taken += way->passed + way->rest;
    if (way->passed)
        writer_wrote(&p->writer, way->passed, way->last);
    p->checked_ticks = way->checked_ticks;
    p->quick_checks = way->checks;
    if (way->rest)
        pump_put(p, line + way->rest_at, way->rest);
}
