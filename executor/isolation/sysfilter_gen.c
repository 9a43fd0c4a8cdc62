/* SPDX-License-Identifier: MIT
 *
 * Build-time tool: writes the default seccomp filter as C to standard output, so that a start only
 * has to load it. libseccomp knows the names and numbers; the program is put together here, because
 * loading time grows with its length: a tree over runs of numbers that share their fate is a
 * quarter of what libseccomp makes of the same policy.
 *
 * The policy is Docker's default, which is what people know as the default: an allow list by name,
 * by argument, and by capability; everything else is EPERM, and what is newer than this list is
 * ENOSYS, so that programs fall back to what they used before.
 *
 * A filter for every set of capabilities would be thousands. Instead each call that depends on
 * capabilities returns a placeholder error number, and executor/isolation/sysfilter.c replaces it
 * when it loads the filter. Names that the libseccomp at hand does not know are left out: they are
 * ENOSYS.
 *
 * Arguments are compared by their low 32 bits: that is all the kernel looks at in these calls.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "executor/isolation/sysfilter.h"
#include "shared/cleanup.h"

#define CAP(name) (1ULL << CAP_##name)
#define NAMESPACES                                                                                 \
    (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |     \
     CLONE_NEWCGROUP)

/* Separated by blanks. The names of every architecture; those another one lacks do no harm. */
static const char allowed[] =
    /* files and directories */
    " access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 "
    "faccessat faccessat2 fadvise64 fadvise64_64 arm_fadvise64_64 fallocate fchdir fchmod fchmodat "
    "fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock "
    "fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 "
    "futimesat getcwd getdents getdents64 getxattr getxattrat ioctl lchown lchown32 lgetxattr link "
    "linkat listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 "
    "mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 pread64 preadv "
    "preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv removexattr "
    "removexattrat rename renameat renameat2 rmdir sendfile sendfile64 setxattr setxattrat splice "
    "stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range sync_file_range2 "
    "arm_sync_file_range syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat "
    "utimensat_time64 utimes vmsplice write writev cachestat "
    /* waiting for descriptors, asynchronous I/O, watching files */
    "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait "
    "epoll_wait_old eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 "
    "inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 "
    "io_setup io_submit pipe pipe2 poll ppoll ppoll_time64 pselect6 pselect6_time64 select "
    "_newselect signalfd signalfd4 "
    /* memory */
    "brk cacheflush get_thread_area madvise map_shadow_stack membarrier memfd_create memfd_secret "
    "mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal msync munlock munlockall "
    "munmap "
    "pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages riscv_flush_icache "
    "set_thread_area "
    /* processes and threads */
    "arch_prctl breakpoint capget capset execve execveat exit exit_group fork futex futex_requeue "
    "futex_time64 futex_wait futex_waitv futex_wake getcpu getegid getegid32 geteuid geteuid32 "
    "getgid getgid32 getgroups getgroups32 getpgid getpgrp getpid getppid getpriority getrandom "
    "getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid gettid getuid getuid32 "
    "get_robust_list ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset "
    "landlock_restrict_self modify_ldt pause pidfd_open pidfd_send_signal prctl prlimit64 "
    "process_vm_readv process_vm_writev ptrace restart_syscall rseq rt_sigaction rt_sigpending "
    "rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
    "rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam "
    "sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval "
    "sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam "
    "sched_setscheduler sched_yield seccomp setfsgid setfsgid32 setfsuid setfsuid32 setgid "
    "setgid32 "
    "setgroups setgroups32 setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid "
    "setresuid32 setreuid setreuid32 setrlimit setsid setuid setuid32 set_robust_list "
    "set_tid_address set_tls sigaltstack sigprocmask sigreturn swapcontext sysinfo tgkill tkill "
    "ugetrlimit uname vfork wait4 waitid waitpid "
    /* time */
    "adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime "
    "clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep "
    "setitimer time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 "
    "timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 "
    "timerfd_settime timerfd_settime64 times "
    /* sockets and System V and POSIX IPC */
    "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg "
    "recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall "
    "socketpair "
    "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend "
    "mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop "
    "semtimedop_time64 shmat shmctl shmdt shmget ";

/* Allowed where one of the capabilities is kept, else `error`. */
static const struct conditional {
    uint64_t caps;
    int error;
    const char *names;
} conditionals[] = {
    {CAP(SYS_ADMIN), EPERM, /* the first: also clone(2) with one of NAMESPACES */
     " fanotify_init fsconfig fsmount fsopen fspick listmount lookup_dcookie mount mount_setattr "
     "move_mount open_tree quotactl quotactl_fd setdomainname sethostname setns statmount umount "
     "umount2 unshare "},
    {CAP(SYS_ADMIN), ENOSYS, " clone3 "}, /* its flags lie in memory; C libraries fall back */
    {CAP(SYS_ADMIN) | CAP(BPF), EPERM, " bpf "},
    {CAP(SYS_ADMIN) | CAP(PERFMON), EPERM, " perf_event_open "},
    {CAP(SYS_ADMIN) | CAP(SYSLOG), EPERM, " syslog "},
    {CAP(DAC_READ_SEARCH), EPERM, " open_by_handle_at "},
    {CAP(SYS_BOOT), EPERM, " reboot "},
    {CAP(SYS_CHROOT), EPERM, " chroot "},
    {CAP(SYS_MODULE), EPERM, " delete_module finit_module init_module "},
    {CAP(SYS_NICE), EPERM, " get_mempolicy mbind set_mempolicy set_mempolicy_home_node "},
    {CAP(SYS_PACCT), EPERM, " acct "},
    {CAP(SYS_PTRACE), EPERM, " kcmp pidfd_getfd process_madvise "},
    {CAP(SYS_RAWIO), EPERM, " ioperm iopl "},
    {CAP(SYS_TIME), EPERM, " clock_settime clock_settime64 settimeofday stime "},
    {CAP(SYS_TTY_CONFIG), EPERM, " vhangup "},
};

/* What becomes of a call: what the filter returns, or, below FATE_N, a look at its argument. */
enum fate {
    FATE_CLONE,
    FATE_PERSONALITY,
    FATE_SOCKET,
    FATE_N
};

#define ALLOW SECCOMP_RET_ALLOW
#define REFUSE (SECCOMP_RET_ERRNO | EPERM)
#define UNKNOWN (SECCOMP_RET_ERRNO | ENOSYS)
#define DEPENDS(conditional) (SECCOMP_RET_ERRNO | (SYSFILTER_PLACEHOLDER + (conditional)))

enum {
    NUMBERS_MAX = 1024,
    JUMP_MAX = 255,
    ARM_PRIVATE = 0xf0000, /* breakpoint, cacheflush, set_tls and their like … */
    ARM_PRIVATE_END = 0xf0006,
};

/* Calls from `start` on, up to the next run. */
struct run {
    uint32_t start;
    uint32_t fate;
};

static struct sock_filter program[SYSFILTER_MAX];
static size_t length;

_Noreturn static void die(const char *why)
{
    (void)fprintf(stderr, "sysfilter_gen: %s\n", why);
    exit(1);
}

static size_t emit(struct sock_filter insn)
{
    if (length == SYSFILTER_MAX)
        die("the filter is too long");
    program[length] = insn;
    return length++;
}

static void emit_return(uint32_t result)
{
    (void)emit((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, result));
}

static void emit_load(size_t offset)
{
    (void)emit((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void emit_jump(uint16_t condition, uint32_t value, uint8_t yes, uint8_t no)
{
    (void)emit((struct sock_filter)BPF_JUMP(BPF_JMP | condition | BPF_K, value, yes, no));
}

static void emit_look(uint32_t fate)
{
    /* PER_LINUX and PER_LINUX32, each also with UNAME26, and the question what it is. */
    static const uint32_t personalities[] = {0x0, 0x8, 0x20000, 0x20008, 0xffffffff};
    uint8_t left = ARRAY_LEN(personalities);

    emit_load(offsetof(struct seccomp_data, args[0]));
    switch (fate) {
    case FATE_CLONE:
        emit_jump(BPF_JSET, NAMESPACES, 0, 1);
        emit_return(DEPENDS(0));
        break;
    case FATE_SOCKET:
        emit_jump(BPF_JEQ, AF_VSOCK, 0, 1);
        emit_return(REFUSE);
        break;
    default:
        for (size_t i = 0; i < ARRAY_LEN(personalities); i++)
            emit_jump(BPF_JEQ, personalities[i], left--, 0);
        emit_return(REFUSE);
    }
    emit_return(ALLOW);
}

/* Jumps to a plain return, until there is one: all jumps of a tree share it. */
struct pending {
    size_t jump;
    bool yes;
    uint32_t fate;
};

static struct pending pending[NUMBERS_MAX];
static size_t n_pending;

static uint8_t distance(size_t jump)
{
    if (length - jump - 1 > JUMP_MAX)
        die("a jump is too far");
    return (uint8_t)(length - jump - 1);
}

static void emit_tree(const struct run *runs, size_t n);

/* What a jump leads to: more of the tree right here, or a return to come. */
static void emit_branch(size_t jump, bool yes, const struct run *runs, size_t n)
{
    if (n == 1 && runs[0].fate >= FATE_N) {
        pending[n_pending++] = (struct pending){jump, yes, runs[0].fate};
        return;
    }
    if (yes)
        program[jump].jt = distance(jump);
    emit_tree(runs, n);
}

/* A binary search for the number, which is loaded, among `n` runs. */
static void emit_tree(const struct run *runs, size_t n)
{
    size_t half = n / 2, jump;

    if (n == 1) {
        emit_look(runs[0].fate);
        return;
    }
    jump = emit((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, runs[half].start, 0, 0));
    emit_branch(jump, false, runs, half);
    emit_branch(jump, true, runs + half, n - half);
}

static void emit_returns(void)
{
    for (size_t i = 0; i < n_pending; i++) {
        uint32_t fate = pending[i].fate;

        if (fate == 0)
            continue; /* done */
        for (size_t j = i; j < n_pending; j++) {
            struct sock_filter *jump = &program[pending[j].jump];

            if (pending[j].fate != fate)
                continue;
            *(pending[j].yes ? &jump->jt : &jump->jf) = distance(pending[j].jump);
            pending[j].fate = 0;
        }
        emit_return(fate);
    }
    n_pending = 0;
}

static bool is_in(const char *names, const char *name)
{
    char word[64];

    (void)snprintf(word, sizeof(word), " %s ", name);
    return strstr(names, word) != NULL;
}

static uint32_t fate_of(const char *name)
{
    if (is_in(allowed, name))
        return ALLOW;
    for (size_t i = 0; i < ARRAY_LEN(conditionals); i++)
        if (is_in(conditionals[i].names, name))
            return (uint32_t)DEPENDS(i);
    if (strcmp(name, "clone") == 0)
        return FATE_CLONE;
    if (strcmp(name, "personality") == 0)
        return FATE_PERSONALITY;
    return strcmp(name, "socket") == 0 ? FATE_SOCKET : REFUSE;
}

static void add_run(struct run *runs, size_t *n, uint32_t start, uint32_t fate)
{
    if (*n == 0 || runs[*n - 1].fate != fate)
        runs[(*n)++] = (struct run){start, fate};
}

static void emit_arch(uint32_t arch)
{
    static struct run runs[NUMBERS_MAX + 4];
    size_t n = 0;

    for (uint32_t nr = 0; nr < NUMBERS_MAX; nr++) {
        char *name = seccomp_syscall_resolve_num_arch(arch, (int)nr);

        add_run(runs, &n, nr, name ? fate_of(name) : UNKNOWN);
        free(name);
    }
    if (arch == SCMP_ARCH_ARM) {
        add_run(runs, &n, ARM_PRIVATE, ALLOW);
        add_run(runs, &n, ARM_PRIVATE_END, UNKNOWN);
    }
    emit_load(offsetof(struct seccomp_data, nr));
    emit_tree(runs, n);
    emit_returns();
}

/* 32-bit programs run as well, as they do without a filter. */
static void emit_program(void)
{
    uint32_t native = seccomp_arch_native(), compat = 0;
    size_t jump;

    if (native == SCMP_ARCH_X86_64)
        compat = SCMP_ARCH_X86;
    if (native == SCMP_ARCH_AARCH64)
        compat = SCMP_ARCH_ARM;
    emit_load(offsetof(struct seccomp_data, arch));
    emit_jump(BPF_JEQ, native, 1, 0);
    jump = emit((struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 0));
    emit_arch(native);
    program[jump].k = (uint32_t)(length - jump - 1);
    if (compat) {
        emit_jump(BPF_JEQ, compat, 1, 0);
        emit_return(UNKNOWN);
        emit_arch(compat);
    } else {
        emit_return(UNKNOWN);
    }
}

int main(void)
{
    emit_program();
    (void)printf("/* Written by sysfilter_gen. */\n#include \"executor/isolation/sysfilter.h\"\n\n"
                 "const struct sock_filter sysfilter_program[] = {\n");
    for (size_t i = 0; i < length; i++)
        (void)printf("    {%#x, %u, %u, %#x},\n", program[i].code, program[i].jt, program[i].jf,
                     program[i].k);
    (void)printf("};\nconst unsigned short sysfilter_program_length = %zu;\n\n"
                 "const struct sysfilter_condition sysfilter_conditions[] = {\n",
                 length);
    for (size_t i = 0; i < ARRAY_LEN(conditionals); i++)
        (void)printf("    {%#llx, %d},\n", (unsigned long long)conditionals[i].caps,
                     conditionals[i].error);
    (void)printf("};\n");
    return fflush(stdout) == 0 ? 0 : 1;
}
