/* SPDX-License-Identifier: MIT
 *
 * shared/cgroup_layout.h on plain directories and files.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/cgroup_layout.h"
#include "shared/cgroupfs.h"
#include "shared/cleanup.h"

/* A base with two nodes of one parent in it, and a group of somebody else's. */
static const char *const groups[] = {
    "", "/a", "/a/b", "/a/b/node", "/a/b/node/shared", "/a/b/node2", "/a/b/node/x", "/other"};

static void make_group(const char *base, const char *group)
{
    autofree char *path = NULL, *file = NULL;

    assert_true(asprintf(&path, "%s%s", base, group) > 0);
    assert_true(asprintf(&file, "%s/memory.low", path) > 0);
    assert_true(!*group || mkdir(path, 0700) == 0);
    close(open(file, O_CREAT | O_WRONLY, 0600));
}

static void remove_group(const char *base, const char *group)
{
    autofree char *path = NULL, *file = NULL;

    assert_true(asprintf(&path, "%s%s", base, group) > 0);
    assert_true(asprintf(&file, "%s/memory.low", path) > 0);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(path), 0);
}

static void put(const char *base, const char *group, const char *text)
{
    autofree char *file = NULL;
    autofd int fd = -1;

    assert_true(asprintf(&file, "%s%s/memory.low", base, group) > 0);
    fd = open(file, O_WRONLY | O_TRUNC);
    assert_true(write(fd, text, strlen(text)) > 0);
}

static void assert_low(const char *base, const char *group, const char *expected)
{
    autofree char *path = NULL;
    char text[32];
    autofd int dir = -1;

    assert_true(asprintf(&path, "%s%s", base, group) > 0);
    dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(cgroupfs_read(dir, "memory.low", text, sizeof(text)) >= 0);
    assert_string_equal(text, expected);
}

static void test_protect(void **state)
{
    char base[] = "/tmp/cleat-layout-XXXXXX";
    struct cgroup_layout layout = {.version = "v2", .dirs.v2_controllers = true};

    (void)state;
    assert_non_null(mkdtemp(base));
    for (size_t i = 0; i < ARRAY_LEN(groups); i++)
        make_group(base, groups[i]);
    layout.base_len = sizeof(base) - 1;
    assert_true(asprintf(&layout.dirs.unified, "%s/a/b/node", base) > 0);
    assert_true(asprintf(&layout.shared, "%s/a/b/node/shared", base) > 0);
    put(base, "/a/b/node2", "1000\n");
    cgroup_layout_protect(&layout, 100, 20);
    assert_low(base, "/a/b/node/shared", "100");
    assert_low(base, "/a/b/node/x", "");
    assert_low(base, "/a/b/node", "120");
    assert_low(base, "/a/b/node2", "1000\n");
    assert_low(base, "/a/b", "1120");
    assert_low(base, "/a", "1120");
    assert_low(base, "/other", "");
    assert_low(base, "", "");
    put(base, "/a/b/node2", "max\n");
    cgroup_layout_protect(&layout, 200, 30);
    assert_low(base, "/a/b", "18446744073709551615");
    layout.dirs.v2_controllers = false;
    cgroup_layout_protect(&layout, 555, 0);
    assert_low(base, "/a/b/node/shared", "200");
    for (size_t i = ARRAY_LEN(groups); i-- > 0;)
        remove_group(base, groups[i]);
    cgroup_layout_deinit(&layout);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_protect),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
