/* SPDX-License-Identifier: MIT
 *
 * Which paths of an allocation's tree are shown.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "manager/api/fspath.h"
#include "shared/cleanup.h"

static void test_clean(void **state)
{
    static const struct {
        const char *path, *clean;
        int result;
    } cases[] = {
        {"", "", 0},
        {"/", "", 0},
        {"//a//b/", "a/b", 0},
        {"./a/./b/.", "a/b", 0},
        {"a/../b", "b", 0},
        {"a/b/../..", "", 0},
        {"..", "", -EXDEV},
        {"a/../..", "", -EXDEV},
        {"/../etc", "", -EXDEV},
        {"...", "...", 0},
        {"a/..b", "a/..b", 0},
    };
    char buf[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(fspath_clean(cases[i].path, buf, sizeof(buf)), cases[i].result);
        if (!cases[i].result)
            assert_string_equal(buf, cases[i].clean);
    }
    assert_int_equal(fspath_clean("abcdefg", buf, 8), -ENAMETOOLONG);
    assert_int_equal(fspath_clean("abcdef", buf, 8), 0);
}

struct tree {
    char dir[64];
    struct job_task tasks[2];
    struct job_group group;
    struct alloc alloc;
    struct config_bind binds[3];
    struct config config;
    char sources[2][96];
};

static void put(const struct tree *t, const char *path, const char *text, mode_t mode)
{
    autofree char *full = NULL;

    assert_true(asprintf(&full, "%s/%s", t->dir, path) > 0);
    autofd int fd = open(full, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
}

static void make_dir(const struct tree *t, const char *path, mode_t mode)
{
    autofree char *full = NULL;

    assert_true(asprintf(&full, "%s/%s", t->dir, path) > 0);
    assert_int_equal(mkdir(full, 0700), 0);
    assert_int_equal(chmod(full, mode), 0);
}

static void make_link(const struct tree *t, const char *target, const char *path)
{
    autofree char *full = NULL;

    assert_true(asprintf(&full, "%s/%s", t->dir, path) > 0);
    assert_int_equal(symlink(target, full), 0);
}

/* alloc/: the allocation's directory; host/: what stands for the host's. */
static int set_up(void **state)
{
    static const char *const dirs[] = {
        "alloc",     "alloc/alloc",       "alloc/alloc/secrets", "alloc/web",   "alloc/web/bin",
        "alloc/raw", "alloc/web/secrets", "alloc/raw/secrets",   "alloc/web/d", "host",
        "host/bin",  "host/bin/deep",
    };
    struct tree *t = calloc(1, sizeof(*t));

    (void)strcpy(t->dir, "/tmp/cleat-test-fs.XXXXXX");
    assert_non_null(mkdtemp(t->dir));
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
        make_dir(t, dirs[i], 0755);
    make_dir(t, "host/bin/closed", 0700);
    put(t, "alloc/web/secrets/key", "k", 0644);
    put(t, "alloc/raw/secrets/key", "k", 0644);
    put(t, "alloc/alloc/secrets/none", "open", 0644);
    put(t, "alloc/web/d/file", "f", 0600);
    put(t, "host/bin/tool", "t", 0755);
    put(t, "host/bin/shadow", "s", 0640);
    put(t, "host/bin/closed/file", "c", 0644);
    put(t, "host/bin/deep/file", "d", 0644);
    make_link(t, "d/file", "alloc/web/in");
    make_link(t, "/etc/passwd", "alloc/web/abs");
    make_link(t, "../../host/bin/tool", "alloc/web/out");
    make_link(t, "secrets/key", "alloc/web/sly");
    make_link(t, "web/secrets", "alloc/slyer");
    make_link(t, "loop", "alloc/web/loop");

    t->tasks[0] = (struct job_task){.name = (char *)"web", .driver = (char *)"exec"};
    t->tasks[1] = (struct job_task){.name = (char *)"raw", .driver = (char *)"raw_exec"};
    t->group = (struct job_group){.tasks = t->tasks, .n_tasks = 2};
    t->alloc.group = &t->group;
    (void)snprintf(t->sources[0], sizeof(t->sources[0]), "%s/host/bin", t->dir);
    (void)snprintf(t->sources[1], sizeof(t->sources[1]), "%s/host/bin/deep", t->dir);
    assert_true(asprintf(&t->alloc.dir, "%s/alloc", t->dir) > 0);
    t->binds[0] = (struct config_bind){t->sources[0], (char *)"/bin"};
    t->binds[1] = (struct config_bind){t->sources[1], (char *)"/bin/other"};
    t->config = (struct config){.chroot_env = t->binds, .n_chroot_env = 2};
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct tree *t = *state;
    autofree char *command = NULL;

    assert_true(asprintf(&command, "rm -rf %s", t->dir) > 0);
    assert_int_equal(system(command), 0);
    free(t->alloc.dir);
    free(t);
    return 0;
}

static void test_open(void **state)
{
    static const struct {
        const char *path;
        int result;
        const char *content; /* NULL: a directory */
    } cases[] = {
        {"/", 0, NULL},
        {"web", 0, NULL},
        {"web/d/file", 0, "f"},
        {"/web//d/../d/file", 0, "f"},
        {"web/in", 0, "f"},
        {"web/none", -ENOENT, NULL},
        {"web/d/file/x", -ENOTDIR, NULL},
        {"web/loop", -ELOOP, NULL},
        {"..", -EXDEV, NULL},
        {"web/../../host/bin/tool", -EXDEV, NULL},
        {"web/abs", -EXDEV, NULL},
        {"web/out", -EXDEV, NULL},
        /* secrets, in any spelling and through links */
        {"web/secrets", 0, NULL},
        {"web/secrets/key", -EACCES, NULL},
        {"raw/secrets/key", -EACCES, NULL},
        {"web/SeCrEtS/key", -EACCES, NULL},
        {"web/d/../secrets/key", -EACCES, NULL},
        {"web/sly", -EACCES, NULL},
        {"slyer/key", -EACCES, NULL},
        {"alloc/secrets/none", 0, "open"}, /* no task's */
        {"web/alloc/secrets/none", 0, "open"},
        /* what the task with its own root sees of the host */
        {"web/bin/tool", 0, "t"},
        {"web/bin", 0, NULL},
        {"web/bin/shadow", -EACCES, NULL},
        {"web/bin/closed/file", -EACCES, NULL},
        {"web/bin/deep/file", 0, "d"},
        {"web/bin/other/file", 0, "d"}, /* the longest target wins */
        {"web/bin/../../etc/passwd", -ENOENT, NULL},
        {"raw/bin/tool", -ENOENT, NULL},
        {"web/binary", -ENOENT, NULL},
    };
    struct tree *t = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fs_node node = FS_NODE_INIT;
        struct err e = ERR_INIT;
        char buf[16] = "";
        int r = fspath_open(&t->alloc, &t->config, cases[i].path, &node, &e);

        if (r != cases[i].result)
            fail_msg("%s: %d (%s), not %d", cases[i].path, r, e.text, cases[i].result);
        if (r) {
            assert_int_equal(e.code, r);
            continue;
        }
        autofd int fd =
            cases[i].content ? fspath_open_file(&node, &e) : fspath_open_file(&node, NULL);
        if (!cases[i].content)
            assert_int_equal(fd, -EISDIR);
        else {
            assert_true(read(fd, buf, sizeof(buf) - 1) >= 0);
            assert_string_equal(buf, cases[i].content);
        }
        fs_node_close(&node);
    }
}

static void test_secrets_are_not_listed(void **state)
{
    static const char *const paths[] = {"web/secrets", "raw/secrets/", "slyer"};
    struct tree *t = *state;

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct fs_node node = FS_NODE_INIT;

        assert_int_equal(fspath_open(&t->alloc, &t->config, paths[i], &node, NULL), 0);
        assert_int_equal(fspath_open_dir(&node, NULL), -EACCES);
        fs_node_close(&node);
    }
}

static void test_only_regular_files_are_read(void **state)
{
    struct tree *t = *state;
    struct fs_node node = FS_NODE_INIT;
    autofree char *fifo = NULL;

    assert_true(asprintf(&fifo, "%s/web/fifo", t->alloc.dir) > 0);
    assert_int_equal(mkfifo(fifo, 0666), 0);
    assert_int_equal(fspath_open(&t->alloc, &t->config, "web/fifo", &node, NULL), 0);
    assert_int_equal(fspath_open_file(&node, NULL), -EINVAL);
    assert_int_equal(fspath_open_dir(&node, NULL), -ENOTDIR);
    fs_node_close(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean),
        cmocka_unit_test_setup_teardown(test_open, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_secrets_are_not_listed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_regular_files_are_read, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
