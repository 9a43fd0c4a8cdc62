/* SPDX-License-Identifier: MIT
 *
 *   (waits for the lock) -> runs -> dead: on_end
 *                             \-> freed: killed, and reaped when it is dead
 * The order is written whole into a memfd before the helper starts, so neither side can block on
 * the other. The pipes are read until nothing is left in them when the pidfd says that it is dead;
 * a process that it left behind, and that holds them open, is not waited for.
 */
#include "manager/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager/task/spawn.h"
#include "shared/cleanup.h"
#include "shared/helper.h"
#include "shared/log.h"
#include "shared/sys.h"

enum {
    FIRST_FD = 3 + WORKER_FDS_MAX + 1, /* ours lie above those that the helper is to have */
    DEFAULT_MAX_LINE = 64 << 10,
    STDERR_LINE = sizeof(((struct worker_end *)0)->text),
    STDERR_LINES = 100,  /* of one helper, in the log */
    READS_PER_TURN = 16, /* others have their turn then */
    READS_AT_END = 1024, /* more than a pipe holds */
};

#define LOCK_RETRY_S 0.02

struct line {
    char *data;
    size_t len, size, max;
};

struct worker {
    struct ev_loop *loop;
    char *name;
    char *program;
    char **env;
    int fds[3 + WORKER_FDS_MAX + 1]; /* what it is given: order, out, err, the caller's, the lock */
    int n_fds;
    bool locked; /* the last of them is the lock */
    int pidfd;
    ev_timer timer; /* until the lock is free; then the time limit */
    double timeout_s;
    ev_io out, err, dead;
    struct line line, err_line;
    unsigned err_lines;
    bool discarded; /* freed by the owner, not dead yet */
    struct worker_end end;
    struct worker *next; /* of those discarded */
    void (*on_message)(void *arg, const json_t *message);
    void (*on_end)(void *arg, const struct worker_end *end);
    void *arg;
};

static struct worker *discarded;

static void close_given(struct worker *w)
{
    for (int i = 0; i < w->n_fds; i++)
        close_fd(&w->fds[i]);
}

static void stop_watching(struct worker *w)
{
    ev_timer_stop(w->loop, &w->timer);
    ev_io_stop(w->loop, &w->out);
    ev_io_stop(w->loop, &w->err);
    ev_io_stop(w->loop, &w->dead);
    close_fd(&w->out.fd);
    close_fd(&w->err.fd);
}

static void destroy(struct worker *w)
{
    stop_watching(w);
    close_given(w);
    close_fd(&w->pidfd);
    for (char **s = w->env; s && *s; s++)
        free(*s);
    free(w->env);
    free(w->name);
    free(w->program);
    free(w->line.data);
    free(w->err_line.data);
    free(w);
}

static void kill_it(struct worker *w)
{
    if (w->pidfd >= 0)
        (void)sys_pidfd_send_signal(w->pidfd, SIGKILL);
}

/* The first reason stands. */
static void give_up(struct worker *w, const char *why)
{
    if (!*w->end.text)
        (void)snprintf(w->end.text, sizeof(w->end.text), "%s", why);
    kill_it(w); /* before SIGPIPE may */
    ev_io_stop(w->loop, &w->out);
    close_fd(&w->out.fd);
}

static void end(struct worker *w)
{
    void (*on_end)(void *, const struct worker_end *) = w->on_end;
    struct worker_end result = w->end;
    void *arg = w->arg;

    destroy(w);
    on_end(arg, &result);
}

/* ---- what it says ---- */

/* False when the helper is done with: freed, or given up. */
static bool take_message(struct worker *w, const char *text, size_t len)
{
    json_t *message = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_object(message)) {
        json_decref(message);
        give_up(w, "its message was no JSON object");
        return false;
    }
    if (w->on_message)
        w->on_message(w->arg, message);
    json_decref(message);
    return !w->discarded && w->out.fd >= 0;
}

/* Other programs, or a server, may have had their say in the text. */
static bool take_stderr(struct worker *w, const char *text, size_t len)
{
    char clean[STDERR_LINE];

    if (len >= sizeof(clean))
        len = sizeof(clean) - 1;
    for (size_t i = 0; i < len; i++)
        clean[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i];
    clean[len] = '\0';
    if (!len)
        return true;
    memcpy(w->end.text, clean, len + 1);
    if (w->err_lines++ < STDERR_LINES)
        log_info("%s: %s", w->name, clean);
    return true;
}

/* Takes every whole line out of the buffer. */
static bool take_lines(struct worker *w, struct line *line,
                       bool (*take)(struct worker *w, const char *text, size_t len))
{
    char *start = line->data, *newline;
    size_t left = line->len;

    while ((newline = memchr(start, '\n', left))) {
        size_t len = (size_t)(newline - start);

        if (!take(w, start, len))
            return false;
        start += len + 1;
        left -= len + 1;
    }
    memmove(line->data, start, left);
    line->len = left;
    return true;
}

static bool grow(struct line *line)
{
    size_t size = line->size ? line->size * 2 : 4096;
    char *data;

    if (size > line->max)
        size = line->max;
    data = size > line->size ? realloc(line->data, size) : NULL;
    if (!data)
        return false;
    line->data = data;
    line->size = size;
    return true;
}

static void read_out(struct worker *w, int reads)
{
    for (int i = 0; i < reads && w->out.fd >= 0; i++) {
        ssize_t n;

        if (w->line.len == w->line.size && !grow(&w->line)) {
            give_up(w, "its message was too long");
            return;
        }
        n = read(w->out.fd, w->line.data + w->line.len, w->line.size - w->line.len);
        if (n <= 0) {
            if (n == 0 || (errno != EAGAIN && errno != EINTR))
                ev_io_stop(w->loop, &w->out);
            return;
        }
        w->line.len += (size_t)n;
        if (!take_lines(w, &w->line, take_message))
            return;
    }
}

/* A line longer than the buffer is told in parts. */
static void read_err(struct worker *w, int reads)
{
    for (int i = 0; i < reads; i++) {
        ssize_t n;

        if (w->err_line.len == w->err_line.size && !grow(&w->err_line)) {
            (void)take_stderr(w, w->err_line.data, w->err_line.len);
            w->err_line.len = 0;
        }
        n = read(w->err.fd, w->err_line.data + w->err_line.len, w->err_line.size - w->err_line.len);
        if (n <= 0) {
            if (n == 0 || (errno != EAGAIN && errno != EINTR))
                ev_io_stop(w->loop, &w->err);
            return;
        }
        w->err_line.len += (size_t)n;
        (void)take_lines(w, &w->err_line, take_stderr);
    }
}

static void on_out(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    read_out(container_of(io, struct worker, out), READS_PER_TURN);
}

static void on_err(struct ev_loop *loop, ev_io *io, int revents)
{
    (void)loop;
    (void)revents;
    read_err(container_of(io, struct worker, err), READS_PER_TURN);
}

/* ---- its end ---- */

static void forget(struct worker *w)
{
    struct worker **at = &discarded;

    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    destroy(w);
}

static void set_end(struct worker *w, const siginfo_t *info)
{
    bool exited = info->si_code == CLD_EXITED;

    w->end.code = exited ? info->si_status : -1;
    w->end.signal = exited ? 0 : info->si_status;
    if (*w->end.text)
        return;
    if (exited)
        (void)snprintf(w->end.text, sizeof(w->end.text), "it exited with code %d", w->end.code);
    else
        (void)snprintf(w->end.text, sizeof(w->end.text), "it was killed by signal %d",
                       w->end.signal);
}

static void on_dead(struct ev_loop *loop, ev_io *io, int revents)
{
    struct worker *w = container_of(io, struct worker, dead);
    siginfo_t info = {0};

    (void)loop;
    (void)revents;
    if (!w->discarded) {
        read_err(w, READS_AT_END);
        read_out(w, READS_AT_END);
    }
    (void)waitid(P_PIDFD, (id_t)w->pidfd, &info, WEXITED);
    if (w->discarded) {
        forget(w);
        return;
    }
    if (w->err_line.len)
        (void)take_stderr(w, w->err_line.data, w->err_line.len);
    set_end(w, &info);
    end(w);
}

static void on_late(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct worker *w = container_of(timer, struct worker, timer);
    char text[64];

    (void)loop;
    (void)revents;
    (void)snprintf(text, sizeof(text), "it took longer than %.0f s", w->timeout_s);
    w->end.text[0] = '\0';
    give_up(w, text);
}

/* ---- its start ---- */

static int start(struct worker *w, struct err *e)
{
    char *argv[] = {w->program, NULL};
    int pidfd = spawn_program(w->program, argv, w->env, w->fds, w->n_fds, w->program, e);

    if (pidfd < 0)
        return pidfd;
    close_given(w);
    w->pidfd = pidfd;
    ev_io_set(&w->dead, pidfd, EV_READ);
    ev_io_start(w->loop, &w->dead);
    ev_io_start(w->loop, &w->out);
    ev_io_start(w->loop, &w->err);
    if (w->timeout_s > 0) {
        ev_timer_init(&w->timer, on_late, w->timeout_s, 0);
        ev_now_update(w->loop);
        ev_timer_start(w->loop, &w->timer);
    }
    return 0;
}

static void on_lock_due(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct worker *w = container_of(timer, struct worker, timer);
    struct err e = ERR_INIT;

    (void)revents;
    if (flock(w->fds[w->n_fds - 1], LOCK_EX | LOCK_NB) < 0) {
        ev_timer_start(loop, timer);
        return;
    }
    if (start(w, &e) == 0)
        return;
    w->end.code = -1;
    (void)snprintf(w->end.text, sizeof(w->end.text), "%s", e.text);
    end(w);
}

static int make_pipe(struct worker *w, int to, ev_io *from)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    from->fd = ends[0];
    w->fds[to] = fcntl(ends[1], F_DUPFD_CLOEXEC, FIRST_FD);
    (void)close(ends[1]);
    if (w->fds[to] < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

static int write_order(struct worker *w, const json_t *order)
{
    autofree char *text = json_dumps(order, JSON_COMPACT);
    autofd int fd = memfd_create("order", MFD_CLOEXEC);
    size_t len = text ? strlen(text) : 0;

    if (!text)
        return -ENOMEM;
    if (len > HELPER_ORDER_MAX)
        return -E2BIG;
    if (fd < 0)
        return -errno;
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, text + done, len - done);

        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    if (lseek(fd, 0, SEEK_SET) < 0)
        return -errno;
    w->fds[0] = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD);
    return w->fds[0] < 0 ? -errno : 0;
}

static int give_fds(struct worker *w, const struct worker_plan *plan)
{
    for (size_t i = 0; i < plan->n_fds; i++)
        if ((w->fds[w->n_fds++] = fcntl(plan->fds[i], F_DUPFD_CLOEXEC, FIRST_FD)) < 0)
            return -errno;
    if (plan->lock < 0)
        return 0;
    w->locked = true;
    w->fds[w->n_fds++] = fcntl(plan->lock, F_DUPFD_CLOEXEC, FIRST_FD);
    return w->fds[w->n_fds - 1] < 0 ? -errno : 0;
}

static char **copy_env(char *const *env)
{
    size_t n = 0;
    char **copy;

    while (env[n])
        n++;
    copy = calloc(n + 1, sizeof(*copy));
    if (!copy)
        abort();
    for (size_t i = 0; i < n; i++)
        if (!(copy[i] = strdup(env[i])))
            abort();
    return copy;
}

static struct worker *make(struct ev_loop *loop, const struct worker_plan *plan)
{
    struct worker *w = calloc(1, sizeof(*w));

    if (!w || !(w->name = strdup(plan->name)) || !(w->program = strdup(plan->program)))
        abort();
    if (plan->env)
        w->env = copy_env(plan->env);
    w->loop = loop;
    w->pidfd = -1;
    w->n_fds = 3;
    memset(w->fds, -1, sizeof(w->fds));
    w->timeout_s = plan->timeout_s;
    w->line.max = plan->max_line ? plan->max_line : DEFAULT_MAX_LINE;
    w->err_line.max = STDERR_LINE;
    w->on_message = plan->on_message;
    w->on_end = plan->on_end;
    w->arg = plan->arg;
    ev_io_init(&w->out, on_out, -1, EV_READ);
    ev_io_init(&w->err, on_err, -1, EV_READ);
    ev_io_init(&w->dead, on_dead, -1, EV_READ);
    ev_timer_init(&w->timer, on_lock_due, LOCK_RETRY_S, 0);
    return w;
}

int worker_new(struct ev_loop *loop, const struct worker_plan *plan, struct worker **ret_worker,
               struct err *e)
{
    struct worker *w = make(loop, plan);
    int r = plan->n_fds > WORKER_FDS_MAX ? -E2BIG : write_order(w, plan->order);

    if (!r)
        r = make_pipe(w, 1, &w->out);
    if (!r)
        r = make_pipe(w, 2, &w->err);
    if (!r)
        r = give_fds(w, plan);
    if (r)
        (void)err_sys(e, r, "give %s its order", plan->program);
    else if (w->locked && flock(w->fds[w->n_fds - 1], LOCK_EX | LOCK_NB) < 0)
        ev_timer_start(loop, &w->timer);
    else
        r = start(w, e);
    if (r)
        destroy(w);
    else
        *ret_worker = w;
    return r;
}

void worker_program(const char *name, char *buf, size_t size)
{
    char own[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
    const char *slash;

    own[n > 0 ? n : 0] = '\0';
    slash = strrchr(own, '/');
    (void)snprintf(buf, size, "%.*s/%s", slash ? (int)(slash - own) : 8, slash ? own : "/usr/bin",
                   name);
}

struct worker *worker_free(struct worker *w)
{
    if (!w)
        return NULL;
    if (w->pidfd < 0) {
        destroy(w);
        return NULL;
    }
    kill_it(w);
    w->discarded = true;
    ev_timer_stop(w->loop, &w->timer);
    ev_io_stop(w->loop, &w->out);
    ev_io_stop(w->loop, &w->err);
    w->next = discarded;
    discarded = w;
    return NULL;
}

void worker_forget_all(struct ev_loop *loop)
{
    struct worker *next;

    for (struct worker *w = discarded; w; w = next) {
        next = w->next;
        if (w->loop == loop)
            forget(w);
    }
}
