/* SPDX-License-Identifier: MIT
 *
 * The master is found through the task's root, in which the task may have put anything: so no link
 * is followed, and what was opened must be the multiplexer of a devpts. A task cannot mount one
 * unless it is in a user namespace that it made, and then it is fooling itself only.
 *
 * One chunk at most is held in each direction, so whoever does not read stops whoever writes.
 */
#include "executor/run/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include "shared/cleanup.h"
#include "shared/sys.h"

enum {
    KEY_EOF = 4,          /* VEOF of a new terminal */
    HELD_MAX = 128 << 10, /* more than the kernel's buffers of a terminal hold */
};

static bool is_multiplexer(int fd)
{
    struct statfs fs;
    struct stat st;

    return fstatfs(fd, &fs) == 0 && fs.f_type == DEVPTS_SUPER_MAGIC && fstat(fd, &st) == 0 &&
           S_ISCHR(st.st_mode) && st.st_rdev == makedev(5, 2);
}

int terminal_open(struct terminal *t, const struct exec_spec *spec, int root_fd, struct err *e)
{
    const int flags = O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
    int zero = 0;

    t->master = root_fd < 0 ? open("/dev/pts/ptmx", flags)
                            : sys_openat2(root_fd, "dev/pts/ptmx", (uint64_t)flags, 0,
                                          RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    /* A host's may be there for the name only, with mode 000, while /dev/ptmx is the real one. */
    if (t->master < 0 && root_fd < 0)
        t->master = open("/dev/ptmx", flags);
    if (t->master < 0)
        return err_sys(e, -errno, "open the task's /dev/pts/ptmx for a terminal");
    if (root_fd >= 0 && !is_multiplexer(t->master))
        return err_set(e, -ENOTTY, "the task's /dev/pts/ptmx is no terminal multiplexer");
    if (ioctl(t->master, TIOCSPTLCK, &zero) < 0)
        return err_sys(e, -errno, "unlock a terminal");
    t->slave = ioctl(t->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (t->slave < 0)
        return err_sys(e, -errno, "open a terminal");
    if (spec->set_user && !spec->rootless &&
        fchown(t->slave, spec_host_id(spec, spec->uid), (gid_t)-1) < 0)
        return err_sys(e, -errno, "give the terminal to %s", spec->user ? spec->user : "the user");
    return 0;
}

void terminal_resize(struct terminal *t, const struct exec_size *size)
{
    struct winsize ws = {.ws_row = size->height, .ws_col = size->width};

    if (t->master >= 0)
        (void)ioctl(t->master, TIOCSWINSZ, &ws);
}

static struct pollfd wait_for(int fd, short events)
{
    return (struct pollfd){.fd = events ? fd : -1, .events = events};
}

void terminal_poll(const struct terminal *t, struct pollfd *polls)
{
    polls[0] = wait_for(STDIN_FILENO, t->input_ended || t->n_in ? 0 : POLLIN);
    polls[1] = wait_for(t->master, t->n_in ? POLLOUT : 0);
    polls[2] = wait_for(t->master, t->n_out ? 0 : POLLIN);
    polls[3] = wait_for(STDOUT_FILENO, t->n_out ? POLLOUT : 0);
}

/* Writes the front of `buf` and moves the rest up. Whoever does not take it any more loses it. */
static void put(int fd, char *buf, size_t *n)
{
    ssize_t done = write(fd, buf, *n);

    if (done < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (done < 0)
        done = (ssize_t)*n;
    *n -= (size_t)done;
    memmove(buf, buf + done, *n);
}

static void take_input(struct terminal *t)
{
    ssize_t n = read(STDIN_FILENO, t->in, sizeof(t->in));

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    t->input_ended = n <= 0;
    if (t->input_ended)
        t->in[0] = KEY_EOF;
    t->n_in = t->input_ended ? 1 : (size_t)n;
}

/* False: nothing now. */
static bool take_output(struct terminal *t)
{
    ssize_t n = t->master < 0 ? 0 : read(t->master, t->out, sizeof(t->out));

    if (n > 0)
        t->n_out = (size_t)n;
    return n > 0;
}

void terminal_relay(struct terminal *t, const struct pollfd *polls)
{
    if (polls[0].revents)
        take_input(t);
    if (polls[1].revents)
        put(t->master, t->in, &t->n_in);
    if (polls[2].revents)
        (void)take_output(t);
    if (polls[3].revents)
        put(STDOUT_FILENO, t->out, &t->n_out);
}

void terminal_finish(struct terminal *t)
{
    for (size_t shown = 0; shown < HELD_MAX; shown += t->n_out) {
        while (t->n_out) {
            struct pollfd out = wait_for(STDOUT_FILENO, POLLOUT);

            (void)poll(&out, 1, -1);
            put(STDOUT_FILENO, t->out, &t->n_out);
        }
        if (!take_output(t))
            break;
    }
}
