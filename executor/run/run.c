/* SPDX-License-Identifier: MIT
 *
 * Options become a spec, the spec goes to the same supervisor the manager's executors use. Nothing
 * is kept on disk but the logs asked for: the root is a tmpfs in the task's own mount namespace, on
 * an empty directory that is removed at the end. While it runs, <log-dir>/.<task>.lock keeps others
 * from writing the same logs; a SIGKILL leaves that file, unlocked.
 */
#include "executor/run/run.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "executor/run/run_options.h"
#include "executor/supervisor.h"
#include "shared/cleanup.h"
#include "shared/evloop.h"
#include "shared/proto/exec.h"

struct log_lock {
    char *path; /* NULL: none */
    int fd;
};

/* A full disk is no reason to fail: the task can do without its logs, and is told of as it loses
 * them. */
static int no_lock_file(const char *path, const char *log_dir, int error, struct err *e)
{
    if (error == -ENOSPC || error == -EDQUOT)
        return 0;
    if (error == -EACCES && access(path, F_OK) == 0)
        return err_set(e, error,
                       "%s is another user's: if none of their runs writes there, remove it", path);
    return err_sys(e, error, "write to -log-dir %s", log_dir);
}

/* By fcntl(2), not flock(2): no child that has not come to its exec yet holds on to it when this
 * process is killed, so whoever starts a run anew need not wait. */
static int lock_logs(struct log_lock *lock, const struct exec_spec *spec, struct err *e)
{
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat st = {0};

    if (asprintf(&lock->path, "%s/.%s.lock", spec->log_dir, spec->task) < 0)
        return err_sys(e, -ENOMEM, "lock the logs");
    while (st.st_nlink == 0) { /* it was removed by its last owner before it was ours */
        close_fd(&lock->fd);
        lock->fd = open(lock->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (lock->fd < 0)
            return no_lock_file(lock->path, spec->log_dir, -errno, e);
        if (fcntl(lock->fd, F_SETLK, &range) < 0) {
            int r = -errno;

            close_fd(&lock->fd);
            if (r != -EAGAIN && r != -EACCES)
                return err_sys(e, r, "lock %s", lock->path);
            return err_set(e, -EBUSY,
                           "another run writes %s.stdout.N in %s: give this one another -name",
                           spec->task, spec->log_dir);
        }
        if (fstat(lock->fd, &st) < 0)
            return err_sys(e, -errno, "look at %s", lock->path);
    }
    return 0;
}

static void unlock_logs(struct log_lock *lock)
{
    if (lock->fd >= 0)
        (void)unlink(lock->path);
    close_fd(&lock->fd);
    free(lock->path);
}

static void on_stop_signal(struct ev_loop *loop, struct ev_signal *w, int revents)
{
    (void)loop;
    (void)revents;
    supervisor_stop(w->data);
}

/* Whoever asks again does not want to wait for the end of the kill timeout. */
static void on_interrupt(struct ev_loop *loop, struct ev_signal *w, int revents)
{
    static bool asked;

    if (asked)
        supervisor_kill(w->data);
    asked = true;
    on_stop_signal(loop, w, revents);
}

/* The spec the supervisor owns: encoding and decoding also applies every rule a spec must keep. */
static int own_spec(const struct exec_spec *spec, struct exec_spec **ret_spec, struct err *e)
{
    autofree char *data = NULL;
    size_t size;
    int r = spec_encode(spec, &data, &size);

    return r < 0 ? err_sys(e, r, "encode the spec") : spec_decode(data, size, ret_spec, e);
}

static int exit_code(const struct supervisor *s)
{
    int error;
    const char *stage = supervisor_failed_stage(s, &error);

    if (!stage)
        return supervisor_status(s)->exit_code;
    if (strcmp(stage, "exec") != 0)
        return EXEC_EXIT_FAILED;
    return error == -ENOENT ? EXEC_EXIT_NOT_FOUND : EXEC_EXIT_NOT_EXECUTABLE;
}

static int run_spec(const struct exec_spec *wanted, bool hangs_up, struct err *e)
{
    struct ev_signal stops[3]; /* watched before there is a task: it may be stopped at once */
    struct exec_spec *spec = NULL;
    struct supervisor *s = NULL;
    struct ev_loop *loop;
    int r = own_spec(wanted, &spec, e);

    if (r < 0)
        return r;
    loop = evloop_new(EVFLAG_NOENV); /* the default one reaps all children itself */
    ev_signal_init(&stops[0], on_interrupt, SIGINT);
    ev_signal_init(&stops[1], on_stop_signal, SIGTERM);
    ev_signal_init(&stops[2], on_stop_signal, SIGHUP);
    evloop_watch_signals(loop, stops, hangs_up ? 3 : 2);
    r = supervisor_new(loop, spec, -1, -1, &s, e);
    if (r < 0) {
        (void)spec_free(spec);
        return r;
    }
    for (size_t i = 0; i < ARRAY_LEN(stops); i++)
        stops[i].data = s;
    supervisor_run(s);
    r = exit_code(s);
    (void)supervisor_free(s);
    return r;
}

/* In a fresh root, unless one was given. */
static int run_in_root(struct run_options *o, bool hangs_up, struct err *e)
{
    char base[] = "/tmp/cleat-run.XXXXXX";
    bool fresh = o->spec.isolation == SPEC_ISOLATION_CHROOT && !o->root;
    int r;

    if (fresh && !mkdtemp(base))
        return err_sys(e, -errno, "make a directory for the root in /tmp");
    if (!o->spec.task_dir)
        o->spec.task_dir = fresh ? base : ".";
    r = run_spec(&o->spec, hangs_up, e);
    if (fresh)
        (void)rmdir(base);
    return r;
}

int run_main(int argc, char **argv, bool hangs_up)
{
    static struct run_options o; /* untouched parts cost no memory there, on the stack they would */
    struct log_lock lock = {.fd = -1};
    struct err e = ERR_INIT;
    int r = run_options_parse(&o, argc, argv, &e);

    if (r > 0)
        return 0;
    if (!r && !o.spec.logs.disabled)
        r = lock_logs(&lock, &o.spec, &e);
    if (!r)
        r = run_in_root(&o, hangs_up, &e);
    unlock_logs(&lock);
    if (r < 0) {
        (void)dprintf(STDERR_FILENO, "cleat-executor run: %s\n", e.text);
        return EXEC_EXIT_FAILED;
    }
    return r;
}
