/* SPDX-License-Identifier: MIT
 *
 * The state is written down twice: for the check, and again, as it is by then, for the exec.
 */
#include "executor/upgrade.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "shared/cleanup.h"
#include "shared/sys.h"

static const ev_tstamp check_limit_s = 10.0;

static void end(struct upgrade *u)
{
    ev_io_stop(u->loop, &u->checked);
    ev_timer_stop(u->loop, &u->late);
    close_fd(&u->checked.fd);
    free(u->path);
    u->path = NULL;
}

static void fail(struct upgrade *u, const char *why)
{
    end(u);
    u->failed(u->arg, why);
}

static void become(struct upgrade *u)
{
    struct err e = ERR_INIT;
    autofd int memfd = -1;
    struct handover h;
    int r = u->hand_over(u->arg, &h, &memfd, &e);

    if (!r)
        (void)handover_exec(&h, u->path, memfd, &e);
    fail(u, e.text); /* only reached when it failed */
}

static void on_checked(struct ev_loop *loop, struct ev_io *w, int revents)
{
    struct upgrade *u = container_of(w, struct upgrade, checked);
    char why[160];
    int status = 0;

    (void)loop;
    (void)revents;
    (void)waitpid(u->check_pid, &status, 0);
    u->check_pid = 0;
    if (status == 0) {
        become(u);
        return;
    }
    (void)snprintf(why, sizeof(why), "%.80s failed its self-check (%s %d)", u->path,
                   WIFSIGNALED(status) ? "signal" : "exit code",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    fail(u, why);
}

static void on_late(struct ev_loop *loop, struct ev_timer *w, int revents)
{
    struct upgrade *u = container_of(w, struct upgrade, late);

    (void)loop;
    (void)revents;
    (void)sys_pidfd_send_signal(u->checked.fd, SIGKILL); /* on_checked() tells of it */
}

void upgrade_begin(struct upgrade *u, const char *path)
{
    struct err e = ERR_INIT;
    autofd int memfd = -1;
    struct handover h;
    int pidfd, r;

    if (u->path)
        return;
    u->path = strdup(path);
    if (!u->path)
        abort();
    r = path[0] == '/' ? u->hand_over(u->arg, &h, &memfd, &e)
                       : err_set(&e, -EINVAL, "\"%s\" is no absolute path", path);
    pidfd = r ? r : handover_check(path, memfd, &u->check_pid, &e);
    if (pidfd < 0) {
        fail(u, e.text);
        return;
    }
    ev_io_set(&u->checked, pidfd, EV_READ);
    ev_io_start(u->loop, &u->checked);
    ev_timer_set(&u->late, check_limit_s, 0.);
    ev_timer_start(u->loop, &u->late);
}

void upgrade_init(struct upgrade *u, struct ev_loop *loop, upgrade_hand_over_cb *hand_over,
                  upgrade_failed_cb *failed, void *arg)
{
    *u = (struct upgrade){.loop = loop, .hand_over = hand_over, .failed = failed, .arg = arg};
    ev_io_init(&u->checked, on_checked, -1, EV_READ);
    ev_init(&u->late, on_late);
}

void upgrade_deinit(struct upgrade *u)
{
    end(u);
}
