/* SPDX-License-Identifier: MIT
 *
 * The child is a fork that goes on, not a program of its own: measured, it has 380 KiB to itself
 * while it runs, where a fresh process has 520, and the executor's own memory is the same after it
 * either way. It dies with the executor; what it leaves then is cleared away by the next one
 * (logrotate/compress.h).
 */
#include "executor/logs/housekeeper.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "logrotate/compress.h"
#include "logrotate/trim.h"
#include "shared/cleanup.h"
#include "shared/clock.h"
#include "shared/evloop.h"
#include "shared/sys.h"

enum {
    LOCK_TENTHS = 6000,    /* others, niced as well, may have much to do */
    IOPRIO_IDLE = 3 << 13, /* ioprio_set(2); libc has neither it nor its constants */
    IOPRIO_PROCESS = 1,
};
static const uint64_t retry_ns = 600000000000; /* after something could not be done */
static const uint64_t pause_ns = 1000000000;   /* between children */
static const ev_tstamp margin_s = 0.01;        /* file times are as coarse as the kernel's tick */

static bool has_rules(const struct spec_logs *limits)
{
    return !limits->disabled && (limits->max_age_ns || limits->max_total_bytes || limits->compress);
}

/* The child */

static int compress_all(const struct housekeeper *h, uint64_t before_ns)
{
    autofd int lock = compress_lock(h->dir->fd, LOCK_TENTHS);
    int first = lock < 0 ? lock : 0;

    for (size_t i = 0; lock >= 0 && i < h->n_pumps; i++) {
        int r = compress_due(h->dir->fd, h->pumps[i].name, h->pumps[i].writer.number, before_ns);

        first = first ? first : r;
    }
    return first;
}

/* What it ends with is the errno of the first segment that failed, or 0. */
static void __attribute__((noreturn))
child_main(const struct housekeeper *h, pid_t parent, uint64_t before_ns)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(ESRCH);
    (void)prctl(PR_SET_NAME, "cleat-compress");
    /* Above all the event pipe: a manager must see its end when the executor dies. */
    if (h->dir->fd > 0)
        (void)sys_close_range(0, (unsigned int)h->dir->fd - 1, 0);
    (void)sys_close_range((unsigned int)h->dir->fd + 1, ~0U, 0);
    (void)setpriority(PRIO_PROCESS, 0, 19);
    (void)syscall(SYS_ioprio_set, IOPRIO_PROCESS, 0, IOPRIO_IDLE);
    _exit(-compress_all(h, before_ns));
}

static int start_child(struct housekeeper *h, uint64_t now_ns)
{
    pid_t parent = getpid(), pid = _Fork(); /* nothing has handlers for fork(3) */

    if (pid < 0)
        return -errno;
    if (pid == 0)
        child_main(h, parent, now_ns - h->limits->compress_after_ns);
    h->child = pid;
    return 0;
}

static int watch_child(struct housekeeper *h)
{
    int pidfd = sys_pidfd_open(h->child, 0);

    if (pidfd < 0)
        return -errno;
    ev_io_set(&h->compressed, pidfd, EV_READ);
    ev_io_start(h->loop, &h->compressed);
    return 0;
}

/* Returns its exit code. */
static int let_go_of_child(struct housekeeper *h, bool kill_it)
{
    int status = 0;

    if (kill_it)
        (void)kill(h->child, SIGKILL);
    ev_io_stop(h->loop, &h->compressed);
    close_fd(&h->compressed.fd);
    (void)waitpid(h->child, &status, 0);
    h->child = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

/* A child has ended, or could not be started. */
static void settle(struct housekeeper *h, int error)
{
    char text[128];

    if (error && error != h->told_error) {
        (void)snprintf(text, sizeof(text), "cannot compress log segments: %s; trying again later",
                       strerrordesc_np(error));
        h->say(h->arg, text);
    }
    h->told_error = error;
    h->not_before_ns = clock_now_ns(CLOCK_MONOTONIC) + (error ? retry_ns : pause_ns);
}

static void compress(struct housekeeper *h, uint64_t now_ns)
{
    int r = start_child(h, now_ns);

    if (r == 0) {
        r = watch_child(h);
        if (r < 0)
            (void)let_go_of_child(h, true);
    }
    if (r < 0)
        settle(h, -r);
}

/* Looking */

static void arm(struct housekeeper *h, uint64_t now_ns, uint64_t due_ns)
{
    ev_timer_stop(h->loop, &h->due);
    if (!due_ns)
        return;
    ev_now_update(h->loop);
    ev_timer_set(&h->due, evloop_seconds(now_ns, due_ns) + margin_s, 0.);
    ev_timer_start(h->loop, &h->due);
}

/* Until there may be another child. */
static uint64_t pause_left_ns(const struct housekeeper *h)
{
    uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);

    return h->not_before_ns > now_ns ? h->not_before_ns - now_ns : 0;
}

static void look(struct housekeeper *h)
{
    const struct trim_rules rules = {.max_files = h->limits->max_files,
                                     .max_age_ns = h->limits->max_age_ns,
                                     .max_total_bytes = h->limits->max_total_bytes,
                                     .compress = h->limits->compress == SPEC_COMPRESS_GZIP,
                                     .compress_after_ns = h->limits->compress_after_ns};
    uint64_t now_ns = clock_now_ns(CLOCK_REALTIME), due_ns, child_ns;
    struct trim_stream streams[TRIM_STREAMS];
    struct trim_result result;
    int r;

    h->stirred = false;
    for (size_t i = 0; i < h->n_pumps; i++)
        streams[i] = (struct trim_stream){h->pumps[i].name, h->pumps[i].writer.number};
    r = trim_look(h->dir->fd, &rules, streams, h->n_pumps, now_ns, &result);
    if (r == -ENOENT)
        return; /* the directory is gone: the pumps see to that, and stir */
    if (r < 0) {
        arm(h, now_ns, now_ns + retry_ns);
        return;
    }
    if (result.compress && !h->child && !pause_left_ns(h))
        compress(h, now_ns);
    due_ns = result.next_ns;
    child_ns = now_ns + pause_left_ns(h);
    if (result.compress && !h->child && (!due_ns || child_ns < due_ns))
        due_ns = child_ns;
    arm(h, now_ns, due_ns);
}

static void on_due(struct ev_loop *loop, struct ev_timer *w, int revents)
{
    (void)loop;
    (void)revents;
    look(container_of(w, struct housekeeper, due));
}

static void on_compressed(struct ev_loop *loop, struct ev_io *w, int revents)
{
    struct housekeeper *h = container_of(w, struct housekeeper, compressed);

    (void)loop;
    (void)revents;
    settle(h, let_go_of_child(h, false));
    look(h); /* there may be more by now */
}

/* Life */

void housekeeper_init(struct housekeeper *h, struct ev_loop *loop, const struct spec_logs *limits,
                      const struct log_dir *dir, const struct pump *pumps, size_t n_pumps,
                      void (*say)(void *arg, const char *text), void *arg)
{
    *h = (struct housekeeper){.loop = loop,
                              .limits = limits,
                              .dir = dir,
                              .pumps = pumps,
                              .n_pumps = n_pumps,
                              .say = say,
                              .arg = arg};
    ev_init(&h->due, on_due);
    ev_io_init(&h->compressed, on_compressed, -1, EV_READ);
}

void housekeeper_stir(struct housekeeper *h)
{
    if (!has_rules(h->limits) || h->stirred)
        return;
    h->stirred = true;
    arm(h, 0, 1); /* not here and now: rotations may come many at a time */
}

void housekeeper_resume(struct housekeeper *h, pid_t child)
{
    h->child = child;
    if (child && watch_child(h) < 0)
        h->child = 0;
    housekeeper_stir(h);
}

void housekeeper_deinit(struct housekeeper *h)
{
    ev_timer_stop(h->loop, &h->due);
    if (!h->child)
        return;
    (void)let_go_of_child(h, true);
    for (size_t i = 0; i < h->n_pumps; i++)
        compress_clear_away(h->dir->fd, h->pumps[i].name);
}
