/* SPDX-License-Identifier: MIT
 *
 * The impure half of executor/lifecycle.h: turns what happens (a report, a death, a command, a
 * timer) into life events, and the actions that come back into system calls.
 *
 * The processes of an attempt are attempt.c's, live upgrade is upgrade.c's; here is what they mean
 * for the task: its account, its timers, its commands.
 *
 * Libev never frees a watcher under us: the supervisor is freed by main() after the loop has ended.
 */
#include "executor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "executor/attempt.h"
#include "executor/control.h"
#include "executor/handover.h"
#include "executor/isolation/plan.h"
#include "executor/lifecycle.h"
#include "executor/logs/housekeeper.h"
#include "executor/logs/log_dir.h"
#include "executor/logs/pump.h"
#include "executor/memory.h"
#include "executor/record.h"
#include "executor/reload.h"
#include "executor/upgrade.h"
#include "shared/cgroupfs.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/evloop.h"
#include "shared/procid.h"
#include "shared/units.h"

struct supervisor {
    struct ev_loop *loop;
    struct exec_spec *spec;
    struct reload reload;
    bool standalone;
    struct log_dir log_dir;
    struct life life;
    struct record record;
    struct control control;
    char *streams[STREAM_N]; /* names of the pumps */
    struct pump pumps[STREAM_N];
    struct housekeeper housekeeper;
    struct attempt attempt;
    struct upgrade upgrade;
    struct ev_timer life_timer; /* LIFE_ARM */
    uint64_t timer_ns;          /* when it is due, CLOCK_MONOTONIC; 0: not armed */
    bool leaving;               /* the task is to stop, but not dead for good: supervisor_leave() */
    bool placed;                /* this process is in the spec's cgroup for it */
    char stop_reason[STATUS_TEXT_BYTES];
    bool idles; /* from now on, it is to be expected: memory can be given back */
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
    /* How an attempt ended is not forgotten in a power cut; of its last, the end of all has it. */
    record_commit(&s->record, &event, type == TASK_EVENT_RESTARTING);
}

/* Logs */

/* Names can be long, the text of an event cannot. */
#define STREAM_FMT "%.60s"

static void tell_end_of_loss(struct supervisor *s, const struct pump *p, const char *what)
{
    char from[CLOCK_TEXT_BYTES], to[CLOCK_TEXT_BYTES];

    if (p->loss.bytes)
        commit(s, TASK_EVENT_LOG_LOST, 0, 0, STREAM_FMT " %s; %llu bytes were lost from %s to %s",
               p->name, what, (unsigned long long)p->loss.bytes,
               clock_format(p->loss.from_ns, from), clock_format(p->loss.to_ns, to));
    else
        commit(s, TASK_EVENT_LOG_BLOCKED, 0, 0, STREAM_FMT " %s; nothing was lost since %s",
               p->name, what, clock_format(p->loss.from_ns, from));
}

static void tell_begin_of_loss(struct supervisor *s, const struct pump *p)
{
    bool drops = p->limits->on_full == SPEC_ON_FULL_DROP;

    commit(s, drops ? TASK_EVENT_LOG_LOST : TASK_EVENT_LOG_BLOCKED, 0, 0,
           "cannot write " STREAM_FMT ": %s; output %s until it can be written", p->name,
           strerrordesc_np(-p->loss.error), drops ? "is dropped" : "waits");
}

static void on_pump_news(struct pump *p, enum pump_news news)
{
    struct supervisor *s = p->arg;

    switch (news) {
    case PUMP_ROTATED:
        housekeeper_stir(&s->housekeeper);
        break;
    case PUMP_DIR_MADE:
        commit(s, TASK_EVENT_LOG_LOST, 0, 0,
               "the log directory was removed, with what was in it, and is made again");
        break;
    case PUMP_FAILED:
        tell_begin_of_loss(s, p);
        break;
    case PUMP_LOSING:
        record_commit(&s->record, NULL, false); /* for the count */
        break;
    case PUMP_MENDED:
        tell_end_of_loss(s, p, "is written again");
        break;
    case PUMP_GAVE_UP:
        tell_end_of_loss(s, p, "ends unwritten");
        break;
    }
}

/* What happens to an attempt */

static void on_stage_failed(void *arg, const char *stage, int error, const char *text)
{
    struct supervisor *s = arg;
    const char *hint = plan_hint(stage, error, s->standalone);
    size_t used = strlen(stage) + strlen(hint) + sizeof("stage \"\": … ()"), n = strlen(text);
    size_t room = used < STATUS_TEXT_BYTES ? STATUS_TEXT_BYTES - used : 0;
    size_t at = n > room ? n - room : 0; /* of a long path the end says most, as the hint does */

    while (at && (text[at] & 0xC0) == 0x80) /* not from within a character of UTF-8 */
        at++;
    commit(s, TASK_EVENT_DRIVER_FAILURE, 0, 0, "stage \"%s\": %s%s%s%s%s", stage, at ? "…" : "",
           text + at, hint[0] ? " (" : "", hint, hint[0] ? ")" : "");
}

static void on_failed(void *arg)
{
    struct supervisor *s = arg;

    feed(s, (struct life_input){.event = LIFE_EV_FAILED,
                                .may_pass = plan_may_pass(s->attempt.failed_error)});
}

/* Moving takes the kernel milliseconds, so it waits until the task runs. */
static void place_self(struct supervisor *s)
{
    const char *group = s->spec->cgroup.executor;
    autofd int dir = -1;
    int r;

    if (!group || s->placed)
        return;
    dir = open(group, O_PATH | O_DIRECTORY | O_CLOEXEC);
    r = dir < 0 ? -errno : cgroupfs_write(dir, "cgroup.procs", "0");
    if (r < 0)
        record_say(&s->record, "this executor stays in the cgroup it was started in: %s: %s", group,
                   strerrordesc_np(-r));
    s->placed = r >= 0;
}

static void on_started(void *arg, pid_t pid)
{
    struct supervisor *s = arg;
    struct task_status *st = &s->record.status;

    st->pid = pid;
    st->pid_start = 0;
    (void)procid_start_time(pid, &st->pid_start); /* -ESRCH: dead again already */
    st->started_ns = clock_now_ns(CLOCK_REALTIME);
    feed(s, (struct life_input){.event = LIFE_EV_STARTED});
    place_self(s);
    s->idles = true;
}

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
        attempt_kill(&s->attempt);
    return true;
}

static void on_exited(void *arg, int wait_status, bool oom_killed)
{
    struct supervisor *s = arg;
    struct task_status *st = &s->record.status;
    struct task_event event = {.type = TASK_EVENT_TERMINATED, .oom_killed = oom_killed};

    event.signal = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
    event.exit_code = event.signal ? 128 + event.signal : WEXITSTATUS(wait_status);
    st->exit_code = event.exit_code;
    st->exit_signal = event.signal;
    st->oom_killed = event.oom_killed;
    st->finished_ns = clock_now_ns(CLOCK_REALTIME);
    st->pid = 0;
    st->pid_start = 0;
    st->paused = false; /* whoever is left is killed, frozen or not */
    record_commit(&s->record, &event, false);
    feed(s, (struct life_input){.event = LIFE_EV_EXITED, .exit_ok = wait_status == 0});
}

static void on_cleared(void *arg)
{
    feed(arg, (struct life_input){.event = LIFE_EV_REAPED});
}

static void on_say(void *arg, const char *text)
{
    struct supervisor *s = arg;

    record_say(&s->record, "%s", text);
}

static const struct attempt_ops attempt_ops = {
    .started = on_started,
    .stage_failed = on_stage_failed,
    .failed = on_failed,
    .exited = on_exited,
    .cleared = on_cleared,
    .oom = on_oom,
    .say = on_say,
};

/* Pausing */

/* All of the task, its stub init included, so that nothing of it uses any CPU time. */
static void set_paused(struct supervisor *s, bool paused, const char *message)
{
    struct task_status *st = &s->record.status;
    int r;

    if (st->paused == paused)
        return;
    r = paused && s->life.state != LIFE_RUNNING ? -ESRCH
                                                : cgroup_freeze(&s->attempt.cgroup, paused);
    if (r < 0) {
        commit(s, TASK_EVENT_PAUSE_FAILED, 0, 0, "cannot %s the task: %s",
               paused ? "pause" : "continue",
               r == -ESRCH    ? "it is not running"
               : r == -ENOENT ? "this host has no cgroup freezer for it"
                              : strerrordesc_np(-r));
        return;
    }
    st->paused = paused;
    commit(s, paused ? TASK_EVENT_PAUSING : TASK_EVENT_RUNNING, 0, 0, "%s", message);
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
        reload_env(&s->reload, s->record.state_dir, s->spec);
    }
    attempt_start(&s->attempt, st->attempt);
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
    ev_timer_set(&s->life_timer, evloop_seconds(now, due_ns), 0.);
    ev_timer_start(s->loop, &s->life_timer);
}

/* What is said about it comes before the record's last word. */
static void end_logs(struct supervisor *s)
{
    for (int i = 0; i < STREAM_N; i++)
        pump_end(&s->pumps[i]);
}

static void act(struct supervisor *s, const struct life_output *out)
{
    if (out->actions & LIFE_DISARM)
        arm_life_timer(s, 0);
    if (out->actions & LIFE_ARM)
        arm_life_timer(s, clock_now_ns(CLOCK_MONOTONIC) + out->timer_ns);
    if (out->actions & LIFE_SIGNAL)
        attempt_signal(&s->attempt, s->spec->kill_signal);
    if (out->actions & LIFE_KILL)
        attempt_kill(&s->attempt);
    if (out->actions & LIFE_FINISH) {
        end_logs(s);
        record_commit(&s->record, NULL, true);
    }
    /* The two below feed the next event themselves: last. */
    if (out->actions & LIFE_REAP)
        attempt_clear(&s->attempt);
    if (out->actions & LIFE_LAUNCH)
        relaunch(s, false);
}

/* Nothing of the task runs, and this process will not start it again. */
static bool is_done(const struct supervisor *s)
{
    return s->life.state == LIFE_DEAD;
}

static void feed(struct supervisor *s, struct life_input in)
{
    struct life_output out;

    in.now_ns = clock_now_ns(CLOCK_MONOTONIC);
    in.random = clock_spread(in.now_ns);
    life_step(&s->life, s->spec, &in, &out);
    /* Both before the notes are recorded: a record that says "dead" must be right about failure. */
    s->record.status.state =
        is_done(s) && s->leaving ? TASK_STATE_PENDING : life_task_state(s->life.state);
    s->record.status.failed = s->life.failed;
    s->record.status.window_count = s->life.count;
    s->record.status.window_ns = s->life.window_open ? s->life.window_ns : 0;
    take_notes(s, &out);
    act(s, &out);
}

static void on_life_timer(struct ev_loop *loop, struct ev_timer *w, int revents)
{
    struct supervisor *s = container_of(w, struct supervisor, life_timer);

    (void)loop;
    (void)revents;
    if (clock_now_ns(CLOCK_MONOTONIC) + 1000000000u < s->timer_ns) { /* a week has passed of more */
        arm_life_timer(s, s->timer_ns);
        return;
    }
    s->timer_ns = 0;
    feed(s, (struct life_input){.event = LIFE_EV_TIMER});
}

/* Live upgrade */

static int on_hand_over(void *arg, struct handover *h, int *ret_memfd, struct err *e)
{
    struct supervisor *s = arg;

    for (int i = 0; i < STREAM_N; i++)
        pump_settle(&s->pumps[i]);
    *h = (struct handover){
        .release = CLEAT_VERSION,
        .state_dir = s->record.state_dir,
        .log_dir = s->log_dir.fd,
        .status_fd = s->record.status_fd,
        .evt_fd = s->record.evt_fd,
        .out_fd = s->record.out_fd,
        .ctl_fd = s->control.fd,
        .life = s->life,
        .timer_ns = s->timer_ns,
        .compressor = s->housekeeper.child,
        .leaving = s->leaving,
        .placed = s->placed,
    };
    memcpy(h->stop_reason, s->stop_reason, sizeof(h->stop_reason));
    attempt_hand_over(&s->attempt, h);
    return handover_write(h, s->spec, &s->record.status, ret_memfd, e);
}

static void on_upgrade_failed(void *arg, const char *why)
{
    if (is_done(arg)) /* the last on record is how it ended */
        return;
    commit(arg, TASK_EVENT_UPGRADE_FAILED, 0, 0, "%s; went on as %s", why, CLEAT_VERSION);
}

/* Commands */

/* Whoever asks for something may know that the task runs, by what it wrote, before its report was
 * read here: it is to get its kill signal, not SIGKILL. */
static void catch_up(struct supervisor *s)
{
    if (s->life.state == LIFE_STARTING)
        attempt_take_reports(&s->attempt);
}

/* On record, so that a manager that comes later knows as well. */
static void take_terms(struct supervisor *s, const struct spec_terms *terms)
{
    if (s->record.status.terms_id == terms->id)
        return;
    spec_take_terms(s->spec, terms);
    for (int i = 0; i < STREAM_N; i++)
        pump_limits_changed(&s->pumps[i]);
    housekeeper_stir(&s->housekeeper);
    s->record.status.terms_id = terms->id;
    record_say(&s->record, "Restart policy, stop and log settings are those of the changed job");
    record_commit(&s->record, NULL, false);
}

static void on_command(void *arg, const struct ctl_msg *msg)
{
    struct supervisor *s = arg;

    if (is_done(s) && msg->type != CTL_HELLO && msg->type != CTL_PING)
        return; /* the last on record is how it ended */
    catch_up(s);
    switch (msg->type) {
    case CTL_HELLO:
    case CTL_PING:
        record_hello(&s->record);
        break;
    case CTL_SIGNAL:
        if (!attempt_is_alive(&s->attempt))
            break;
        commit(s, TASK_EVENT_SIGNALING, 0, msg->signal, "%s", msg->reason);
        attempt_signal(&s->attempt, msg->signal);
        break;
    case CTL_PAUSE:
        set_paused(s, true, "Paused on request");
        break;
    case CTL_RESUME:
        set_paused(s, false, "Continued on request");
        break;
    case CTL_STOP:
        set_paused(s, false, "Continued in order to stop");
        memcpy(s->stop_reason, msg->reason, sizeof(s->stop_reason));
        s->leaving = false;
        feed(s, (struct life_input){.event = LIFE_EV_STOP, .fail = msg->fail});
        break;
    case CTL_RESTART:
        set_paused(s, false, "Continued in order to stop");
        memcpy(s->stop_reason, msg->reason, sizeof(s->stop_reason));
        feed(s, (struct life_input){.event = LIFE_EV_RESTART});
        break;
    case CTL_TERMS:
        take_terms(s, &msg->terms);
        break;
    case CTL_UPGRADE:
        upgrade_begin(&s->upgrade, msg->path);
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

static void init_logs(struct supervisor *s)
{
    static const char *const suffixes[STREAM_N] = {".stdout", ".stderr"};

    for (int i = 0; i < STREAM_N; i++) {
        if (asprintf(&s->streams[i], "%s%s", s->spec->task, suffixes[i]) < 0)
            abort();
        pump_init(&s->pumps[i], s->loop, &s->log_dir, s->streams[i], &s->spec->logs,
                  &s->record.status.log_lost_bytes, on_pump_news, s);
    }
    s->pumps[STREAM_STDERR].lost_here = &s->record.status.log_lost_stderr_bytes;
    housekeeper_init(&s->housekeeper, s->loop, &s->spec->logs, &s->log_dir, s->pumps, STREAM_N,
                     on_say, s);
}

static struct supervisor *supervisor_alloc(struct ev_loop *loop, struct exec_spec *spec)
{
    struct supervisor *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->loop = loop;
    s->spec = spec;
    s->log_dir = (struct log_dir)LOG_DIR_INIT;
    s->record.status_fd = s->record.evt_fd = s->record.out_fd = -1;
    ev_init(&s->life_timer, on_life_timer);
    life_init(&s->life);
    attempt_init(&s->attempt, loop, spec, s->pumps, &attempt_ops, s);
    s->attempt.other_children[0] = &s->upgrade.check_pid;
    s->attempt.other_children[1] = &s->housekeeper.child;
    upgrade_init(&s->upgrade, loop, on_hand_over, on_upgrade_failed, s);
    return s;
}

static int open_record(struct supervisor *s, int state_dir, int status_fd, struct err *e)
{
    int r;

    if (s->standalone) {
        record_open_standalone(&s->record, s->loop, s->spec);
        return 0;
    }
    r = record_open(&s->record, s->loop, state_dir, status_fd, s->spec, e);
    return r ? r : control_open(&s->control, s->loop, state_dir, on_command, on_garbage, s, e);
}

int supervisor_new(struct ev_loop *loop, struct exec_spec *spec, int state_dir, int status_fd,
                   struct supervisor **ret_supervisor, struct err *e)
{
    struct supervisor *s = supervisor_alloc(loop, spec);
    int r;

    if (!s)
        return err_sys(e, -ENOMEM, "supervise");
    s->record.status_fd = status_fd;
    s->standalone = state_dir < 0;
    s->attempt.own_streams = s->standalone;
    s->attempt.tmpfs_root = s->standalone && spec->n_binds > 0;
    r = log_dir_open(&s->log_dir, spec, e);
    init_logs(s);
    if (!r)
        r = open_record(s, state_dir, status_fd, e);
    if (r < 0) {
        s->spec = NULL;
        (void)supervisor_free(s);
        return r;
    }
    /* The loss of an executor does not give its task the policy's attempts anew. */
    s->life.count = s->record.status.window_count;
    s->life.window_ns = s->record.status.window_ns;
    s->life.window_open = s->life.window_ns > 0;
    *ret_supervisor = s;
    relaunch(s, true);
    return 0;
}

int supervisor_resume(struct ev_loop *loop, const struct handover *h, struct exec_spec *spec,
                      const struct task_status *status, struct supervisor **ret_supervisor,
                      struct err *e)
{
    struct supervisor *s = supervisor_alloc(loop, spec);

    if (!s)
        return err_sys(e, -ENOMEM, "supervise");
    handover_adopt_fds(h);
    log_dir_adopt(&s->log_dir, spec, h->log_dir);
    init_logs(s);
    record_resume(&s->record, loop, h->state_dir, h->status_fd, h->evt_fd, h->out_fd, spec, status);
    control_adopt(&s->control, loop, h->ctl_fd, on_command, on_garbage, s);
    s->life = h->life;
    s->leaving = h->leaving;
    s->placed = h->placed;
    memcpy(s->stop_reason, h->stop_reason, sizeof(s->stop_reason));
    arm_life_timer(s, h->timer_ns);
    commit(s, TASK_EVENT_UPGRADED, 0, 0, "from %s to %s", h->release, CLEAT_VERSION);
    attempt_resume(&s->attempt, h, status->attempt);
    housekeeper_resume(&s->housekeeper, (pid_t)h->compressor);
    s->idles = true;
    *ret_supervisor = s;
    return 0;
}

static struct supervisor *running;

void supervisor_open_ways(struct line_way ways[STREAM_N])
{
    for (int i = 0; i < STREAM_N; i++)
        if (running)
            line_way_open(&ways[i], &running->pumps[i]);
        else
            ways[i].from = -1;
}

void supervisor_close_ways(const struct line_way ways[STREAM_N], const char line[LINE])
{
    for (int i = 0; running && i < STREAM_N; i++)
        line_way_close(&ways[i], line, &running->pumps[i]);
}

void supervisor_run(struct supervisor *s)
{
    running = s;
    while (!is_done(s)) {
        if (s->idles)
            memory_trim();
        s->idles = false;
        ev_run(s->loop, EVRUN_ONCE);
    }
    running = NULL;
}

void supervisor_stop(struct supervisor *s)
{
    catch_up(s);
    feed(s, (struct life_input){.event = LIFE_EV_STOP});
}

void supervisor_kill(struct supervisor *s)
{
    attempt_kill(&s->attempt);
}

void supervisor_leave(struct supervisor *s)
{
    if (s->life.wish == LIFE_WISH_STOP || is_done(s))
        return;
    catch_up(s);
    s->leaving = true;
    set_paused(s, false, "Continued in order to stop");
    (void)snprintf(s->stop_reason, sizeof(s->stop_reason), "Stopped for now, with the machine");
    feed(s, (struct life_input){.event = LIFE_EV_STOP});
}

const struct task_status *supervisor_status(const struct supervisor *s)
{
    return &s->record.status;
}

const char *supervisor_failed_stage(const struct supervisor *s, int *ret_error)
{
    *ret_error = s->attempt.failed_error;
    return s->attempt.failed_stage;
}

struct supervisor *supervisor_free(struct supervisor *s)
{
    if (!s)
        return NULL;
    ev_timer_stop(s->loop, &s->life_timer);
    upgrade_deinit(&s->upgrade);
    attempt_deinit(&s->attempt);
    control_close(&s->control);
    for (int i = 0; i < STREAM_N; i++)
        if (s->pumps[i].loop)
            pump_end(&s->pumps[i]);
    if (s->housekeeper.loop)
        housekeeper_deinit(&s->housekeeper);
    for (int i = 0; i < STREAM_N; i++)
        free(s->streams[i]);
    record_close(&s->record);
    log_dir_close(&s->log_dir);
    reload_deinit(&s->reload);
    (void)spec_free(s->spec);
    free(s);
    return NULL;
}
