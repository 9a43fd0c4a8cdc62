/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manager/task/payload.h"
#include "shared/cleanup.h"

static char dir[64];

static void run(const char *command)
{
    char line[256];

    (void)snprintf(line, sizeof(line), "cd %s && %s", dir, command);
    assert_int_equal(system(line), 0);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/cleat-test-payload-XXXXXX");
    assert_non_null(mkdtemp(dir));
    run("mkdir -p t/local outside && echo keep >outside/file");
    return 0;
}

static int tear_down(void **state)
{
    char line[128];

    (void)state;
    (void)snprintf(line, sizeof(line), "rm -r %s", dir);
    return system(line);
}

static void check(const char *file, const char *expected)
{
    char path[128], text[32] = "";
    struct stat st;
    autofd int fd = -1;

    (void)snprintf(path, sizeof(path), "%s/t/local/%s", dir, file);
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0755);
    assert_int_equal(read(fd, text, sizeof(text) - 1), strlen(expected));
    assert_string_equal(text, expected);
}

static void test_written(void **state)
{
    mode_t before = umask(077);

    (void)state;
    assert_int_equal(payload_write(dir, "t", "in", "abc", 3), 0);
    check("in", "abc");
    assert_int_equal(payload_write(dir, "t", "in", "de", 2), 0);
    check("in", "de");
    assert_int_equal(payload_write(dir, "t", "./a//b/in", "xyz", 3), 0);
    check("a/b/in", "xyz");
    run("test \"$(stat -c %a t/local/a)\" = 755");
    (void)umask(before);
}

static void test_links_of_the_task(void **state)
{
    (void)state;
    run("ln -s ../../outside/file t/local/in && ln -s ../../outside t/local/sub && mkdir t/local/d "
        "&& ln outside/file t/local/hard");
    assert_int_equal(payload_write(dir, "t", "in", "abc", 3), 0);
    check("in", "abc");
    assert_int_equal(payload_write(dir, "t", "hard", "abc", 3), 0);
    check("hard", "abc");
    assert_int_equal(payload_write(dir, "t", "sub/file", "abc", 3), -ENOTDIR);
    assert_int_equal(payload_write(dir, "t", "d", "abc", 3), -EISDIR);
    run("test \"$(cat outside/file)\" = keep");
    run("rm -r t/local && ln -s ../outside t/local");
    assert_int_equal(payload_write(dir, "t", "file", "abc", 3), -ENOTDIR);
    run("test \"$(cat outside/file)\" = keep");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_links_of_the_task, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
