/* SPDX-License-Identifier: MIT
 *
 * A handle is made by spawning or attaching, and ends when the executor's pidfd becomes readable,
 * or with the manager. Opening order: the event pipe is opened (for reading and writing, so that it
 * never reports end of file) and emptied first, then HELLO is put into the command pipe, then the
 * executor is forked. So the executor's answer cannot be missed, however fast it is.
 * The command pipe is held open until the answer comes: while the executor is starting, nobody else
 * has it open, and what is in it would be lost.
 */
#include "manager/task/task_handle.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager/core.h"
#include "manager/task/spawn.h"
#include "manager/task/task.h"
#include "manager/task/task_terms.h"
#include "shared/cleanup.h"
#include "shared/log.h"
#include "shared/proto/wire.h"
#include "shared/sys.h"

struct task_handle {
    struct task *task;
    ev_io evt;  /* the event pipe */
    ev_io gone; /* the executor's pidfd */
    ev_io full; /* the control pipe, while a stop waits for room in it */
    int ctl_fd; /* held until the executor answered, else -1 */
    bool child; /* ours to wait for */
    bool ready; /* it answered */
    bool stop;  /* asked for, and not sent yet if not `ready` */
    bool stop_fail;
    char *stop_reason;
    uint32_t version;  /* WIRE_VERSION that it answered with */
    uint64_t terms_id; /* the last ones sent; 0: none */
    char release[sizeof(((struct evt_msg *)0)->release)];
};

/* Whole frames only are in a pipe, and this takes all a pipe of the default size can hold: so what
 * one read returns never ends within a frame. */
static char evt_buffer[65536];

static const struct ctl_msg hello_msg = {.type = CTL_HELLO, .version = WIRE_VERSION};

static struct ev_loop *handle_loop(const struct task_handle *handle)
{
    return handle->task->alloc->manager->loop;
}

static void handle_dir(const struct task_handle *handle, char *buf, size_t size)
{
    const struct task *task = handle->task;

    store_task_dir(&task->alloc->manager->store, task->alloc->id, task->def->name, buf, size);
}

static int open_in(const char *dir, const char *name, int flags)
{
    char path[PATH_MAX];
    int fd;

    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? -errno : fd;
}

static int open_fifo(const char *dir, const char *name)
{
    int fd = open_in(dir, name, O_RDWR | O_NONBLOCK);
    char path[PATH_MAX];

    if (fd != -ENOENT)
        return fd;
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    if (mkfifo(path, 0600) < 0 && errno != EEXIST)
        return -errno;
    return open_in(dir, name, O_RDWR | O_NONBLOCK);
}

/* The pid of who holds the lock on a status file; 0: nobody. */
static pid_t holder(int status_fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (status_fd < 0 || fcntl(status_fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
        return 0;
    return lock.l_pid;
}

pid_t task_handle_find(const char *dir)
{
    autofd int fd = open_in(dir, WIRE_STATUS, O_RDWR);

    return holder(fd);
}

int task_handle_read_record(const char *dir, struct task_status *ret_status)
{
    autofd int fd = open_in(dir, WIRE_STATUS, O_RDONLY);

    return fd < 0 ? fd : status_read(fd, ret_status, NULL);
}

int task_handle_hold(const char *dir)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    autofd int fd = open_in(dir, WIRE_STATUS, O_RDWR | O_CREAT);

    if (fd < 0)
        return fd;
    return fcntl(fd, F_SETLK, &lock) < 0 ? -EBUSY : take_fd(&fd);
}

bool task_handle_has_order(const char *dir)
{
    autofd int fd = open_in(dir, WIRE_SPEC, O_RDONLY);

    return fd >= 0;
}

/* While we hold the lock an executor gives up; once we let go, it finds no spec, or a later one
 * that is not for it. */
int task_handle_withdraw(const char *dir)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, WIRE_SPEC);
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

int task_handle_retire(const char *dir)
{
    autofd int fd = task_handle_hold(dir);

    if (fd == -ENOENT)
        return 0; /* the directory was never made */
    return fd < 0 ? fd : task_handle_withdraw(dir);
}

static int send_to(int fd, const struct ctl_msg *msg)
{
    char frame[WIRE_FRAME_MAX];
    size_t size = ctl_encode(msg, frame);

    return write(fd, frame, size) == (ssize_t)size ? 0 : -errno;
}

static int send_command(struct task_handle *handle, const struct ctl_msg *msg)
{
    char dir[PATH_MAX];
    autofd int fd = -1;

    handle_dir(handle, dir, sizeof(dir));
    fd = open_in(dir, WIRE_CTL, O_WRONLY | O_NONBLOCK);
    return fd < 0 ? fd : send_to(fd, msg);
}

static void send_stop(struct task_handle *handle)
{
    struct ctl_msg msg = {.type = CTL_STOP, .fail = handle->stop_fail};
    const struct task *task = handle->task;
    int r;

    if (handle->stop_reason)
        (void)snprintf(msg.reason, sizeof(msg.reason), "%s", handle->stop_reason);
    r = send_command(handle, &msg);
    if (r == -EAGAIN && handle->full.fd < 0) { /* an executor that is stopped, or flooded */
        char dir[PATH_MAX];

        handle_dir(handle, dir, sizeof(dir));
        r = open_in(dir, WIRE_CTL, O_WRONLY | O_NONBLOCK);
        if (r >= 0) {
            ev_io_set(&handle->full, r, EV_WRITE);
            ev_io_start(handle_loop(handle), &handle->full);
            return;
        }
    }
    /* ENXIO: it is on its way out, its pidfd will tell. */
    if (r && r != -ENXIO)
        log_error("alloc %s task %s: send stop to its executor: %s", task->alloc->id,
                  task->def->name, strerror(-r));
}

static void on_ctl_writable(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)revents;
    ev_io_stop(loop, w);
    close_fd(&w->fd);
    send_stop(container_of(w, struct task_handle, full));
}

int task_handle_upgrade(struct task_handle *handle, const char *path)
{
    struct ctl_msg msg = {.type = CTL_UPGRADE};

    if (!handle->ready)
        return -EAGAIN;
    if (strlen(path) >= sizeof(msg.path))
        return -ENAMETOOLONG;
    (void)snprintf(msg.path, sizeof(msg.path), "%s", path);
    return send_command(handle, &msg);
}

int task_handle_send(struct task_handle *handle, const struct ctl_msg *msg)
{
    return send_command(handle, msg);
}

int task_handle_pause(struct task_handle *handle, bool paused)
{
    const struct ctl_msg msg = {.type = paused ? CTL_PAUSE : CTL_RESUME};

    return handle->ready ? send_command(handle, &msg) : -EAGAIN;
}

int task_handle_send_terms(struct task_handle *handle, const struct spec_terms *terms)
{
    const struct ctl_msg msg = {.type = CTL_TERMS, .terms = *terms};
    int r;

    if (!handle->ready)
        return -EAGAIN;
    if (handle->version < 2)
        return -EPROTONOSUPPORT;
    if (handle->terms_id == terms->id)
        return 0;
    r = send_command(handle, &msg);
    if (!r)
        handle->terms_id = terms->id;
    return r;
}

const char *task_handle_release(const struct task_handle *handle)
{
    return handle->release;
}

void task_handle_stop(struct task_handle *handle, bool fail, const char *reason)
{
    if (handle->stop)
        return;
    handle->stop = true;
    handle->stop_fail = fail;
    handle->stop_reason = reason ? strdup(reason) : NULL;
    if (handle->ready)
        send_stop(handle);
}

bool task_handle_is_stopping(const struct task_handle *handle)
{
    return handle->stop;
}

static void on_hello(struct task_handle *handle, const struct evt_msg *msg)
{
    bool first = !handle->ready;

    memcpy(handle->release, msg->release, sizeof(handle->release));
    handle->version = msg->version;
    handle->ready = true;
    close_fd(&handle->ctl_fd);
    if (first && handle->stop)
        send_stop(handle);
}

/* Looks through the frames of one read. Returns true when the record should be read. */
static bool take_frames(struct task_handle *handle, const char *data, size_t size)
{
    uint64_t known = handle->task->status.seq;
    bool news = false;

    while (size) {
        const char *payload;
        size_t payload_size, consumed;
        struct evt_msg msg;
        int r = wire_frame(data, size, &payload, &payload_size, &consumed);

        if (r) { /* foreign bytes: the record is whole, but a HELLO may be behind them */
            (void)send_command(handle, &hello_msg);
            return true;
        }
        r = evt_decode(payload, payload_size, &msg, NULL);
        if (!r && msg.type == EVT_HELLO)
            on_hello(handle, &msg);
        news |= r || msg.seq != known;
        data += consumed;
        size -= consumed;
    }
    return news;
}

static void on_evt_readable(struct ev_loop *loop, ev_io *w, int revents)
{
    struct task_handle *handle = container_of(w, struct task_handle, evt);
    ssize_t n = read(w->fd, evt_buffer, sizeof(evt_buffer));

    (void)revents;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        log_error("alloc %s task %s: read its events: %s", handle->task->alloc->id,
                  handle->task->def->name, n ? strerror(errno) : "end of file");
        ev_io_stop(loop, w);
        return;
    }
    if (take_frames(handle, evt_buffer, (size_t)n))
        task_on_record(handle->task);
    else /* it may have answered just now */
        task_renew_terms(handle->task);
}

static void on_executor_exit(struct ev_loop *loop, ev_io *w, int revents)
{
    struct task_handle *handle = container_of(w, struct task_handle, gone);
    struct task *task = handle->task;
    siginfo_t info = {0};
    int code = -1;

    (void)loop;
    (void)revents;
    if (handle->child && waitid(P_PIDFD, (id_t)w->fd, &info, WEXITED | WNOHANG) == 0 &&
        info.si_code == CLD_EXITED)
        code = info.si_status;
    task->handle = task_handle_free(handle);
    task_on_executor_gone(task, code);
}

static struct task_handle *handle_new(struct task *task)
{
    struct task_handle *handle = calloc(1, sizeof(*handle));

    if (!handle)
        abort();
    handle->task = task;
    handle->ctl_fd = -1;
    ev_io_init(&handle->evt, on_evt_readable, -1, EV_READ);
    ev_io_init(&handle->gone, on_executor_exit, -1, EV_READ);
    ev_io_init(&handle->full, on_ctl_writable, -1, EV_WRITE);
    return handle;
}

struct task_handle *task_handle_free(struct task_handle *handle)
{
    if (!handle)
        return NULL;
    ev_io_stop(handle_loop(handle), &handle->evt);
    ev_io_stop(handle_loop(handle), &handle->gone);
    ev_io_stop(handle_loop(handle), &handle->full);
    close_fd(&handle->evt.fd);
    close_fd(&handle->gone.fd);
    close_fd(&handle->full.fd);
    close_fd(&handle->ctl_fd);
    free(handle->stop_reason);
    free(handle);
    return NULL;
}

/* Opens both pipes and leaves HELLO for the executor. */
static int open_pipes(struct task_handle *handle, const char *dir, struct err *e)
{
    int fd = open_fifo(dir, WIRE_EVT), r;

    if (fd < 0)
        return err_sys(e, fd, "open %s/%s", dir, WIRE_EVT);
    ev_io_set(&handle->evt, fd, EV_READ);
    while (read(fd, evt_buffer, sizeof(evt_buffer)) > 0)
        ; /* what a dead predecessor left is in the record */
    handle->ctl_fd = open_fifo(dir, WIRE_CTL);
    if (handle->ctl_fd < 0)
        return err_sys(e, handle->ctl_fd, "open %s/%s", dir, WIRE_CTL);
    r = send_to(handle->ctl_fd, &hello_msg);
    return r ? err_sys(e, r, "send hello to the executor in %s", dir) : 0;
}

static void watch(struct task_handle *handle, int pidfd)
{
    struct ev_loop *loop = handle_loop(handle);

    ev_io_set(&handle->gone, pidfd, EV_READ);
    ev_io_start(loop, &handle->evt);
    ev_io_start(loop, &handle->gone);
    handle->task->handle = handle;
}

int task_handle_spawn(struct task *task, const char *dir, struct err *e)
{
    struct task_handle *handle = handle_new(task);
    char *const argv[] = {"cleat-executor", "supervise", (char *)dir, NULL};
    char order[sizeof(WIRE_ORDER_ENV "=") + sizeof(task->order)];
    char *const env[] = {SPAWN_PATH, order, NULL};
    int r = open_pipes(handle, dir, e);

    (void)snprintf(order, sizeof(order), WIRE_ORDER_ENV "=%s", task->order);
    if (!r)
        r = spawn_executor(task->alloc->manager->config->executor, argv, env, NULL, 0, e);
    if (r < 0) {
        task_handle_free(handle);
        return r;
    }
    handle->child = true;
    watch(handle, r);
    return 0;
}

int task_handle_attach(struct task *task, const char *dir, struct err *e)
{
    autofd int status_fd = open_in(dir, WIRE_STATUS, O_RDWR), pidfd = -1;
    pid_t pid = holder(status_fd);
    struct task_handle *handle;
    int r;

    if (!pid)
        return err_sys(e, -ESRCH, "find the executor of %s", dir);
    pidfd = sys_pidfd_open(pid, 0);
    /* Still the holder: then the pidfd is of that process and no other. */
    if (pidfd < 0 || holder(status_fd) != pid)
        return err_sys(e, -ESRCH, "attach to executor %d of %s", pid, dir);
    handle = handle_new(task);
    r = open_pipes(handle, dir, e);
    if (r) {
        task_handle_free(handle);
        return r;
    }
    watch(handle, take_fd(&pidfd));
    return 0;
}
