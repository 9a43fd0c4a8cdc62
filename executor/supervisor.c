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
#include "executor/handover.h"
#include "executor/launch.h"
#include "executor/lifecycle.h"
#include "executor/memory.h"
#include "executor/oom.h"
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
    struct oom_watch oom;

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
    uint64_t timer_ns; /* when life_timer is due, CLOCK_MONOTONIC; 0: not armed */
    bool clearing;

    struct ev_io checked;       /* pidfd of a new executor binary checking itself */
    struct ev_timer check_late; /* … and its time limit */
    pid_t check_pid;
    char *upgrade_path; /* NULL: no upgrade under way */
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

static void watch_child(struct supervisor *s, pid_t pid, int pidfd, int report_fd)
{
    s->child_pid = pid;
    s->child_fd = pidfd;
    s->report_fd = report_fd;
    if (report_fd >= 0) {
        ev_io_set(&s->reported, report_fd, EV_READ);
        ev_io_start(s->loop, &s->reported);
    }
    if (pidfd >= 0) {
        ev_io_set(&s->child_dead, pidfd, EV_READ);
        ev_io_start(s->loop, &s->child_dead);
    }
}

static void kill_everything(struct supervisor *s);

/* The end of the task tells by itself what struck it: here it lives on. */
static bool on_oom(void *arg, uint64_t kills)
{
    struct supervisor *s = arg;
    pid_t pid = s->record.status.pid;

    if (!pid || procid_is_dying(pid))
        return false;
    commit(s, TASK_EVENT_OOM_KILL, 0, 0,
           "%llu of the task's processes killed for want of memory; the task's own runs on: raise "
           "\"memory\", or set oom_group to end the whole task then",
           (unsigned long long)kills);
    if (s->spec->limits.oom_group) /* v1 knows nothing like it */
        kill_everything(s);
    return true;
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
    s->have_exit = false;
    watch_child(s, l.pid, l.pidfd, l.report_fd);
    oom_watch_start(&s->oom, s->loop, &s->cgroup, 0, on_oom, s);
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
    event.oom_killed = wait_status != 0 && oom_watch_is_cause(&s->oom, &s->cgroup);
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
    oom_watch_stop(&s->oom);
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
        s->clearing = false;
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
    s->clearing = true;
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

/* `due_ns`: CLOCK_MONOTONIC; 0 disarms. */
static void arm_life_timer(struct supervisor *s, uint64_t due_ns)
{
    uint64_t now = clock_now_ns(CLOCK_MONOTONIC);

    ev_timer_stop(s->loop, &s->life_timer);
    s->timer_ns = due_ns;
    if (!due_ns)
        return;
    ev_now_update(s->loop); /* a blocked loop must not fire early */
    ev_timer_set(&s->life_timer, due_ns > now ? (ev_tstamp)(due_ns - now) / 1e9 : 0., 0.);
    ev_timer_start(s->loop, &s->life_timer);
}

static void act(struct supervisor *s, const struct life_output *out)
{
    if (out->actions & LIFE_DISARM)
        arm_life_timer(s, 0);
    if (out->actions & LIFE_ARM)
        arm_life_timer(s, clock_now_ns(CLOCK_MONOTONIC) + out->timer_ns);
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
    struct supervisor *s = container_of(w, struct supervisor, life_timer);

    (void)loop;
    (void)revents;
    s->timer_ns = 0;
    feed(s, (struct life_input){.event = LIFE_EV_TIMER});
}

/* Live upgrade: the new binary first checks, as a child, that it can take over; then we become it.
 */

static const ev_tstamp check_limit_s = 10.0;

static void end_upgrade(struct supervisor *s, const char *why)
{
    if (why)
        commit(s, TASK_EVENT_UPGRADE_FAILED, 0, 0, "%s; went on as %s", why, CLEAT_VERSION);
    ev_io_stop(s->loop, &s->checked);
    ev_timer_stop(s->loop, &s->check_late);
    close_fd(&s->checked.fd);
    free(s->upgrade_path);
    s->upgrade_path = NULL;
}

static int hand_over(struct supervisor *s, struct handover *h, int *ret_memfd, struct err *e)
{
    for (int i = 0; i < STREAM_N; i++)
        pump_flush(&s->pumps[i]);
    *h = (struct handover){
        .version = HANDOVER_VERSION,
        .release = CLEAT_VERSION,
        .state_dir = s->record.state_dir,
        .log_dir = s->log_dir,
        .status_fd = s->record.status_fd,
        .evt_fd = s->record.evt_fd,
        .out_fd = s->record.out_fd,
        .ctl_fd = s->control.fd,
        .stdout_fd = s->pumps[STREAM_STDOUT].fd,
        .stderr_fd = s->pumps[STREAM_STDERR].fd,
        .child_fd = s->child_fd,
        .task_fd = s->task_fd,
        .report_fd = s->report_fd,
        .child_pid = s->child_pid,
        .have_exit = s->have_exit,
        .wait_status = s->wait_status,
        .failed_error = s->failed_error,
        .life = s->life,
        .timer_ns = s->timer_ns,
        .clearing = s->clearing,
        .oom_told = s->oom.told,
    };
    memcpy(h->stop_reason, s->stop_reason, sizeof(h->stop_reason));
    (void)snprintf(h->failed_stage, sizeof(h->failed_stage), "%s",
                   s->failed_stage ? s->failed_stage : "");
    return handover_write(h, s->spec, &s->record.status, ret_memfd, e);
}

static void become_upgrade(struct supervisor *s)
{
    struct err e = ERR_INIT;
    autofd int memfd = -1;
    struct handover h;
    int r = hand_over(s, &h, &memfd, &e);

    if (!r)
        r = handover_exec(&h, s->upgrade_path, memfd, &e);
    end_upgrade(s, e.text); /* only reached when it failed */
}

static void on_checked(struct ev_loop *loop, struct ev_io *w, int revents)
{
    struct supervisor *s = container_of(w, struct supervisor, checked);
    char why[STATUS_TEXT_BYTES];
    int status = 0;

    (void)loop;
    (void)revents;
    (void)waitpid(s->check_pid, &status, 0);
    if (status == 0) {
        become_upgrade(s);
        return;
    }
    (void)snprintf(why, sizeof(why), "%.80s failed its self-check (%s %d)", s->upgrade_path,
                   WIFSIGNALED(status) ? "signal" : "exit code",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    end_upgrade(s, why);
}

static void on_check_late(struct ev_loop *loop, struct ev_timer *w, int revents)
{
    struct supervisor *s = container_of(w, struct supervisor, check_late);

    (void)loop;
    (void)revents;
    (void)sys_pidfd_send_signal(s->checked.fd, SIGKILL); /* on_checked() tells of it */
}

static void begin_upgrade(struct supervisor *s, const char *path)
{
    struct err e = ERR_INIT;
    autofd int memfd = -1;
    struct handover h;
    int pidfd, r;

    if (s->upgrade_path)
        return; /* one is under way */
    s->upgrade_path = strdup(path);
    if (!s->upgrade_path)
        abort();
    r = path[0] == '/' ? hand_over(s, &h, &memfd, &e)
                       : err_set(&e, -EINVAL, "\"%s\" is no absolute path", path);
    pidfd = r ? r : handover_check(path, memfd, &s->check_pid, &e);
    if (pidfd < 0) {
        end_upgrade(s, e.text);
        return;
    }
    ev_io_set(&s->checked, pidfd, EV_READ);
    ev_io_start(s->loop, &s->checked);
    ev_timer_set(&s->check_late, check_limit_s, 0.);
    ev_timer_start(s->loop, &s->check_late);
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
    case CTL_UPGRADE:
        begin_upgrade(s, msg->path);
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

/* The log directory lies in one that tasks can write to, who may have put a link in its place. */
static int open_log_dir(struct supervisor *s, struct err *e)
{
    const char *shared = s->spec->shared_dir, *dir = s->spec->log_dir;
    size_t n = shared ? strlen(shared) : 0;
    autofd int base = -1;

    if (s->spec->logs.disabled)
        return 0;
    if (n && strncmp(dir, shared, n) == 0 && dir[n] == '/') {
        base = open(shared, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (base >= 0)
            s->log_dir = sys_openat2(base, dir + n + 1, O_PATH | O_DIRECTORY | O_CLOEXEC, 0,
                                     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    } else {
        s->log_dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    return s->log_dir < 0 ? err_sys(e, -errno, "open the log directory %s", s->spec->log_dir) : 0;
}

static void init_pumps(struct supervisor *s)
{
    static const char *const suffixes[STREAM_N] = {".stdout", ".stderr"};

    for (int i = 0; i < STREAM_N; i++) {
        char name[SEGMENT_NAME_MAX];

        (void)snprintf(name, sizeof(name), "%s%s", s->spec->task, suffixes[i]);
        pump_init(&s->pumps[i], s->loop, s->log_dir, name, &s->spec->logs,
                  &s->record.status.log_lost_bytes, on_loss, s);
    }
}

static struct supervisor *supervisor_alloc(struct ev_loop *loop, struct exec_spec *spec)
{
    struct supervisor *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->loop = loop;
    s->spec = spec;
    s->log_dir = s->child_fd = s->task_fd = s->report_fd = -1;
    s->record.status_fd = s->record.evt_fd = s->record.out_fd = -1;
    ev_init(&s->reported, on_reported);
    ev_init(&s->child_dead, on_child_dead);
    ev_init(&s->life_timer, on_life_timer);
    ev_init(&s->clear_timer, on_clear_timer);
    ev_init(&s->check_late, on_check_late);
    ev_io_init(&s->checked, on_checked, -1, EV_READ);
    cgroup_init(&s->cgroup);
    life_init(&s->life);
    return s;
}

int supervisor_new(struct ev_loop *loop, struct exec_spec *spec, int state_dir, int status_fd,
                   struct supervisor **ret_supervisor, struct err *e)
{
    struct supervisor *s = supervisor_alloc(loop, spec);
    int r;

    if (!s)
        return err_sys(e, -ENOMEM, "supervise");
    s->standalone = state_dir < 0;
    r = open_log_dir(s, e);
    init_pumps(s);
    if (!r && s->standalone)
        record_open_standalone(&s->record, loop);
    else if (!r)
        r = record_open(&s->record, loop, state_dir, status_fd, spec, e);
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

static const char *stage_by_name(const char *name)
{
    for (unsigned int i = 0; i < n_stages; i++)
        if (strcmp(stages[i].name, name) == 0)
            return stages[i].name;
    return name[0] ? "setup" : NULL;
}

static void resume(struct supervisor *s, const struct handover *h)
{
    s->life = h->life;
    s->task_fd = h->task_fd;
    s->have_exit = h->have_exit;
    s->wait_status = h->wait_status;
    s->failed_stage = stage_by_name(h->failed_stage);
    s->failed_error = h->failed_error;
    memcpy(s->stop_reason, h->stop_reason, sizeof(s->stop_reason));
    pump_adopt(&s->pumps[STREAM_STDOUT], h->stdout_fd);
    pump_adopt(&s->pumps[STREAM_STDERR], h->stderr_fd);
    watch_child(s, (pid_t)h->child_pid, h->child_fd, h->report_fd);
    if (s->child_fd >= 0)
        oom_watch_start(&s->oom, s->loop, &s->cgroup, h->oom_told, on_oom, s);
    arm_life_timer(s, h->timer_ns);
    commit(s, TASK_EVENT_UPGRADED, 0, 0, "from %s to %s", h->release, CLEAT_VERSION);
    if (h->clearing)
        begin_clearing(s);
    memory_trim();
}

int supervisor_resume(struct ev_loop *loop, const struct handover *h, struct exec_spec *spec,
                      const struct task_status *status, struct supervisor **ret_supervisor,
                      struct err *e)
{
    struct supervisor *s = supervisor_alloc(loop, spec);
    int r;

    if (!s)
        return err_sys(e, -ENOMEM, "supervise");
    handover_adopt_fds(h);
    s->log_dir = h->log_dir;
    init_pumps(s);
    record_resume(&s->record, loop, h->state_dir, h->status_fd, h->evt_fd, h->out_fd, status);
    control_adopt(&s->control, loop, h->ctl_fd, on_command, on_garbage, s);
    r = cgroup_adopt(&s->cgroup, spec, status->attempt, e);
    if (r < 0)
        record_say(&s->record, "%s",
                   e->text); /* the task runs; it will be killed by its processes */
    resume(s, h);
    *ret_supervisor = s;
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
    end_upgrade(s, NULL);
    oom_watch_stop(&s->oom);
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
