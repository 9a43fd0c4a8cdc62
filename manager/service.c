/* SPDX-License-Identifier: MIT
 *
 * The watchdog (WATCHDOG_USEC, sd_watchdog_enabled(3)) is fed by a timer on the loop, at half the
 * time it allows: a loop that hangs feeds nobody.
 */
#include "manager/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/notify.h"

static char *notify_path; /* NULL: nobody wants to be told */
static double watchdog_s; /* seconds after which this process is taken for dead; 0: never */
static ev_timer watchdog;

static void tell(const char *state)
{
    int r = notify_send(notify_path, state);

    if (r < 0)
        log_warn("tell the init system \"%s\" over NOTIFY_SOCKET: %s", state, strerror(-r));
}

static void on_watchdog_due(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void)loop;
    (void)w;
    (void)revents;
    tell("WATCHDOG=1");
}

void service_init(void)
{
    static const char *const names[] = {"NOTIFY_SOCKET",  "WATCHDOG_USEC",
                                        "WATCHDOG_PID",   "INVOCATION_ID",
                                        "JOURNAL_STREAM", "SYSTEMD_EXEC_PID"}; /* systemd.exec(5) */
    const char *path = getenv("NOTIFY_SOCKET"), *usec = getenv("WATCHDOG_USEC"),
               *pid = getenv("WATCHDOG_PID");

    if (path && !(notify_path = strdup(path)))
        abort();
    if (usec && (!pid || strtol(pid, NULL, 10) == getpid()))
        watchdog_s = (double)strtoull(usec, NULL, 10) / 1e6;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)unsetenv(names[i]);
}

void service_ready(struct ev_loop *loop)
{
    ev_timer_init(&watchdog, on_watchdog_due, watchdog_s / 2, watchdog_s / 2);
    if (watchdog_s > 0)
        ev_timer_start(loop, &watchdog);
    tell("READY=1");
}

void service_reloading(void)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
                   (unsigned long long)clock_now_ns(CLOCK_MONOTONIC) / 1000);
    tell(text);
}

void service_reloaded(void)
{
    tell("READY=1");
}

void service_stopping(struct ev_loop *loop)
{
    ev_timer_stop(loop, &watchdog);
    tell("STOPPING=1");
    free(take_ptr(notify_path));
}
