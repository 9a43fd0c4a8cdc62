/* SPDX-License-Identifier: MIT
 *
 * Order at the end: what is in the log pipes is written, the exit is told, what is left is killed,
 * the logs are drained to their end, the cgroup goes, and only then is the attempt cleared. With a
 * private pid namespace the first child's death means that everything in the namespace is dead.
 */
#include "executor/attempt.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "executor/handover.h"
#include "executor/isolation/plan.h"
#include "executor/launch.h"
#include "executor/report.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/sys.h"
#include "shared/units.h"

static const ev_tstamp clear_first_s = 0.001; /* between looks whether the cgroup is empty … */
static const ev_tstamp clear_last_s = 0.1;    /* … doubling up to this */
static const uint64_t drain_bound_ns = 1000000000; /* for the logs' end after all is dead */

static void say(struct attempt *a, const char *what, int error)
{
    char text[256];

    (void)snprintf(text, sizeof(text), "cannot %s: %s", what, strerrordesc_np(-error));
    a->ops->say(a->arg, text);
}

/* Streams */

static void drain_logs(struct attempt *a)
{
    for (int i = 0; i < STREAM_N; i++)
        pump_drain(&a->pumps[i]);
}

static bool logs_ended(const struct attempt *a)
{
    for (int i = 0; i < STREAM_N; i++)
        if (a->pumps[i].fd >= 0 || pump_is_blocked(&a->pumps[i]))
            return false;
    return true;
}

/* `fds` are those of stdout and stderr. */
static int open_streams(struct attempt *a, int fds[STREAM_N], struct err *e)
{
    bool give = a->spec->set_user && !a->spec->rootless; /* else stage "user" does it */
    uid_t uid = give ? spec_host_id(a->spec, a->spec->uid) : (uid_t)-1;
    gid_t gid = give ? spec_host_id(a->spec, a->spec->gid) : (gid_t)-1;
    int r = 0;

    if (a->spec->logs.disabled) {
        fds[STREAM_STDOUT] = a->own_streams ? STDOUT_FILENO : -1;
        fds[STREAM_STDERR] = a->own_streams ? STDERR_FILENO : -1;
        return 0;
    }
    for (int i = 0; !r && i < STREAM_N; i++)
        r = pump_attach(&a->pumps[i], uid, gid, &fds[i], e);
    return r;
}

static void close_streams(struct attempt *a, int fds[STREAM_N])
{
    for (int i = 0; i < STREAM_N; i++)
        if (!a->spec->logs.disabled)
            close_fd(&fds[i]);
}

/* Starting */

static void stage_failed(struct attempt *a, const char *stage, int error, const char *text)
{
    a->failed_stage = stage;
    a->failed_error = error;
    a->ops->stage_failed(a->arg, stage, error, text);
}

static void watch_child(struct attempt *a, pid_t pid, int pidfd, int report_fd)
{
    a->child_pid = pid;
    a->child_fd = pidfd;
    a->report_fd = report_fd;
    if (report_fd >= 0) {
        ev_io_set(&a->reported, report_fd, EV_READ);
        ev_io_start(a->loop, &a->reported);
    }
    if (pidfd >= 0) {
        ev_io_set(&a->child_dead, pidfd, EV_READ);
        ev_io_start(a->loop, &a->child_dead);
    }
}

static void hold_together(struct attempt *a)
{
    const pid_t *const spare[ORPHANS_SPARE] = {&a->child_pid, a->other_children[0],
                                               a->other_children[1]};

    if (!cgroup_usable(&a->cgroup) && !a->spec->private_pid)
        orphans_start(&a->orphans, a->loop, spare);
}

void attempt_start(struct attempt *a, uint32_t number)
{
    int fds[3] = {a->own_streams ? STDIN_FILENO : -1, -1, -1};
    struct err e = ERR_INIT;
    const char *stage = "cgroup";
    struct launched l;
    int r;

    a->failed_stage = NULL;
    r = cgroup_create(&a->cgroup, a->spec, number, &e);
    if (!r) {
        stage = "stdio";
        r = open_streams(a, fds + 1, &e);
    }
    if (!r)
        hold_together(a);
    if (!r)
        r = launch(a->spec, &a->cgroup, a->tmpfs_root, fds, &l, &stage, &e);
    close_streams(a, fds + 1);
    if (r < 0) {
        stage_failed(a, stage, r, e.text);
        a->ops->failed(a->arg);
        return;
    }
    a->have_exit = false;
    watch_child(a, l.pid, l.pidfd, l.report_fd);
    oom_watch_start(&a->oom, a->loop, &a->cgroup, 0, a->ops->oom, a->arg);
}

static void take_failure(struct attempt *a, const struct report *report)
{
    const char *stage = report->stage < n_stages ? stages[report->stage].name : "init";
    char text[sizeof(report->arg) + 128];

    (void)snprintf(text, sizeof(text), "%s%s%s", report->arg, report->arg[0] ? ": " : "",
                   strerrordesc_np(-report->value));
    stage_failed(a, stage, report->value, text);
}

/* The end of the socket without a failure means that execve(2) closed it: the task runs. */
void attempt_take_reports(struct attempt *a)
{
    struct report report;
    int pidfd, r = 1;
    pid_t pid;

    while (a->report_fd >= 0 && (r = report_receive(a->report_fd, &report, &pidfd, &pid)) > 0) {
        if (report.kind == REPORT_FAILED) {
            if (!a->failed_stage)
                take_failure(a, &report);
        } else if (report.kind == REPORT_NOTE) {
            a->ops->say(a->arg, report.arg);
        } else if (report.kind == REPORT_EXITED) {
            a->have_exit = true;
            a->wait_status = report.value;
        } else if (!a->failed_stage) {
            a->task_fd = pidfd;
            a->ops->started(a->arg, pid);
            continue;
        }
        close_fd(&pidfd);
    }
    if (a->report_fd < 0 || r == -EAGAIN)
        return;
    ev_io_stop(a->loop, &a->reported);
    close_fd(&a->report_fd);
    if (!a->spec->private_pid && !a->failed_stage)
        a->ops->started(a->arg, a->child_pid);
}

static void on_reported(struct ev_loop *loop, struct ev_io *w, int revents)
{
    (void)loop;
    (void)revents;
    attempt_take_reports(container_of(w, struct attempt, reported));
}

/* Signals */

bool attempt_is_alive(const struct attempt *a)
{
    return a->child_fd >= 0;
}

void attempt_signal(struct attempt *a, int signo)
{
    int fd = a->task_fd >= 0 ? a->task_fd : a->child_fd;

    if (fd >= 0 && sys_pidfd_send_signal(fd, signo) < 0 && errno != ESRCH)
        say(a, signal_name(signo), -errno);
}

/* Without a cgroup the session's process group comes first, what is left of it when it is cleared
 * away. Only while the child is not reaped: then its pid, and so the group's, cannot be another's.
 */
void attempt_kill(struct attempt *a)
{
    if (cgroup_usable(&a->cgroup)) {
        int r = cgroup_kill(&a->cgroup);

        if (r < 0)
            say(a, "kill the cgroup", r);
    } else if (a->child_fd >= 0) {
        (void)kill(-a->child_pid, SIGKILL);
    }
    if (a->child_fd >= 0)
        (void)sys_pidfd_send_signal(a->child_fd, SIGKILL);
}

/* Ending */

static void let_go_of_processes(struct attempt *a)
{
    ev_io_stop(a->loop, &a->child_dead);
    ev_io_stop(a->loop, &a->reported);
    oom_watch_stop(&a->oom);
    a->child_pid = 0;
    close_fd(&a->report_fd);
    close_fd(&a->child_fd);
    close_fd(&a->task_fd);
}

static void on_child_dead(struct ev_loop *loop, struct ev_io *w, int revents)
{
    struct attempt *a = container_of(w, struct attempt, child_dead);
    int wait_status = 0;

    (void)loop;
    (void)revents;
    attempt_take_reports(a);
    if (!cgroup_usable(&a->cgroup))
        (void)kill(-a->child_pid, SIGKILL);
    if (waitpid(a->child_pid, &wait_status, 0) < 0)
        wait_status = SIGKILL; /* cannot happen: it is our child and not reaped */
    let_go_of_processes(a);
    drain_logs(a);
    if (a->failed_stage) {
        a->ops->failed(a->arg);
        return;
    }
    /* A stub that died without a word was killed, and the whole namespace with it. */
    if (a->spec->private_pid)
        wait_status = a->have_exit ? a->wait_status : SIGKILL;
    a->ops->exited(a->arg, wait_status,
                   wait_status != 0 && oom_watch_is_cause(&a->oom, &a->cgroup));
}

/* One look whether anything of the attempt is left. */
static void try_clear(struct attempt *a)
{
    bool gone = cgroup_remove(&a->cgroup) == 0 && !orphans_kill(&a->orphans);

    drain_logs(a);
    if (!gone) { /* children the main process left behind */
        attempt_kill(a);
        a->clearing_since_ns = clock_now_ns(CLOCK_MONOTONIC);
    } else if (logs_ended(a) ||
               clock_now_ns(CLOCK_MONOTONIC) - a->clearing_since_ns >= drain_bound_ns) {
        a->clearing = false;
        a->ops->cleared(a->arg);
        return;
    }
    ev_timer_set(&a->clear_timer, a->clear_wait, 0.);
    ev_timer_start(a->loop, &a->clear_timer);
    a->clear_wait = a->clear_wait * 2 > clear_last_s ? clear_last_s : a->clear_wait * 2;
}

static void on_clear_timer(struct ev_loop *loop, struct ev_timer *w, int revents)
{
    (void)loop;
    (void)revents;
    try_clear(container_of(w, struct attempt, clear_timer));
}

void attempt_clear(struct attempt *a)
{
    ev_now_update(a->loop);
    a->clearing = true;
    a->clearing_since_ns = clock_now_ns(CLOCK_MONOTONIC);
    a->clear_wait = clear_first_s;
    try_clear(a);
}

/* Live upgrade */

void attempt_hand_over(const struct attempt *a, struct handover *h)
{
    const struct pump *out = &a->pumps[STREAM_STDOUT], *err = &a->pumps[STREAM_STDERR];

    h->stdout_fd = out->fd;
    h->stderr_fd = err->fd;
    h->stdout_loss = out->loss;
    h->stderr_loss = err->loss;
    h->held[STREAM_STDOUT] = (struct handover_held){out->buf, out->held};
    h->held[STREAM_STDERR] = (struct handover_held){err->buf, err->held};
    h->version = out->held || err->held ? 2 : 1;
    h->child_fd = a->child_fd;
    h->task_fd = a->task_fd;
    h->report_fd = a->report_fd;
    h->child_pid = a->child_pid;
    h->have_exit = a->have_exit;
    h->wait_status = a->wait_status;
    h->failed_error = a->failed_error;
    h->clearing = a->clearing;
    h->oom_told = a->oom.told;
    (void)snprintf(h->failed_stage, sizeof(h->failed_stage), "%s",
                   a->failed_stage ? a->failed_stage : "");
}

static const char *stage_by_name(const char *name)
{
    for (unsigned int i = 0; i < n_stages; i++)
        if (strcmp(stages[i].name, name) == 0)
            return stages[i].name;
    return name[0] ? "setup" : NULL;
}

void attempt_resume(struct attempt *a, const struct handover *h, uint32_t number)
{
    struct err e = ERR_INIT;

    /* The task runs: without its cgroup it can still be killed by its processes. */
    if (cgroup_adopt(&a->cgroup, a->spec, number, &e) < 0)
        a->ops->say(a->arg, e.text);
    a->task_fd = h->task_fd;
    a->have_exit = h->have_exit;
    a->wait_status = h->wait_status;
    a->failed_stage = stage_by_name(h->failed_stage);
    a->failed_error = h->failed_error;
    pump_adopt(&a->pumps[STREAM_STDOUT], h->stdout_fd, &h->stdout_loss, h->held[STREAM_STDOUT].data,
               h->held[STREAM_STDOUT].size);
    pump_adopt(&a->pumps[STREAM_STDERR], h->stderr_fd, &h->stderr_loss, h->held[STREAM_STDERR].data,
               h->held[STREAM_STDERR].size);
    watch_child(a, (pid_t)h->child_pid, h->child_fd, h->report_fd);
    if (a->child_fd >= 0)
        oom_watch_start(&a->oom, a->loop, &a->cgroup, h->oom_told, a->ops->oom, a->arg);
    hold_together(a);
    if (h->clearing)
        attempt_clear(a);
}

/* Making and freeing */

void attempt_init(struct attempt *a, struct ev_loop *loop, const struct exec_spec *spec,
                  struct pump *pumps, const struct attempt_ops *ops, void *arg)
{
    *a = (struct attempt){.loop = loop,
                          .spec = spec,
                          .ops = ops,
                          .arg = arg,
                          .pumps = pumps,
                          .child_fd = -1,
                          .task_fd = -1,
                          .report_fd = -1};
    ev_init(&a->reported, on_reported);
    ev_init(&a->child_dead, on_child_dead);
    ev_init(&a->clear_timer, on_clear_timer);
    cgroup_init(&a->cgroup);
}

void attempt_deinit(struct attempt *a)
{
    ev_timer_stop(a->loop, &a->clear_timer);
    orphans_stop(&a->orphans);
    let_go_of_processes(a);
}
