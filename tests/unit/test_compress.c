/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "logrotate/compress.h"
#include "shared/cleanup.h"
#include "tests/unit/logdir.h"
#include "tests/unit/syscalls.h"

#define NAME "t.stdout"

enum {
    SIZE = 200 * 1024,
    LIVE = 3
};

static struct logdir d;
static char content[SIZE];

static int setup(void **state)
{
    (void)state;
    logdir_make(&d);
    for (int i = 0; i < SIZE; i++)
        content[i] = (char)('a' + (i * 7919 >> 6) % 26);
    logdir_put(&d, NAME ".0", content, SIZE);
    logdir_put(&d, NAME ".1", "", 0);
    logdir_put(&d, NAME ".2", content, 1000);
    logdir_put(&d, NAME ".3", "live", 4);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    syscall_verdict = NULL;
    logdir_remove(&d);
    return 0;
}

static void expect_gzip(const char *file, size_t size)
{
    static char data[SIZE + 1];
    int fd = openat(d.fd, file, O_RDONLY | O_CLOEXEC);
    gzFile in;

    if (fd < 0)
        fail_msg("no file %s", file);
    in = gzdopen(fd, "rb");
    assert_int_equal(gzread(in, data, sizeof(data)), size);
    assert_memory_equal(data, content, size);
    assert_int_equal(gzclose(in), Z_OK);
}

static void expect_all_compressed(void)
{
    expect_gzip(NAME ".0.gz", SIZE);
    expect_gzip(NAME ".1.gz", 0);
    expect_gzip(NAME ".2.gz", 1000);
    assert_false(logdir_has(&d, NAME ".0"));
    assert_false(logdir_has(&d, NAME ".1"));
    assert_false(logdir_has(&d, NAME ".2"));
    assert_true(logdir_has(&d, NAME ".3"));
    assert_false(logdir_has(&d, NAME ".3.gz"));
    assert_false(logdir_has(&d, "." NAME ".0.tmp"));
}

static void test_all_but_the_live_one(void **state)
{
    struct stat before, after;

    (void)state;
    logdir_put(&d, "." NAME ".0.tmp", "half of it", 10); /* of a killed predecessor */
    logdir_put(&d, "." NAME ".7.tmp", "half of it", 10);
    logdir_put(&d, NAME ".0.gz", "not a gzip file", 15);
    assert_int_equal(fstatat(d.fd, NAME ".0", &before, 0), 0);
    assert_int_equal(compress_due(d.fd, NAME, LIVE, UINT64_MAX), 0);
    expect_all_compressed();
    assert_false(logdir_has(&d, "." NAME ".7.tmp"));
    assert_int_equal(fstatat(d.fd, NAME ".0.gz", &after, 0), 0);
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim));
    assert_int_equal(before.st_mode, after.st_mode);
    assert_int_equal(compress_due(d.fd, NAME, LIVE, UINT64_MAX), 0); /* nothing left to do */
}

static void test_only_what_is_old_enough(void **state)
{
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    const struct timespec future[2] = {{.tv_sec = 9000000000}, {.tv_sec = 9000000000}};

    (void)state;
    assert_int_equal(utimensat(d.fd, NAME ".0", old, 0), 0);
    assert_int_equal(utimensat(d.fd, NAME ".2", future, 0), 0);
    assert_int_equal(compress_due(d.fd, NAME, LIVE, 1000000000000), 0);
    assert_true(logdir_has(&d, NAME ".0.gz"));
    assert_true(logdir_has(&d, NAME ".1"));
    assert_true(logdir_has(&d, NAME ".2.gz"));
}

/* A task that may write to the directory puts things in the way. */
static void test_odd_entries(void **state)
{
    autofree char *victim = NULL;
    size_t size;

    (void)state;
    logdir_put(&d, "victim", "precious", 8);
    assert_int_equal(linkat(d.fd, NAME ".0", d.fd, "second name", 0), 0);
    assert_int_equal(symlinkat("victim", d.fd, NAME ".1.gz"), 0);
    assert_int_equal(symlinkat("victim", d.fd, "." NAME ".1.tmp"), 0);
    assert_int_equal(mkdirat(d.fd, NAME ".2.gz", 0700), 0);
    assert_int_equal(compress_due(d.fd, NAME, LIVE, UINT64_MAX), -EMLINK);
    assert_true(logdir_has(&d, NAME ".0"));
    expect_gzip(NAME ".1.gz", 0);
    assert_true(logdir_has(&d, NAME ".2"));
    assert_false(logdir_has(&d, "." NAME ".2.tmp"));
    victim = logdir_get(&d, "victim", &size);
    assert_string_equal(victim, "precious");
}

/* The call that `left` counts down to fails, or (0) never comes back. */
static int left, error;

static int count_down(const char *name)
{
    (void)name;
    if (left-- > 0)
        return SYSCALL_GO_ON;
    if (!error)
        _exit(99);
    return left == -1 ? error : SYSCALL_GO_ON;
}

/* Each segment is there as a whole in one form at least. */
static void expect_nothing_lost(void)
{
    static const struct {
        const char *plain, *gzip;
        size_t size;
    } segments[] = {{NAME ".0", NAME ".0.gz", SIZE},
                    {NAME ".1", NAME ".1.gz", 0},
                    {NAME ".2", NAME ".2.gz", 1000}};

    for (size_t i = 0; i < ARRAY_LEN(segments); i++) {
        autofree char *data = NULL;
        size_t size;

        if (logdir_has(&d, segments[i].gzip))
            expect_gzip(segments[i].gzip, segments[i].size);
        if (!logdir_has(&d, segments[i].plain)) {
            assert_true(logdir_has(&d, segments[i].gzip));
            continue;
        }
        data = logdir_get(&d, segments[i].plain, &size);
        assert_int_equal(size, segments[i].size);
        assert_memory_equal(data, content, size);
    }
}

static void test_killed_at_each_call(void **state)
{
    int status = 1;

    (void)state;
    for (int n = 0; status != 0; n++) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
            left = n;
            error = 0;
            syscall_verdict = count_down;
            _exit(compress_due(d.fd, NAME, LIVE, UINT64_MAX) ? 1 : 0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 99));
        expect_nothing_lost();
        assert_int_equal(compress_due(d.fd, NAME, LIVE, UINT64_MAX), 0);
        expect_all_compressed();
        logdir_remove(&d);
        (void)setup(state);
        assert_true(n < 100);
    }
}

static void test_a_call_fails(void **state)
{
    static const int errors[] = {ENOSPC, EDQUOT, EIO, EROFS, EACCES};
    bool failed = true;

    (void)state;
    for (int n = 0; failed; n++) {
        int r;

        left = n;
        error = errors[n % (int)ARRAY_LEN(errors)];
        syscall_verdict = count_down;
        r = compress_due(d.fd, NAME, LIVE, UINT64_MAX);
        syscall_verdict = NULL;
        failed = left < 0;
        if (r < 0)
            assert_int_equal(r, -error);
        expect_nothing_lost();
        assert_int_equal(compress_due(d.fd, NAME, LIVE, UINT64_MAX), 0);
        expect_all_compressed();
        logdir_remove(&d);
        (void)setup(state);
        assert_true(n < 100);
    }
}

static void test_one_at_a_time(void **state)
{
    int lock, status, ends[2];
    char byte;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    lock = compress_lock(d.fd, 0);
    assert_true(lock >= 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close_fd(&lock); /* the parent holds it on */
        (void)!write(ends[1], "1", 1);
        lock = compress_lock(d.fd, 600);
        (void)!write(ends[1], "2", 1);
        _exit(lock < 0);
    }
    close_fd(&ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    assert_int_equal(compress_lock(d.fd, 1), -EBUSY);
    close_fd(&lock);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(byte, '2');
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close_fd(&ends[0]);
    assert_int_equal(compress_lock(-1, 0), -EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_but_the_live_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_what_is_old_enough, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_entries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_at_each_call, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_call_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_at_a_time, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
