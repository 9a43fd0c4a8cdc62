/* SPDX-License-Identifier: MIT
 *
 * Each case loads the filter in a child and makes one system call there, with arguments that make
 * it fail harmlessly where it is let through.
 */
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "executor/isolation/sysfilter.h"
#include "shared/cleanup.h"

#define CAP(name) (1ULL << CAP_##name)

enum {
    LET_THROUGH = 0
};

/* The error of the call under the filter; LET_THROUGH for none and for any but EPERM and ENOSYS. */
static int try_call(uint64_t caps, long nr, long a, long b)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        int error = 0;

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || sysfilter_load(caps) < 0)
            _exit(255);
        if (syscall(nr, a, b, 0L, 0L, 0L, 0L) < 0)
            error = errno;
        _exit(error == EPERM || error == ENOSYS ? error : LET_THROUGH);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_profile(void **state)
{
    static const struct {
        uint64_t caps;
        long nr, a, b;
        int want;
    } cases[] = {
        {0, SYS_getpid, 0, 0, LET_THROUGH},
        {0, SYS_openat, -1, 0, LET_THROUGH},
        {0, SYS_personality, PER_LINUX, 0, LET_THROUGH},
        {0, SYS_personality, 0x20008, 0, LET_THROUGH},
        {0, SYS_personality, 0xffffffff, 0, LET_THROUGH},
        {0, SYS_personality, ADDR_NO_RANDOMIZE, 0, EPERM},
        {0, SYS_socket, AF_UNIX, SOCK_STREAM, LET_THROUGH},
        {0, SYS_socket, AF_VSOCK, SOCK_STREAM, EPERM},
        {0, SYS_socket, AF_VSOCK | 1L << 32, SOCK_STREAM, EPERM}, /* the kernel reads 32 bits */
        {0, SYS_add_key, 0, 0, EPERM},
        {0, SYS_keyctl, 0, 0, EPERM},
        {0, SYS_request_key, 0, 0, EPERM},
        {0, SYS_io_uring_setup, 0, 0, EPERM},
        {0, SYS_userfaultfd, ~0, 0, EPERM},
        {0, SYS_kexec_load, 0, 0, EPERM},
        {0, SYS_pivot_root, 0, 0, EPERM},
        {0, SYS_unshare, CLONE_NEWUSER, 0, EPERM},
        {0, SYS_setns, -1, 0, EPERM},
        {CAP(SYS_ADMIN), SYS_setns, -1, 0, LET_THROUGH},
        {0, SYS_mount, 0, 0, EPERM},
        {CAP(SYS_ADMIN), SYS_fsopen, 0, 0, LET_THROUGH},
        {CAP(SYS_ADMIN), SYS_pivot_root, 0, 0, EPERM},
        {0, SYS_clone, CLONE_NEWNS | CLONE_FS, 0, EPERM}, /* the kernel says EINVAL */
        {0, SYS_clone, CLONE_NEWUSER | CLONE_FS, 0, EPERM},
        {0, SYS_clone, CLONE_SIGHAND, 0, LET_THROUGH},
        {CAP(SYS_ADMIN), SYS_clone, CLONE_NEWNS | CLONE_FS, 0, LET_THROUGH},
        {0, SYS_clone3, 0, 0, ENOSYS},
        {CAP(SYS_ADMIN), SYS_clone3, 0, 0, LET_THROUGH},
        {0, SYS_bpf, -1, 0, EPERM},
        {CAP(BPF), SYS_bpf, -1, 0, LET_THROUGH},
        {CAP(SYS_ADMIN), SYS_bpf, -1, 0, LET_THROUGH},
        {CAP(BPF), SYS_perf_event_open, 0, 0, EPERM},
        {CAP(PERFMON), SYS_perf_event_open, 0, 0, LET_THROUGH},
        {CAP(CHOWN), SYS_chroot, 0, 0, EPERM},
        {CAP(SYS_CHROOT), SYS_chroot, 0, 0, LET_THROUGH},
        {CAP(DAC_READ_SEARCH), SYS_open_by_handle_at, 0, 0, LET_THROUGH},
        {0, SYS_open_by_handle_at, 0, 0, EPERM},
        {~0ULL, SYS_keyctl, 0, 0, EPERM},
        {0, 1000, 0, 0, ENOSYS},
        {0, 100000, 0, 0, ENOSYS},
#ifdef __x86_64__
        {~0ULL, SYS_getpid | 0x40000000, 0, 0, ENOSYS}, /* x32 */
#endif
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int got = try_call(cases[i].caps, cases[i].nr, cases[i].a, cases[i].b);

        if (got != cases[i].want)
            fail_msg("case %zu, call %ld: error %d, not %d", i, cases[i].nr, got, cases[i].want);
    }
}

#ifdef __x86_64__
static long call_i386(long nr)
{
    long r;

    __asm__ volatile("int $0x80" : "=a"(r) : "a"(nr), "b"(0), "c"(0), "d"(0) : "memory");
    return r;
}

/* 32-bit calls have their own numbers: 20 is getpid there, 288 keyctl, 310 unshare. */
static void test_32_bit(void **state)
{
    pid_t pid = fork();
    int status;

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || sysfilter_load(0) < 0)
            _exit(1);
        if (call_i386(20) != getpid() && call_i386(20) != -ENOSYS) /* kernels without i386 */
            _exit(2);
        _exit(call_i386(288) == -EPERM && call_i386(310) == -EPERM ? 0 : 3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}
#endif

static void test_needs_no_new_privs(void **state)
{
    pid_t pid;
    int status;

    (void)state;
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (geteuid() == 0 && syscall(SYS_setresuid, 65534, 65534, 65534) < 0)
            _exit(1);
        _exit(sysfilter_load(0) == -EACCES ? 0 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_profile),
#ifdef __x86_64__
        cmocka_unit_test(test_32_bit),
#endif
        cmocka_unit_test(test_needs_no_new_privs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
