/* SPDX-License-Identifier: MIT
 *
 * shared/cgroupfs.h on plain files; shared/procid.h on processes of the test's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/cgroupfs.h"
#include "shared/cleanup.h"
#include "shared/procid.h"

static void test_value(void **state)
{
    static const char text[] = "low 0\noom 7\noom_kill 3\noom_group_kill 2\n";

    (void)state;
    assert_int_equal(cgroupfs_value(text, "low"), 0);
    assert_int_equal(cgroupfs_value(text, "oom"), 7);
    assert_int_equal(cgroupfs_value(text, "oom_kill"), 3);
    assert_int_equal(cgroupfs_value(text, "oom_group_kill"), 2);
    assert_int_equal(cgroupfs_value(text, "kill"), 0);
    assert_int_equal(cgroupfs_value("", "low"), 0);
}

static void test_files(void **state)
{
    char path[] = "/tmp/cleat-cgroupfs-XXXXXX", text[8];
    autofd int dir = -1;
    uint64_t number = 1;

    (void)state;
    assert_non_null(mkdtemp(path));
    dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(cgroupfs_write(dir, "f", "1"), -ENOENT);
    assert_int_equal(cgroupfs_read(dir, "f", text, sizeof(text)), -ENOENT);
    close(openat(dir, "f", O_CREAT | O_WRONLY, 0600));
    assert_int_equal(cgroupfs_read_number(dir, "f", &number), -EINVAL);
    assert_int_equal(number, 1);
    assert_int_equal(cgroupfs_write(dir, "f", "max\n"), 0);
    assert_int_equal(cgroupfs_read_number(dir, "f", &number), 0);
    assert_true(number == UINT64_MAX);
    assert_int_equal(cgroupfs_write(dir, "f", "1234567890\n"), 0);
    assert_int_equal(cgroupfs_read_number(dir, "f", &number), 0);
    assert_int_equal(number, 1234567890);
    assert_int_equal(cgroupfs_read(dir, "f", text, sizeof(text)), 7);
    assert_string_equal(text, "1234567");
    assert_int_equal(cgroupfs_remove(dir, "nothing"), 0);
    assert_int_equal(unlinkat(dir, "f", 0), 0);
    assert_int_equal(rmdir(path), 0);
}

static void test_dying(void **state)
{
    siginfo_t info;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        for (;;)
            pause();
    }
    assert_false(procid_is_dying(pid));
    assert_false(procid_is_dying(getpid()));
    assert_int_equal(kill(pid, SIGSTOP), 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WSTOPPED), 0);
    assert_false(procid_is_dying(pid));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_true(procid_is_dying(pid));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(procid_is_dying(pid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_dying),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
