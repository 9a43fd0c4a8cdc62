/* SPDX-License-Identifier: MIT
 *
 * Processes: their starts, deaths and signals, clocks, and what a power cut leaves. Their files are
 * files.c's.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/proto/wire.h"
#include "tests/sim/sim.h"

enum {
    LEFT_BY_CRASH = 1,
    LEFT_BY_YIELD,
    LEFT_BY_EXEC,
    LEFT_BY_EXIT,
};

long __wrap_syscall(long number, ...);
int __wrap_kill(pid_t pid, int signo);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options);
int __wrap_posix_spawn(pid_t *ret_pid, const char *path, const posix_spawn_file_actions_t *files,
                       const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);
int __wrap_posix_spawnp(pid_t *ret_pid, const char *file, const posix_spawn_file_actions_t *files,
                        const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);
int __wrap_execv(const char *path, char *const argv[]);
int __wrap_sigprocmask(int how, const sigset_t *set, sigset_t *old);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
pid_t __wrap_getpid(void);
uid_t __wrap_geteuid(void);

int fail_with(int error)
{
    errno = error;
    return -1;
}

/* Processes */

void kernel_reset(void)
{
    for (int i = 0; i < world.n_procs; i++)
        if (world.procs[i].alive)
            proc_die(&world.procs[i], SIGKILL);
    for (int i = 0; i < world.n_dirs; i++)
        free(world.dirs[i].spec);
}

struct proc *proc_new(enum proc_kind kind, struct dir *dir)
{
    struct proc *p = &world.procs[world.n_procs++];

    world.full |= world.n_procs > PROCS_MAX - 64;
    *p = (struct proc){.kind = kind,
                       .pid = FD_BASE + world.n_procs,
                       .parent = current,
                       .dir = dir,
                       .alive = true,
                       .memfd = -1};
    return p;
}

struct proc *proc_find(pid_t pid)
{
    int i = pid - FD_BASE - 1;

    return i >= 0 && i < world.n_procs ? &world.procs[i] : NULL;
}

static void leave_tasks(struct proc *executor)
{
    for (int i = 0; i < world.n_procs; i++) {
        struct proc *p = &world.procs[i];

        if (p->alive && p->executor == executor && one_in(2))
            p->killed = true; /* by the parent-death signal; the others live on */
    }
}

void proc_die(struct proc *p, int wait_status)
{
    p->alive = false;
    p->wait_status = wait_status;
    fd_close_all(p, false);
    memory_free_all(p);
    if (p->loop)
        loop_free(p->loop);
    p->loop = NULL;
    p->supervisor = NULL;
    if (p == world.manager_proc) {
        world.manager_proc = NULL;
        world.manager = NULL;
    }
    if (p->kind != PROC_EXECUTOR)
        return;
    p->dir->losses += wait_status != 0;
    p->dir->exit_unrecorded = false; /* nobody can know it any more */
    leave_tasks(p);
}

static void become(struct proc *p)
{
    fd_close_all(p, true);
    memory_free_all(p);
    loop_free(p->loop);
    p->loop = loop_new(p);
    p->supervisor = NULL;
}

bool proc_run(struct proc *p, void (*code)(void *arg), void *arg)
{
    struct proc *before = current;
    int left;

    current = p;
    p->running = true;
    left = setjmp(p->out);
    if (!left)
        code(arg);
    current = before;
    p->running = false;
    if (left == LEFT_BY_CRASH) {
        trace("pid %d is killed", p->pid);
        proc_die(p, SIGKILL);
    } else if (left == LEFT_BY_EXEC) {
        become(p);
    } else if (left == LEFT_BY_EXIT) {
        proc_die(p, p->wait_status);
    }
    return left != LEFT_BY_CRASH;
}

void proc_yield(void)
{
    longjmp(current->out, LEFT_BY_YIELD);
}

void proc_exit(int code)
{
    current->wait_status = code << 8;
    longjmp(current->out, LEFT_BY_EXIT);
}

void sys_enter(void)
{
    if (!current)
        return;
    tick();
    if (current->killed || (current->crash_in && --current->crash_in == 0))
        longjmp(current->out, LEFT_BY_CRASH);
}

/* A process in its setup, or of another program than ours, is the simulator's to end. */
static void send_signal(struct proc *p, int signo)
{
    if (!p->alive)
        return;
    if (signo == SIGKILL) {
        p->killed = true;
    } else if (!p->signalled) {
        p->signalled = true;
        p->signalled_ns = world.mono_ns;
        p->kill_timeout_ns = p->dir->kill_timeout_ns;
    }
}

/* Signals, waiting, starting */

long __wrap_syscall(long number, ...)
{
    struct proc *target;
    va_list ap;
    int arg, signo;

    sys_enter();
    va_start(ap, number);
    arg = va_arg(ap, int);
    signo = va_arg(ap, int);
    va_end(ap);
    if (number == SYS_pidfd_open) {
        target = proc_find(arg);
        if (!target || (!target->alive && target->parent != current))
            return fail_with(ESRCH);
        return fd_new(FD_PID, NULL, target);
    }
    if (number != SYS_pidfd_send_signal)
        return fail_with(ENOSYS);
    target = fd_target(arg);
    if (!target->alive)
        return fail_with(ESRCH);
    if (signo == SIGKILL && current->kind == PROC_EXECUTOR && target->kind == PROC_TASK)
        check_kill(current, target->attempt);
    send_signal(target, signo);
    return 0;
}

int __wrap_kill(pid_t pid, int signo)
{
    struct proc *p = proc_find(pid);

    if (p)
        send_signal(p, signo);
    return p ? 0 : fail_with(ESRCH);
}

pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
    struct proc *p = proc_find(pid);

    (void)options;
    sys_enter();
    if (!p || p->parent != current)
        return fail_with(ECHILD);
    if (p->alive)
        violated("pid %d waits for pid %d, which lives", current->pid, pid);
    p->parent = NULL;
    *status = p->wait_status;
    return pid;
}

int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    struct proc *p = type == P_PIDFD ? fd_target((int)id) : NULL;

    (void)options;
    sys_enter();
    if (!p || p->parent != current)
        return fail_with(ECHILD);
    p->parent = NULL;
    info->si_code = WIFEXITED(p->wait_status) ? CLD_EXITED : CLD_KILLED;
    info->si_status = WIFEXITED(p->wait_status) ? WEXITSTATUS(p->wait_status) : SIGKILL;
    return 0;
}

static void take_order(struct proc *p, char *const envp[])
{
    size_t n = strlen(WIRE_ORDER_ENV "=");

    for (; *envp; envp++)
        if (strncmp(*envp, WIRE_ORDER_ENV "=", n) == 0)
            (void)snprintf(p->order, sizeof(p->order), "%s", *envp + n);
}

int __wrap_posix_spawn(pid_t *ret_pid, const char *path, const posix_spawn_file_actions_t *files,
                       const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
    struct proc *p;

    (void)path;
    (void)files;
    (void)attr;
    sys_enter();
    if (!world.calm && one_in(50))
        return EAGAIN;
    if (strcmp(argv[1], "check") == 0) {
        p = proc_new(PROC_HELPER, NULL);
    } else {
        p = proc_new(PROC_EXECUTOR, dir_find(argv[2]));
        p->loop = loop_new(p);
        p->begins = world.step + (one_in(3) ? dice(300) : 0);
        take_order(p, envp);
    }
    *ret_pid = p->pid;
    return 0;
}

/* rm: directories of finished allocations */
int __wrap_posix_spawnp(pid_t *ret_pid, const char *file, const posix_spawn_file_actions_t *files,
                        const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
    (void)file;
    (void)files;
    (void)attr;
    (void)argv;
    (void)envp;
    sys_enter();
    *ret_pid = proc_new(PROC_HELPER, NULL)->pid;
    return 0;
}

int __wrap_execv(const char *path, char *const argv[])
{
    (void)path;
    sys_enter();
    if (!world.calm && one_in(8))
        return fail_with(ENOEXEC);
    current->memfd = (int)strtol(argv[2], NULL, 10);
    longjmp(current->out, LEFT_BY_EXEC);
}

int __wrap_sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
    (void)how;
    (void)set;
    (void)old;
    return 0;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
    uint64_t ns = id == CLOCK_REALTIME ? world.real_ns : world.mono_ns;

    ts->tv_sec = (time_t)(ns / SECOND);
    ts->tv_nsec = (long)(ns % SECOND);
    return 0;
}

pid_t __wrap_getpid(void)
{
    return current->pid;
}

uid_t __wrap_geteuid(void)
{
    return 0;
}

/* Each record is then as it was synced last, or newer; each pipe empty. */
static void cut(struct dir *dir)
{
    if (one_in(2))
        dir->status = dir->synced;
    dir->synced = dir->status;
    if (one_in(2)) {
        free(dir->spec);
        dir->spec = NULL;
    }
    dir->ctl.len = dir->evt.len = 0;
    check_forget(dir);
}

void power_cut(void)
{
    for (int i = 0; i < world.n_procs; i++)
        if (world.procs[i].alive)
            proc_die(&world.procs[i], SIGKILL);
    for (int i = 0; i < world.n_dirs; i++)
        cut(&world.dirs[i]);
    store_power_cut();
    world.boot++;
}
