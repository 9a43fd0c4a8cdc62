/* SPDX-License-Identifier: MIT
 *
 * The kernel's part, the projects of files, is in this process: ioctl() is wrapped.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager/disk/walk.h"
#include "shared/cleanup.h"

enum {
    OURS = 70000,
    OLD = 65536,
    INODES_MAX = 4096,
};

static char dir[64];
static int top = -1;

static struct {
    ino_t inode;
    uint32_t project, flags;
} labels[INODES_MAX];
static size_t n_labels;
static ino_t refused;      /* the inode that nobody may change; 0: none */
static int refused_with;   /* … and why */
static uint32_t before;    /* the project of all that was not changed yet */
static bool device_opened; /* or a pipe, or anything else that may only be looked at */

int __wrap_ioctl(int fd, unsigned long request, struct fsxattr *attr);

int __wrap_ioctl(int fd, unsigned long request, struct fsxattr *attr)
{
    struct stat st;
    size_t i = 0;

    assert_int_equal(fstat(fd, &st), 0);
    device_opened |= !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
    while (i < n_labels && labels[i].inode != st.st_ino)
        i++;
    if (request == FS_IOC_FSGETXATTR) {
        *attr = (struct fsxattr){.fsx_projid = before};
        if (i < n_labels)
            *attr =
                (struct fsxattr){.fsx_projid = labels[i].project, .fsx_xflags = labels[i].flags};
        return 0;
    }
    assert_true(request == FS_IOC_FSSETXATTR);
    if (st.st_ino == refused) {
        errno = refused_with;
        return -1;
    }
    assert_true(i < INODES_MAX);
    labels[i].inode = st.st_ino;
    labels[i].project = attr->fsx_projid;
    labels[i].flags = attr->fsx_xflags;
    n_labels += i == n_labels;
    return 0;
}

static void run(const char *command)
{
    char line[512];

    (void)snprintf(line, sizeof(line), "cd %s && %s", dir, command);
    assert_int_equal(system(line), 0);
}

static ino_t inode_of(const char *path)
{
    char full[256];
    struct stat st;

    (void)snprintf(full, sizeof(full), "%s/%s", dir, path);
    assert_int_equal(lstat(full, &st), 0);
    return st.st_ino;
}

static uint32_t project_of(const char *path)
{
    ino_t inode = inode_of(path);

    for (size_t i = 0; i < n_labels; i++)
        if (labels[i].inode == inode)
            return labels[i].project;
    return before;
}

static int set_up(void **state)
{
    char path[80];

    (void)state;
    strcpy(dir, "/tmp/cleat-test-walk-XXXXXX");
    assert_non_null(mkdtemp(dir));
    run("mkdir -p top/sub/deep outside && echo x >top/file && echo x >top/sub/deep/file && "
        "echo x >outside/file");
    (void)snprintf(path, sizeof(path), "%s/top", dir);
    top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(top >= 0);
    n_labels = 0;
    refused = 0;
    before = OLD;
    device_opened = false;
    return 0;
}

static int tear_down(void **state)
{
    char line[128];

    (void)state;
    close_fd(&top);
    (void)snprintf(line, sizeof(line), "rm -rf %s", dir);
    return system(line);
}

static struct walk_result label(void)
{
    struct walk_result result = {0};
    struct err e = ERR_INIT;

    assert_int_equal(walk_label(top, OURS, &result, &e), 0);
    return result;
}

static struct walk_result count(void)
{
    struct walk_result result = {0};
    struct err e = ERR_INIT;

    assert_int_equal(walk_count(top, &result, &e), 0);
    return result;
}

static void test_all_of_it(void **state)
{
    (void)state;
    assert_int_equal(label().files, 5);
    assert_int_equal(n_labels, 5);
    assert_int_equal(project_of("top/sub/deep/file"), OURS);
    assert_int_equal(project_of("outside/file"), OLD);
    assert_int_equal(labels[n_labels - 1].inode, inode_of("top")); /* what is renamed comes last */
    for (size_t i = 0; i < n_labels; i++)
        assert_int_equal(labels[i].flags, labels[i].inode == inode_of("top/file") ||
                                                  labels[i].inode == inode_of("top/sub/deep/file")
                                              ? 0
                                              : FS_XFLAG_PROJINHERIT);
    label(); /* nothing is left to be done */
    assert_int_equal(n_labels, 5);
}

static void test_what_is_no_file(void **state)
{
    (void)state;
    run("ln -s ../outside top/dirlink && ln -s ../outside/file top/link && ln -s /dev/zero top/dev "
        "&& mkfifo top/pipe && ln -s link top/sub/loop");
    assert_int_equal(label().files, 10);
    assert_int_equal(n_labels, 5);
    assert_false(device_opened);
    assert_int_equal(project_of("outside"), OLD);
    assert_int_equal(project_of("outside/file"), OLD);
}

/* One that had a project is of a task; one that had none may be anybody's. */
static void test_other_names(void **state)
{
    (void)state;
    run("ln outside/file top/hard");
    label();
    assert_int_equal(project_of("outside/file"), OURS);
    n_labels = 0;
    before = 0;
    label();
    assert_int_equal(project_of("outside/file"), 0);
    assert_int_equal(project_of("top/file"), OURS);
}

static void test_a_name_counts_once(void **state)
{
    uint64_t one;

    (void)state;
    run("dd if=/dev/zero of=top/big bs=64k count=4 status=none && sync top/big");
    one = count().bytes;
    run("ln top/big top/sub/big && ln top/big top/again");
    assert_int_equal(count().bytes, one);
    assert_int_equal(count().files, 8);
    assert_true(one >= 256 << 10);
    assert_int_equal(n_labels, 0);
}

/* In a child with mounts of its own. */
static void test_no_mount_is_entered(void **state)
{
    char outside[80], sub[80];
    int status;

    (void)state;
    (void)snprintf(outside, sizeof(outside), "%s/outside", dir);
    (void)snprintf(sub, sizeof(sub), "%s/top/sub/deep", dir);
    if (fork() == 0) {
        if (unshare(CLONE_NEWNS | (geteuid() ? CLONE_NEWUSER : 0)) < 0 ||
            mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount(outside, sub, NULL, MS_BIND, NULL) < 0)
            _exit(1);
        label();
        _exit(project_of("outside/file") == OLD && project_of("top/sub") == OURS ? 0 : 2);
    }
    assert_true(wait(&status) > 0);
    assert_int_equal(status, 0);
}

static void test_too_deep(void **state)
{
    struct walk_result result = {0};
    struct err e = ERR_INIT;

    (void)state;
    run("i=0; cd top; while [ $i -le 500 ]; do mkdir d; cd -P d; i=$((i+1)); done");
    assert_int_equal(walk_label(top, OURS, &result, &e), -ELOOP);
    assert_non_null(strstr(e.text, "go deeper than \"d\""));
    assert_int_equal(result.files, 0);
    assert_true(count().partial);
}

static void test_a_file_that_refuses(void **state)
{
    struct walk_result result = {0};
    struct err e = ERR_INIT;

    (void)state;
    refused = inode_of("top/sub/deep/file");
    refused_with = EDQUOT;
    assert_int_equal(walk_label(top, OURS, &result, &e), -EDQUOT);
    assert_non_null(strstr(e.text, "\"file\": Disk quota exceeded"));
    assert_int_equal(project_of("top"), OLD);
    refused_with = ENOENT; /* as of a file that is gone */
    label();
    assert_int_equal(project_of("top"), OURS);
}

/* In a child, since the right to read everything is given up for good. */
static void test_what_cannot_be_read(void **state)
{
    int status;

    (void)state;
    run("chmod 0 top/sub && chmod 755 . top");
    if (fork() == 0) {
        struct walk_result result = {0};
        struct err e = ERR_INIT;

        if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
            _exit(1);
        _exit(walk_count(top, &result, &e) || !result.partial || result.files != 3 ? 2 : 0);
    }
    assert_true(wait(&status) > 0);
    run("chmod 755 top/sub");
    assert_int_equal(status, 0);
    assert_false(count().partial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_of_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_name_counts_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_mount_is_entered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_deep, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_that_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_read, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
