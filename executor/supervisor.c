/* SPDX-License-Identifier: MIT
 *
 * The impure half of executor/lifecycle.h: turns what happens (a report, a death, a command, a
 * timer) into life events, and the actions that come back into system calls.
 *
 * Order at the end of an attempt: what is in the log pipes is written, the exit is recorded, what
 * is left of the attempt is killed, the logs are drained to their end, the cgroup goes, and only
 * then does the next thing happen. With a private pid namespace the first child's death means that
 * everything in the namespace is dead.
 *
 * Libev never frees a watcher under us: the supervisor is freed by main() after the loop has ended.
 */
#include "executor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "executor/cgroup.h"
#include "executor/control.h"
#include "executor/launch.h"
#include "executor/lifecycle.h"
#include "executor/memory.h"
#include "executor/plan.h"
#include "executor/pump.h"
#include "executor/record.h"
#include "executor/report.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/procid.h"
#include "shared/sys.h"
#include "shared/units.h"

enum {
    STREAM_STDOUT,
    STREAM_STDERR,
    STREAM_N
};

static const ev_tstamp clear_first_s = 0.001; /* between looks whether the cgroup is empty … */
static const ev_tstamp clear_last_s = 0.1;    /* … doubling up to this */
static const ev_tstamp drain_bound_s = 1.0;   /* for an end of the logs after everything is dead */

struct supervisor {
    struct ev_loop *loop;
    struct exec_spec *spec;
    bool standalone;
    int log_dir;
    struct life life;
    struct record record;
    struct control control;
    struct pump pumps[STREAM_N];
    struct cgroup cgroup;

    struct ev_io reported;       /* report socket of the attempt being started or running */
    struct ev_io child_dead;     /* pidfd of the first child */
    struct ev_timer life_timer;  /* LIFE_ARM */
    struct ev_timer clear_timer; /* clearing away the attempt */
    ev_tstamp clearing_since;
    ev_tstamp clear_wait;

    pid_t child_pid;
    int child_fd; /* pidfd of the first child, -1 while there is none */
    int task_fd;  /* pidfd of the task itself where that is the stub's child, else -1 */
    int report_fd;
    bool have_exit; /* the stub has told the task's wait status */
    int wait_status;
    const char *failed_stage; /* of this attempt, NULL: none failed */
    int failed_error;
    char stop_reason[STATUS_TEXT_BYTES];
};

static void feed(struct supervisor *s, struct life_input in);

static void commit(struct supervisor *s, enum task_event_type type, uint64_t delay_ns, int signal,
                   const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void commit(struct supervisor *s, enum task_event_type type, uint64_t delay_ns, int signal,
                   const char *fmt, ...)
{
    struct task_event event = {.type = type, .delay_ns = delay_ns, .signal = signal};
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(event.message, sizeof(event.message), fmt, ap);
    va_end(ap);
    record_commit(&s->record, &event, false);
}

/* Logs */

static void on_loss(struct pump *p, int error, uint64_t lost)
{
    struct supervisor *s = p->arg;

    if (error)
        commit(s, TASK_EVENT_LOG_LOST, 0, 0,
               "cannot write %s: %s; output is dropped until it can be written", p->name,
               strerrordesc_np(-error));
    else
        commit(s, TASK_EVENT_LOG_LOST, 0, 0, "writing %s again; %llu bytes were lost", p->name,
               (unsigned long long)lost);
}

static void drain_logs(struct supervisor *s)
{
    for (int i = 0; i < STREAM_N; i++)
        if (s->pumps[i].fd >= 0)
            pump_drain(&s->pumps[i]);
}

static bool logs_ended(const struct supervisor *s)
{
    return s->pumps[STREAM_STDOUT].fd < 0 && s->pumps[STREAM_STDERR].fd < 0;
}

static int open_streams(struct supervisor *s, int fds[STREAM_N], struct err *e)
{
    uid_t uid = s->spec->set_user ? s->spec->uid : (uid_t)-1;
    gid_t gid = s->spec->set_user ? s->spec->gid : (gid_t)-1;
    int r = 0;

    if (s->spec->logs.disabled) {
        fds[STREAM_STDOUT] = s->standalone ? STDOUT_FILENO : -1;
        fds[STREAM_STDERR] = s->standalone ? STDERR_FILENO : -1;
        return 0;
    }
    for (int i = 0; !r && i < STREAM_N; i++)
        r = pump_attach(&s->pumps[i], uid, gid, &fds[i], e);
    return r;
}

static void close_streams(struct supervisor *s, int fds[STREAM_N])
{
    for (int i = 0; i < STREAM_N; i++)
        if (!s->spec->logs.disabled)
            close_fd(&fds[i]);
}

/* Starting */

static void setup_failed(struct supervisor *s, const char *stage, int error, const char *text)
{
    const char *hint = plan_hint(stage, error);

    s->failed_stage = stage;
    s->failed_error = error;
    commit(s, TASK_EVENT_DRIVER_FAILURE, 0, 0, "stage \"%s\": %s%s%s%s", stage, text,
           hint[0] ? " (" : "", hint, hint[0] ? ")" : "");
}

static void watch_child(struct supervisor *s, const struct launched *l)
{
    s->child_pid = l->pid;
    s->child_fd = l->pidfd;
    s->report_fd = l->report_fd;
    s->have_exit = false;
    ev_io_set(&s->reported, s->report_fd, EV_READ);
    ev_io_start(s->loop, &s->reported);
    ev_io_set(&s->child_dead, s->child_fd, EV_READ);
    ev_io_start(s->loop, &s->child_dead);
}

static void start_attempt(struct supervisor *s)
{
    int fds[STREAM_N] = {-1, -1};
    struct err e = ERR_INIT;
    const char *stage = "cgroup";
    struct launched l;
    int r;

    s->failed_stage = NULL;
    r = cgroup_create(&s->cgroup, s->spec, s->record.status.attempt, &e);
    if (!r) {
        stage = "stdio";
        r = open_streams(s, fds, &e);
    }
    if (!r)
        r = launch(s->spec, &s->cgroup, s->standalone && s->spec->n_binds > 0, fds[STREAM_STDOUT],
                   fds[STREAM_STDERR], &l, &stage, &e);
    close_streams(s, fds);
    if (r < 0) {
        setup_failed(s, stage, r, e.text);
        feed(s, (struct life_input){.event = LIFE_EV_FAILED, .may_pass = plan_may_pass(r)});
        return;
    }
    watch_child(s, &l);
}

static void task_started(struct supervisor *s, pid_t pid)
{
    struct task_status *st = &s->record.status;

    st->pid = pid;
    st->pid_start = 0;
    (void)procid_start_time(pid, &st->pid_start); /* -ESRCH: dead again already */
    st->started_ns = clock_now_ns(CLOCK_REALTIME);
    feed(s, (struct life_input){.event = LIFE_EV_STARTED});
    memory_trim();
}

static void report_failed(struct supervisor *s, const struct report *report)
{
    const char *stage = report->stage < n_stages ? stages[report->stage].name : "init";
    char text[sizeof(report->arg) + 128];

    (void)snprintf(text, sizeof(text), "%s%s%s", report->arg, report->arg[0] ? ": " : "",
                   strerrordesc_np(-report->value));
    setup_failed(s, stage, report->value, text);
}

/* Takes in all reports there are. The end of the socket without a failure means that execve(2)
 * closed it: the task runs. */
static void take_reports(struct supervisor *s)
{
    struct report report;
    int pidfd, r = 1;
    pid_t pid;

    while (s->report_fd >= 0 && (r = report_receive(s->report_fd, &report, &pidfd, &pid)) > 0) {
        if (report.kind == REPORT_FAILED) {
            if (!s->failed_stage)
                report_failed(s, &report);
        } else if (report.kind == REPORT_EXITED) {
            s->have_exit = true;
            s->wait_status = report.value;
        } else if (!s->failed_stage) {
            s->task_fd = pidfd;
            task_started(s, pid);
            continue;
        }
        close_fd(&pidfd);
    }
    if (s->report_fd < 0 || r == -EAGAIN)
        return;
    ev_io_stop(s->loop, &s->reported);
    close_fd(&s->report_fd);
    if (!s->spec->private_pid && !s->failed_stage)
        task_started(s, s->child_pid);
}

static void on_reported(struct ev_loop *loop, struct ev_io *w, int revents)
{
    (void)loop;
    (void)revents;
    take_reports(container_of(w, struct supervisor, reported));
}

/* Ending */

static void send_signal(struct supervisor *s, int signo)
{
    int fd = s->task_fd >= 0 ? s->task_fd : s->child_fd;

    if (fd >= 0 && sys_pidfd_send_signal(fd, signo) < 0 && errno != ESRCH)
        record_say(&s->record, "cannot send %s: %s", signal_name(signo), strerrordesc_np(errno));
}

/* Without a cgroup the session's process group is the best there is. Only while the child is not
 * reaped: then its pid, and so the group's, cannot be another's. */
static void kill_everything(struct supervisor *s)
{
    if (cgroup_usable(&s->cgroup)) {
        int r = cgroup_kill(&s->cgroup);

        if (r < 0)
            record_say(&s->record, "cannot kill the cgroup: %s", strerrordesc_np(-r));
    } else if (s->child_fd >= 0) {
        (void)kill(-s->child_pid, SIGKILL);
    }
    if (s->child_fd >= 0)
        (void)sys_pidfd_send_signal(s->child_fd, SIGKILL);
}

static void account_exit(struct supervisor *s, int wait_status)
{
    struct task_status *st = &s->record.status;
    struct task_event event = {.type = TASK_EVENT_TERMINATED};

    event.signal = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
    event.exit_code = event.signal ? 128 + event.signal : WEXITSTATUS(wait_status);
    /* Also when it struck a child and the main process (a shell, say) then gave up. */
    event.oom_killed = wait_status != 0 && cgroup_oom_kills(&s->cgroup) > 0;
    st->exit_code = event.exit_code;
    st->exit_signal = event.signal;
    st->oom_killed = event.oom_killed;
    st->finished_ns = clock_now_ns(CLOCK_REALTIME);
    st->pid = 0;
    st->pid_start = 0;
    record_commit(&s->record, &event, false);
}

static void on_child_dead(struct ev_loop *loop, struct ev_io *w, int revents)
{
    struct supervisor *s = container_of(w, struct supervisor, child_dead);
    int wait_status = 0;

    (void)revents;
    take_reports(s);
    if (!cgroup_usable(&s->cgroup))
        (void)kill(-s->child_pid, SIGKILL);
    if (waitpid(s->child_pid, &wait_status, 0) < 0)
        wait_status = SIGKILL; /* cannot happen: it is our child and not reaped */
    ev_io_stop(loop, w);
    ev_io_stop(loop, &s->reported);
    close_fd(&s->report_fd);
    close_fd(&s->child_fd);
    close_fd(&s->task_fd);
    drain_logs(s);
    if (s->failed_stage) {
        feed(s, (struct life_input){.event = LIFE_EV_FAILED,
                                    .may_pass = plan_may_pass(s->failed_error)});
        return;
    }
    /* A stub that died without a word was killed, and the whole namespace with it. */
    if (s->spec->private_pid)
        wait_status = s->have_exit ? s->wait_status : SIGKILL;
    account_exit(s, wait_status);
    feed(s, (struct life_input){.event = LIFE_EV_EXITED, .exit_ok = wait_status == 0});
}

/* One look whether anything of the attempt is left. */
static void try_clear(struct supervisor *s)
{
    bool gone = cgroup_remove(&s->cgroup) == 0;

    drain_logs(s);
    if (!gone) { /* children the main process left behind */
        kill_everything(s);
        s->clearing_since = ev_now(s->loop);
    } else if (logs_ended(s) || ev_now(s->loop) - s->clearing_since >= drain_bound_s) {
        feed(s, (struct life_input){.event = LIFE_EV_REAPED});
        return;
    }
    ev_timer_set(&s->clear_timer, s->clear_wait, 0.);
    ev_timer_start(s->loop, &s->clear_timer);
    s->clear_wait = s->clear_wait * 2 > clear_last_s ? clear_last_s : s->clear_wait * 2;
}

static void on_clear_timer(struct ev_loop *loop, struct ev_timer *w, int revents)
{
    (void)loop;
    (void)revents;
    try_clear(container_of(w, struct supervisor, clear_timer));
}

static void begin_clearing(struct supervisor *s)
{
    s->clearing_since = ev_now(s->loop);
    s->clear_wait = clear_first_s;
    try_clear(s);
}

static void finish(struct supervisor *s)
{
    record_commit(&s->record, NULL, true);
}

/* Acting on what the life cycle says */

static const char *kill_text(const struct supervisor *s, char buf[STATUS_TEXT_BYTES])
{
    char timeout[32];

    (void)snprintf(buf, STATUS_TEXT_BYTES, "%.100s%s%s, SIGKILL after %s", s->stop_reason,
                   s->stop_reason[0] ? ": " : "", signal_name(s->spec->kill_signal),
                   duration_format(s->spec->kill_timeout_ns, timeout, sizeof(timeout)));
    return buf;
}

static void take_notes(struct supervisor *s, const struct life_output *out)
{
    char text[STATUS_TEXT_BYTES];

    for (size_t i = 0; i < out->n_notes; i++) {
        enum task_event_type type = out->notes[i].type;
        bool kills = type == TASK_EVENT_KILLING || type == TASK_EVENT_RESTART_SIGNALED;

        commit(s, type, out->notes[i].delay_ns, kills ? s->spec->kill_signal : 0, "%s",
               kills ? kill_text(s, text) : out->notes[i].message);
    }
}

static void relaunch(struct supervisor *s, bool first)
{
    struct task_status *st = &s->record.status;

    s->stop_reason[0] = '\0';
    if (!first) {
        st->attempt++;
        st->restarts++;
        st->last_restart_ns = clock_now_ns(CLOCK_REALTIME);
        /* On record before the cgroup of that number exists: a successor must not pick it again. */
        record_commit(&s->record, NULL, false);
    }
    start_attempt(s);
}

static void act(struct supervisor *s, const struct life_output *out)
{
    if (out->actions & LIFE_DISARM)
        ev_timer_stop(s->loop, &s->life_timer);
    if (out->actions & LIFE_ARM) {
        ev_timer_stop(s->loop, &s->life_timer);
        ev_timer_set(&s->life_timer, (ev_tstamp)out->timer_ns / 1e9, 0.);
        ev_timer_start(s->loop, &s->life_timer);
    }
    if (out->actions & LIFE_SIGNAL)
        send_signal(s, s->spec->kill_signal);
    if (out->actions & LIFE_KILL)
        kill_everything(s);
    if (out->actions & LIFE_FINISH)
        finish(s);
    /* The two below feed the next event themselves: last. */
    if (out->actions & LIFE_REAP)
        begin_clearing(s);
    if (out->actions & LIFE_LAUNCH)
        relaunch(s, false);
}

static void feed(struct supervisor *s, struct life_input in)
{
    struct life_output out;

    in.now_ns = clock_now_ns(CLOCK_MONOTONIC);
    in.random = (uint32_t)(in.now_ns / 1000); /* spreads restarts apart, nothing more */
    life_step(&s->life, s->spec, &in, &out);
    /* Both before the notes are recorded: a record that says "dead" must be right about failure. */
    s->record.status.state = life_task_state(s->life.state);
    s->record.status.failed = s->life.failed;
    take_notes(s, &out);
    act(s, &out);
}

static void on_life_timer(struct ev_loop *loop, struct ev_timer *w, int revents)
{
    (void)loop;
    (void)revents;
    feed(container_of(w, struct supervisor, life_timer),
         (struct life_input){.event = LIFE_EV_TIMER});
}

/* Commands */

static void on_command(void *arg, const struct ctl_msg *msg)
{
    struct supervisor *s = arg;

    switch (msg->type) {
    case CTL_HELLO:
    case CTL_PING:
        record_hello(&s->record);
        break;
    case CTL_SIGNAL:
        if (s->child_fd < 0)
            break;
        commit(s, TASK_EVENT_SIGNALING, 0, msg->signal, "%s", msg->reason);
        send_signal(s, msg->signal);
        break;
    case CTL_STOP:
        memcpy(s->stop_reason, msg->reason, sizeof(s->stop_reason));
        feed(s, (struct life_input){.event = LIFE_EV_STOP, .fail = msg->fail});
        break;
    case CTL_RESTART:
        memcpy(s->stop_reason, msg->reason, sizeof(s->stop_reason));
        feed(s, (struct life_input){.event = LIFE_EV_RESTART});
        break;
    default:
        break;
    }
}

static void on_garbage(void *arg, const struct err *e)
{
    struct supervisor *s = arg;

    record_say(&s->record, "%s", e->text);
}

/* Making and freeing */

static int open_log_dir(struct supervisor *s, struct err *e)
{
    static const char *const suffixes[STREAM_N] = {".stdout", ".stderr"};

    if (!s->spec->logs.disabled) {
        s->log_dir = open(s->spec->log_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (s->log_dir < 0)
            return err_sys(e, -errno, "open the log directory %s", s->spec->log_dir);
    }
    for (int i = 0; i < STREAM_N; i++) {
        char name[SEGMENT_NAME_MAX];

        (void)snprintf(name, sizeof(name), "%s%s", s->spec->task, suffixes[i]);
        pump_init(&s->pumps[i], s->loop, s->log_dir, name, &s->spec->logs,
                  &s->record.status.log_lost_bytes, on_loss, s);
    }
    return 0;
}

int supervisor_new(struct ev_loop *loop, struct exec_spec *spec, int state_dir,
                   struct supervisor **ret_supervisor, struct err *e)
{
    struct supervisor *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return err_sys(e, -ENOMEM, "supervise");
    s->loop = loop;
    s->spec = spec;
    s->standalone = state_dir < 0;
    s->log_dir = s->child_fd = s->task_fd = s->report_fd = -1;
    ev_init(&s->reported, on_reported);
    ev_init(&s->child_dead, on_child_dead);
    ev_init(&s->life_timer, on_life_timer);
    ev_init(&s->clear_timer, on_clear_timer);
    cgroup_init(&s->cgroup);
    life_init(&s->life);
    s->record.status_fd = s->record.evt_fd = s->record.out_fd = -1;
    r = open_log_dir(s, e);
    if (!r && s->standalone)
        record_open_standalone(&s->record, loop);
    else if (!r)
        r = record_open(&s->record, loop, state_dir, spec, e);
    if (!r && !s->standalone)
        r = control_open(&s->control, loop, state_dir, on_command, on_garbage, s, e);
    if (r < 0) {
        s->spec = NULL;
        (void)supervisor_free(s);
        return r;
    }
    *ret_supervisor = s;
    relaunch(s, true);
    return 0;
}

void supervisor_stop(struct supervisor *s)
{
    feed(s, (struct life_input){.event = LIFE_EV_STOP});
}

const struct task_status *supervisor_status(const struct supervisor *s)
{
    return &s->record.status;
}

const char *supervisor_failed_stage(const struct supervisor *s, int *ret_error)
{
    *ret_error = s->failed_error;
    return s->failed_stage;
}

struct supervisor *supervisor_free(struct supervisor *s)
{
    if (!s)
        return NULL;
    ev_io_stop(s->loop, &s->reported);
    ev_io_stop(s->loop, &s->child_dead);
    ev_timer_stop(s->loop, &s->life_timer);
    ev_timer_stop(s->loop, &s->clear_timer);
    close_fd(&s->report_fd);
    close_fd(&s->child_fd);
    close_fd(&s->task_fd);
    control_close(&s->control);
    for (int i = 0; i < STREAM_N; i++)
        if (s->pumps[i].loop)
            pump_deinit(&s->pumps[i]);
    record_close(&s->record);
    close_fd(&s->log_dir);
    (void)spec_free(s->spec);
    free(s);
    return NULL;
}
