/* SPDX-License-Identifier: MIT
 *
 * The POSIX lock on the status file is taken before anything is read and is held for life: it is
 * what makes "at most one executor per task" true. Closing any descriptor of the file would drop it
 * (fcntl(2)), so there is exactly one.
 *
 * executor.out lies in a directory the task owns, whose capabilities may let it write to the file
 * too: it is for people, and nothing is decided by it. It is opened never through a link, and only
 * when it is a plain file with one name; the task can remove it, upon which it is made again, but
 * cannot aim it elsewhere.
 */
#include "executor/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/procid.h"

enum {
    OUT_MAX_BYTES = 1 << 20
}; /* an executor.out larger than this is begun anew */

static void evt_close(struct record *rec)
{
    ev_io_stop(rec->loop, &rec->evt_writable);
    close_fd(&rec->evt_fd);
}

/* Sends a frame; one that does not fit is made up for by a HELLO later. */
static void evt_send(struct record *rec, const struct evt_msg *msg)
{
    char frame[WIRE_FRAME_MAX];
    size_t size;

    if (rec->evt_fd < 0)
        return;
    size = evt_encode(msg, frame);
    if (write(rec->evt_fd, frame, size) == (ssize_t)size)
        return;
    if (errno == EAGAIN)
        ev_io_start(rec->loop, &rec->evt_writable);
    else
        evt_close(rec); /* EPIPE: the manager is gone */
}

static void send_hello(struct record *rec)
{
    struct evt_msg msg = {.type = EVT_HELLO,
                          .version = WIRE_VERSION,
                          .release = CLEAT_VERSION,
                          .seq = rec->status.seq,
                          .state = rec->status.state,
                          .failed = rec->status.failed,
                          .pid = rec->status.pid,
                          .restarts = rec->status.restarts};

    evt_send(rec, &msg);
}

static void on_evt_writable(struct ev_loop *loop, struct ev_io *w, int revents)
{
    struct record *rec = container_of(w, struct record, evt_writable);

    (void)revents;
    ev_io_stop(loop, w);
    send_hello(rec);
}

static void record_init(struct record *rec, struct ev_loop *loop, int state_dir)
{
    *rec = (struct record){
        .loop = loop, .state_dir = state_dir, .status_fd = -1, .evt_fd = -1, .out_fd = -1};
    ev_init(&rec->evt_writable, on_evt_writable);
}

int record_lock(int state_dir, struct err *e)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    autofd int fd = openat(state_dir, WIRE_STATUS, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r;

    if (fd < 0)
        return err_sys(e, -errno, "open the status record");
    if (fcntl(fd, F_SETLK, &lock) < 0) {
        if (errno == EAGAIN || errno == EACCES)
            return err_set(e, -EBUSY, "another executor supervises this task");
        return err_sys(e, -errno, "lock the status record");
    }
    r = -posix_fallocate(fd, 0, 2 * STATUS_SLOT_BYTES);
    if (r < 0)
        return err_sys(e, r, "reserve room for the status record");
    return take_fd(&fd);
}

int record_check_order(const struct exec_spec *spec, const char *order, struct err *e)
{
    if (strcmp(spec->order ?: "", order ?: "") == 0)
        return 0;
    return err_set(e, -EBUSY, "the task has been given to another executor since");
}

/* Takes over what the record of an earlier executor says. */
static void go_on(struct record *rec)
{
    struct task_status *s = &rec->status;

    rec->went_on = true;
    s->attempt++;
    if (s->started_ns) {
        s->restarts++;
        s->last_restart_ns = clock_now_ns(CLOCK_REALTIME);
    }
    s->state = TASK_STATE_PENDING;
    s->failed = false;
    s->finished_ns = 0;
    s->pid = 0;
    s->pid_start = 0;
    s->paused = false;
}

static int open_out(const char *dir, struct err *e)
{
    autofd int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    autofd int fd = -1;
    struct stat st;

    if (dir_fd >= 0)
        fd = openat(dir_fd, "executor.out",
                    O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(e, -errno, "open %s/executor.out", dir);
    if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
        return err_set(e, -EPERM, "%s/executor.out is no plain file: remove it", dir);
    if (st.st_size > OUT_MAX_BYTES && ftruncate(fd, 0) < 0)
        return err_sys(e, -errno, "shorten %s/executor.out", dir);
    return take_fd(&fd);
}

static int identify(struct task_status *s, struct err *e)
{
    char before[sizeof(s->boot_id)];
    int r;

    memcpy(before, s->boot_id, sizeof(before));
    r = procid_boot_id(s->boot_id);
    if (strcmp(before, s->boot_id) != 0)
        s->window_ns = 0; /* that clock has stopped */
    s->executor_pid = getpid();
    if (!r)
        r = procid_start_time(s->executor_pid, &s->executor_start);
    return r < 0 ? err_sys(e, r, "read this process's identity from /proc") : 0;
}

/* Another one has gone on since the order was given, or has come to the end of what it is about. */
static bool is_had(const struct task_status *s, const struct exec_spec *spec)
{
    return (spec->foreign_seq && s->seq >= spec->foreign_seq) ||
           (s->state == TASK_STATE_DEAD && s->definition == spec->definition);
}

int record_open(struct record *rec, struct ev_loop *loop, int state_dir, int status_fd,
                const struct exec_spec *spec, struct err *e)
{
    struct err ignored = ERR_INIT;
    int r;

    record_init(rec, loop, state_dir);
    rec->status_fd = status_fd;
    if (status_read(rec->status_fd, &rec->status, &ignored) == 0) {
        if (is_had(&rec->status, spec)) {
            record_close(rec);
            return err_set(e, -EBUSY, "another executor has had this task since");
        }
        go_on(rec);
    }
    rec->status.terms_id = spec->terms_id;
    rec->status.definition = spec->definition;
    rec->task_dir = spec->task_dir;
    rec->out_fd = open_out(spec->task_dir, e);
    r = rec->out_fd < 0 ? rec->out_fd : identify(&rec->status, e);
    if (r < 0) {
        record_close(rec);
        return r;
    }
    record_commit(rec, NULL, false);
    return 0;
}

void record_resume(struct record *rec, struct ev_loop *loop, int state_dir, int status_fd,
                   int evt_fd, int out_fd, const struct exec_spec *spec,
                   const struct task_status *status)
{
    record_init(rec, loop, state_dir);
    rec->status_fd = status_fd;
    rec->evt_fd = evt_fd;
    rec->out_fd = out_fd;
    rec->task_dir = spec->task_dir;
    rec->status = *status;
    if (evt_fd >= 0)
        ev_io_set(&rec->evt_writable, evt_fd, EV_WRITE);
    send_hello(rec); /* a manager learns the release from it */
}

void record_open_standalone(struct record *rec, struct ev_loop *loop, const struct exec_spec *spec)
{
    record_init(rec, loop, -1);
    rec->tells_restarts = spec->restart.attempts > 0;
    rec->out_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
}

/* A run in the foreground shares its stderr with the task and ends with its code: only what neither
 * tells is said. */
static bool worth_saying(const struct record *rec, const struct task_event *event)
{
    if (rec->state_dir >= 0)
        return true;
    switch (event->type) {
    case TASK_EVENT_DRIVER_FAILURE:
    case TASK_EVENT_RESTARTING:
    case TASK_EVENT_LOG_LOST:
    case TASK_EVENT_LOG_BLOCKED:
    case TASK_EVENT_OOM_KILL:
        return true;
    case TASK_EVENT_TERMINATED:
        return event->oom_killed || (rec->tells_restarts && event->exit_code != 0);
    case TASK_EVENT_NOT_RESTARTING:
        return rec->tells_restarts;
    default:
        return false;
    }
}

/* The account in the words of people. */
static void say_event(struct record *rec, const struct task_event *event)
{
    const char *name = task_event_type_name(event->type);

    if (!worth_saying(rec, event))
        return;
    if (event->type == TASK_EVENT_TERMINATED)
        record_say(rec, "%s: exit code %d, signal %d%s%s%s", name, event->exit_code, event->signal,
                   event->oom_killed ? ", out of memory" : "", event->message[0] ? ": " : "",
                   event->message);
    else if (event->message[0])
        record_say(rec, "%s: %s", name, event->message);
    else
        record_say(rec, "%s", name);
}

void record_commit(struct record *rec, const struct task_event *event, bool sync)
{
    struct task_status *s = &rec->status;
    struct evt_msg msg = {.type = EVT_STATUS};
    int r;

    s->seq++;
    if (event) {
        msg.event = *event;
        msg.event.seq = s->seq;
        msg.event.time_ns = clock_now_ns(CLOCK_REALTIME);
        msg.has_event = true;
        task_status_add_event(s, &msg.event);
        say_event(rec, &msg.event);
    }
    if (rec->status_fd >= 0) {
        r = status_write(rec->status_fd, s, sync);
        if (r < 0)
            record_say(rec, "cannot write the status record: %s", strerrordesc_np(-r));
    }
    msg.seq = s->seq;
    msg.state = s->state;
    msg.failed = s->failed;
    msg.pid = s->pid;
    msg.restarts = s->restarts;
    evt_send(rec, &msg);
}

void record_hello(struct record *rec)
{
    evt_close(rec);
    rec->evt_fd = openat(rec->state_dir, WIRE_EVT, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (rec->evt_fd < 0)
        return; /* ENXIO: it said hello and died */
    ev_io_set(&rec->evt_writable, rec->evt_fd, EV_WRITE);
    send_hello(rec);
}

/* Makes an executor.out that the task removed once more; one it put there itself is let be. */
static void mend_out(struct record *rec)
{
    struct err ignored = ERR_INIT;
    struct stat st;
    int fd;

    if (!rec->task_dir || fstat(rec->out_fd, &st) < 0 || st.st_nlink > 0)
        return;
    fd = open_out(rec->task_dir, &ignored);
    if (fd < 0)
        return;
    close_fd(&rec->out_fd);
    rec->out_fd = fd;
}

void record_say(struct record *rec, const char *fmt, ...)
{
    char line[1024], when[CLOCK_TEXT_BYTES];
    va_list ap;
    size_t n;
    int len;

    if (rec->out_fd < 0)
        return;
    mend_out(rec);
    n = (size_t)snprintf(line, sizeof(line),
                         "%s attempt %u: ", clock_format(clock_now_ns(CLOCK_REALTIME), when),
                         rec->status.attempt);
    va_start(ap, fmt);
    len = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
    va_end(ap);
    n += len < 0 ? 0 : (size_t)len;
    if (n > sizeof(line) - 2)
        n = sizeof(line) - 2;
    line[n++] = '\n';
    (void)!write(rec->out_fd, line, n); /* for people only: a full disk must not stop anything */
}

void record_close(struct record *rec)
{
    if (rec->loop)
        evt_close(rec);
    close_fd(&rec->status_fd);
    close_fd(&rec->out_fd);
}
