/* SPDX-License-Identifier: MIT
 *
 * A child that is not reaped keeps its pid, so the signal cannot reach another. Killing goes from
 * parents to children: those of a killed one become ours and are found by the next look.
 */
#include "executor/orphans.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/cleanup.h"

static bool is_spare(const struct orphans *o, pid_t pid)
{
    for (int i = 0; i < ORPHANS_SPARE; i++)
        if (pid == *o->spare[i])
            return true;
    return false;
}

/* Reaps the orphans that have ended, and with `kill_them` kills the others. True: there were some
 * that ended or can be killed. Those that are reaped make gaps in the list while it is read
 * (proc_tid_children(5)), so that after a true it is to be read again. */
static bool sweep(struct orphans *o, bool kill_them)
{
    autoclose FILE *children = NULL;
    bool any = false;
    char path[64];
    pid_t pid;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    children = fopen(path, "re");
    while (children && fscanf(children, "%d", &pid) == 1)
        if (!is_spare(o, pid))
            any |= waitpid(pid, NULL, WNOHANG) != 0 || (kill_them && kill(pid, SIGKILL) == 0);
    return any;
}

static void on_ended(struct ev_loop *loop, struct ev_signal *w, int revents)
{
    (void)loop;
    (void)revents;
    while (sweep(container_of(w, struct orphans, ended), false))
        ;
}

void orphans_start(struct orphans *o, struct ev_loop *loop, const pid_t *const spare[ORPHANS_SPARE])
{
    if (o->loop)
        return;
    *o = (struct orphans){.loop = loop};
    memcpy(o->spare, spare, sizeof(o->spare));
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    ev_signal_init(&o->ended, on_ended, SIGCHLD);
    ev_signal_start(loop, &o->ended);
}

bool orphans_kill(struct orphans *o)
{
    return o->loop && sweep(o, true);
}

void orphans_stop(struct orphans *o)
{
    if (o->loop)
        ev_signal_stop(o->loop, &o->ended);
    o->loop = NULL;
}
