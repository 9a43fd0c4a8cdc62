/* SPDX-License-Identifier: MIT
 *
 * The simulated world: one machine, on which the real code of manager and executors runs in turns
 * within one process (README.md).
 */
#pragma once

#include <ev.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/proto/spec.h"
#include "shared/proto/status.h"

struct alloc;
struct supervisor;
struct manager;

enum {
    PROCS_MAX = 4096, /* of one episode */
    DIRS_MAX = 512,
    FDS_MAX = 4096,
    FIFO_BYTES = 8192, /* smaller than the kernel's, so that it is full now and then */
    FD_BASE = 100000,
};

#define SECOND 1000000000ULL
#define FOREVER UINT64_MAX

/* Processes */

enum proc_kind {
    PROC_MANAGER,
    PROC_EXECUTOR,
    PROC_HELPER, /* any other program that ends by itself */
    PROC_TASK
};

struct proc {
    enum proc_kind kind;
    pid_t pid;
    struct proc *parent;
    struct dir *dir; /* EXECUTOR, TASK */
    bool alive;
    bool killed; /* has a SIGKILL coming */
    int wait_status;

    /* of our programs */
    struct block *blocks; /* what it allocated */
    struct ev_loop *loop;
    struct supervisor *supervisor;
    int memfd;       /* the state it resumes from, -1 */
    int crash_in;    /* system calls left until it crashes; 0: none planned */
    char order[64];  /* EXECUTOR: of its environment */
    uint64_t begins; /* EXECUTOR: at this step; until then it is forked and has done nothing */
    bool running;    /* on the stack */
    bool looped;     /* had its event of this turn */
    jmp_buf out;     /* leaves its code */
    uint32_t base_restarts;
    uint64_t exit_seq;       /* of the newest exit it put on record */
    bool stopping;           /* it said so */
    bool told_to_restart;    /* it said so */
    struct task_status said; /* EXECUTOR: its newest record */

    /* TASK */
    struct proc *executor; /* that started it */
    uint32_t attempt;
    bool main;       /* else a child that the main process left behind */
    bool executed;   /* … the task's program */
    bool told;       /* the executor knows that */
    int setup_error; /* its setup failed */
    bool stubborn;   /* ignores polite signals */
    bool signalled;  /* by one to end by */
    bool frozen;
    uint64_t signalled_ns;    /* CLOCK_MONOTONIC */
    uint64_t kill_timeout_ns; /* then */
};

/* What manager and executor share of one task, and what the checks know of it. */
struct fifo {
    bool exists;
    int opens, readers;
    size_t len;
    char data[FIFO_BYTES];
};

struct status_file {
    bool exists;
    char data[2 * STATUS_SLOT_BYTES];
};

struct dir {
    char path[96];
    bool made;
    struct status_file status, synced; /* as it is, and as a power cut leaves it at worst */
    struct proc *lock;                 /* who holds the status file */
    char *spec;
    size_t spec_size;
    struct fifo ctl, evt;

    /* the checks' (check.c) */
    struct spec_restart policy;
    uint64_t kill_timeout_ns;
    uint64_t definition; /* that the executor has read */
    uint64_t terms_id;   /* … of what it acts by */
    uint32_t next_leaf;  /* no leaf cgroup of this boot has this number or a higher one */
    bool exit_unrecorded;
    bool ran;            /* its program was executed, now or earlier */
    bool ended_well;     /* the newest end on record is of exit code 0 */
    bool recall;         /* … and it was told to start again */
    int exit_status;     /* of the last main process */
    unsigned int starts; /* Started events on record */
    bool told_dead;      /* by the manager */
    bool stop_unsaved;   /* it was told to stop, on no record: the next manager may go on with it */
    uint32_t told_restarts;
    unsigned int losses;  /* of executors, or of the machine */
    unsigned int forgets; /* records lost or set back: counts may be old */
    uint64_t window_ns;
    bool window_open;
    uint32_t window_count;
};

struct world {
    bool trace;
    uint64_t seed, step;
    uint64_t random;
    uint64_t mono_ns, real_ns;
    int boot;
    struct proc procs[PROCS_MAX];
    int n_procs;
    struct dir dirs[DIRS_MAX];
    int n_dirs;
    struct proc *manager_proc; /* NULL: down */
    struct manager *manager;   /* NULL until it has started */
    bool calm;                 /* no more faults */
    bool full;                 /* the tables are: the episode ends */
    bool old_executors;        /* of a release that acts by any order */
};

extern struct world world;
/* Whose code runs; NULL: the simulator's own. Volatile: the compiler thinks malloc() cannot see it.
 */
extern struct proc *volatile current;

/* sim.c */
uint32_t dice(uint32_t n); /* 0 … n - 1 */
bool one_in(uint32_t n);
void trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void violated(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* At each system call of our programs: another process may run now, or this one crash. */
void tick(void);

/* kernel.c: processes */
void kernel_reset(void);
struct proc *proc_new(enum proc_kind kind, struct dir *dir);
struct proc *proc_find(pid_t pid);
void proc_die(struct proc *p, int wait_status); /* not for one that is on the stack */
/* Runs code of `p` until it returns, crashes (false), waits in its loop or becomes another. */
bool proc_run(struct proc *p, void (*code)(void *arg), void *arg);
void proc_exit(int code) __attribute__((noreturn));
void sys_enter(void);                            /* first thing in each system call */
void proc_yield(void) __attribute__((noreturn)); /* from ev_run() */
int fail_with(int error);                        /* sets errno, returns -1 */
void power_cut(void); /* everything dies, what was not synced may be lost */

/* files.c: directories, files, pipes, descriptors */
enum fd_type {
    FD_NONE,
    FD_DIR,
    FD_STATUS,
    FD_CTL,
    FD_EVT,
    FD_PID,
    FD_REPORT,
    FD_MEM,
    FD_SINK
};
struct dir *dir_find(const char *path);
struct dir *dir_make(const char *path);
int fd_new(int type, struct dir *dir, struct proc *target);
struct dir *fd_dir(int fd);
struct proc *fd_target(int fd);
bool fd_is_ready(int fd, int events);
void fd_close_all(struct proc *p, bool exec); /* of one that dies, or goes over an exec */
bool fifo_put(struct fifo *f, const char *data, size_t size);
/* Bytes no program of ours would write, before what is in the pipe and has not been read. */
void fifo_litter(struct fifo *f);
/* Both slots of a record become unreadable, while nobody writes it; none that was the end. */
void status_spoil(struct dir *dir);

/* memory.c */
void memory_free_all(struct proc *p);

/* evloop.c */
struct ev_loop *loop_new(struct proc *p);
void loop_free(struct ev_loop *loop);
bool loop_has_event(const struct ev_loop *loop);
void loop_run_event(struct ev_loop *loop);            /* one that is there, by dice */
void loop_prepare(struct ev_loop *loop);              /* what runs before the loop would sleep */
uint64_t loop_next_timer(const struct ev_loop *loop); /* FOREVER: none */

/* host.c: modules of the manager that are the environment here */
void store_reset(void);
void store_power_cut(void);

/* programs.c */
void manager_boot(void);
void manager_down(void);
void executor_code(void *arg);
void task_act(struct proc *p); /* the next thing a task's process does */

/* check.c */
void check_forget(struct dir *dir); /* its record is lost, or one of before again */
void check_stop_unsaved(const char *job_id);
void check_record(struct dir *dir, const char *slot, size_t size);
struct task_status newest_record(const struct status_file *file);       /* seq 0: none */
struct proc *someone_of(const struct dir *dir, const struct proc *but); /* a live process */
void check_launch(struct dir *dir, struct proc *p);
/* What a task is in its group, by the first letter of its name: 'p' prestart, 's' its sidecar,
 * 'm' main, 'l' the leader, 'a' poststart, 'b' its sidecar, 'z' poststop. */
char role_of(const struct dir *dir);
void check_kill(struct proc *executor, uint32_t attempt);
void check_executor_end(struct proc *p);
void check_clock(void);
void check_manager_started(void);
void check_job_removed(const char *id);
void check_quiet(void);
void check_stopped(void);
void check_alloc(void *arg, struct alloc *alloc);
