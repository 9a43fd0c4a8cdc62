/* SPDX-License-Identifier: MIT
 *
 * cleat-executor: supervises one task.
 *
 *   cleat-executor supervise DIR     for a manager; DIR is the task's state directory, proto/wire.h
 *   cleat-executor run … -- CMD …    in the foreground, without a manager
 *   cleat-executor exec … DIR -- …   one more command inside a running task, proto/exec.h
 *   cleat-executor hold              for an init system: keeps the cgroup of all tasks, hold.h
 *   cleat-executor check|resume FD   for itself: live upgrade, executor/handover.h
 *   cleat-executor remove … DIR …    for a manager without root, executor/remove.h
 *
 * Outlives: every manager, the closing of its standard streams, SIGHUP, SIGINT, SIGQUIT, SIGTERM,
 * SIGXFSZ and SIGPIPE (under `run`, SIGINT, SIGTERM and SIGHUP stop the task). Dies of: the end of
 * its task, SIGKILL; the task then dies with it; SIGPWR, after it has stopped the task. `exec`
 * outlives nothing.
 */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "executor/handover.h"
#include "executor/hold.h"
#include "executor/record.h"
#include "executor/remove.h"
#include "executor/run/exec.h"
#include "executor/run/run.h"
#include "executor/supervisor.h"
#include "shared/cleanup.h"
#include "shared/evloop.h"
#include "shared/proto/wire.h"
#include "shared/statefile.h"
#include "shared/sys.h"

static const char usage[] =
    "usage: cleat-executor supervise DIR\n"
    "       cleat-executor run [options] -- COMMAND [ARG …]   (see cleat-executor run -help)\n"
    "       cleat-executor exec [-tty] [-control] DIR -- COMMAND [ARG …]\n"
    "       cleat-executor hold\n"
    "       cleat-executor -version | -help\n"
    "\n"
    "Supervises one task: sets up its root, namespaces, cgroup and user, rotates its logs,\n"
    "restarts and stops it. `supervise` is for cleat-manager, and so is `exec`, which runs one "
    "more\n"
    "command inside a running task. `hold` is for an init system: it keeps the cgroup of all "
    "tasks.\n";

static bool is_ignored(int signo)
{
    struct sigaction sa;

    return sigaction(signo, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN;
}

static void ignore(int signo)
{
    (void)signo;
}

/* Handlers that do nothing, not SIG_IGN: execve(2) resets them, so the task starts with the
 * defaults without a system call per signal. Whichever comes before evloop_watch_signals() waits
 * for it, blocked: a stop must not be lost because it comes early. */
static void outlive_signals(void)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGXFSZ, SIGPWR};
    struct sigaction sa = {.sa_handler = ignore, .sa_flags = SA_RESTART};
    sigset_t all;

    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        (void)sigaction(signals[i], &sa, NULL);
}

static int read_spec(int dir, struct exec_spec **ret_spec, struct err *e)
{
    autofree char *data = NULL;
    uint32_t version;
    size_t size;
    int r = statefile_read(dir, WIRE_SPEC, SPEC_MAX_BYTES, &version, &data, &size, e);

    if (!r && version > SPEC_VERSION)
        r = err_set(e, -ENOTSUP,
                    "the spec has format %u, this release (" CLEAT_VERSION ") knows up to %d",
                    version, SPEC_VERSION);
    return r < 0 ? r : spec_decode(data, size, ret_spec, e);
}

static int fail(const struct err *e, enum wire_exit code)
{
    (void)dprintf(STDERR_FILENO, "cleat-executor: %s\n", e->text);
    return (int)code;
}

static void on_power_failure(struct ev_loop *loop, struct ev_signal *w, int revents)
{
    (void)loop;
    (void)revents;
    supervisor_leave(w->data);
}

/* A loop that watches for SIGPWR, before there is a task. */
static struct ev_loop *make_loop(struct ev_signal *on_power)
{
    struct ev_loop *loop = evloop_new(EVFLAG_NOENV);

    ev_signal_init(on_power, on_power_failure, SIGPWR);
    evloop_watch_signals(loop, on_power, 1);
    return loop;
}

static int keep(struct ev_loop *loop, struct ev_signal *on_power, struct supervisor *s)
{
    on_power->data = s;
    supervisor_run(s);
    ev_signal_stop(loop, on_power);
    (void)supervisor_free(s);
    ev_loop_destroy(loop);
    return WIRE_EXIT_OK;
}

static int supervise(const char *path)
{
    autofd int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct exec_spec *spec = NULL;
    struct supervisor *s = NULL;
    struct err e = ERR_INIT;
    struct ev_signal on_power;
    struct ev_loop *loop;
    int status_fd, r;

    if (dir < 0) {
        (void)err_sys(&e, -errno, "open the task's state directory %s", path);
        return fail(&e, WIRE_EXIT_STATE);
    }
    status_fd = record_lock(dir, &e);
    if (status_fd < 0)
        return fail(&e, status_fd == -EBUSY ? WIRE_EXIT_LOCKED : WIRE_EXIT_STATE);
    if (read_spec(dir, &spec, &e) < 0)
        return fail(&e, WIRE_EXIT_STATE);
    loop = make_loop(&on_power);
    r = record_check_order(spec, getenv(WIRE_ORDER_ENV), &e);
    if (r == 0)
        r = supervisor_new(loop, spec, dir, status_fd, &s, &e);
    if (r == 0)
        return keep(loop, &on_power, s);
    (void)spec_free(spec);
    ev_signal_stop(loop, &on_power);
    ev_loop_destroy(loop);
    return fail(&e, r == -EBUSY ? WIRE_EXIT_LOCKED : WIRE_EXIT_STATE);
}

/* After or, with `check`, before a live upgrade (handover.h). */
static int resume(const char *number, bool check)
{
    autofd int memfd = (int)strtol(number, NULL, 10), dir = -1;
    struct exec_spec *spec = NULL;
    struct supervisor *s = NULL;
    struct err e = ERR_INIT;
    struct ev_signal on_power;
    struct task_status status;
    struct ev_loop *loop;
    struct handover h;
    int r = handover_read(memfd, &h, &spec, &status, &e);

    if (r == 0 && check) {
        handover_free_held(&h);
        (void)spec_free(spec);
        return 0;
    }
    if (r == 0) {
        dir = h.state_dir;
        close_fd(&memfd);
        loop = make_loop(&on_power);
        r = supervisor_resume(loop, &h, spec, &status, &s, &e);
        handover_free_held(&h);
    }
    return r ? fail(&e, WIRE_EXIT_STATE) : keep(loop, &on_power, s);
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";

    if (strcmp(verb, "supervise") == 0 && argc == 3) {
        (void)sys_close_range(3, ~0U, 0); /* whatever a careless parent left open */
        outlive_signals();
        return supervise(argv[2]);
    }
    if (strcmp(verb, "resume") == 0 && argc >= 3) {
        outlive_signals();
        return resume(argv[2], false);
    }
    if (strcmp(verb, "check") == 0 && argc == 3)
        return resume(argv[2], true);
    if (strcmp(verb, "run") == 0) {
        bool hangs_up = !is_ignored(SIGHUP); /* as nohup(1) does */

        outlive_signals();
        return run_main(argc - 1, argv + 1, hangs_up);
    }
    if (strcmp(verb, "exec") == 0)
        return exec_main(argc, argv);
    if (strcmp(verb, "remove") == 0)
        return remove_main(argc, argv);
    if (strcmp(verb, "hold") == 0 && argc == 2)
        return hold_main();
    verb += strspn(verb, "-");
    if (strcmp(verb, "version") == 0) {
        (void)printf("cleat-executor %s\n", CLEAT_VERSION);
        return 0;
    }
    if (strcmp(verb, "help") == 0 || strcmp(verb, "h") == 0) {
        (void)fputs(usage, stdout);
        return 0;
    }
    (void)fputs(usage, stderr);
    return WIRE_EXIT_USAGE;
}
