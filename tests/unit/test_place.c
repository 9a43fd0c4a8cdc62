/* SPDX-License-Identifier: MIT */
#include "shared/place.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/cleanup.h"

enum {
    SOMEBODY = 64999, /* without an entry in the password file, and without /run/user */
};

/* Both places of a user with this environment are as given. Runs in a child. */
static bool are_at(uid_t uid, const char *data_home, const char *runtime, const char *home,
                   const char *data_dir, const char *address)
{
    autofree char *found_dir = NULL, *found_address = NULL;

    if ((data_home ? setenv("XDG_DATA_HOME", data_home, 1) : unsetenv("XDG_DATA_HOME")) ||
        (runtime ? setenv("XDG_RUNTIME_DIR", runtime, 1) : unsetenv("XDG_RUNTIME_DIR")) ||
        setenv("HOME", home, 1) || (geteuid() == 0 && syscall(SYS_setresuid, uid, uid, uid)))
        return false;
    found_dir = place_data_dir();
    found_address = place_address();
    return strcmp(found_dir, data_dir) == 0 && strcmp(found_address, address) == 0;
}

static void assert_at(uid_t uid, const char *data_home, const char *runtime, const char *home,
                      const char *data_dir, const char *address)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(are_at(uid, data_home, runtime, home, data_dir, address) ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_places(void **state)
{
    (void)state;
    if (geteuid() == 0)
        assert_at(0, "/x", "/y", "/root", "/var/lib/cleat", "unix:///run/cleat/cleat.sock");
    assert_at(SOMEBODY, "/x", "/y", "/h", "/x/cleat", "unix:///y/cleat/cleat.sock");
    assert_at(SOMEBODY, NULL, "/y", "/h", "/h/.local/share/cleat", "unix:///y/cleat/cleat.sock");
    assert_at(SOMEBODY, NULL, NULL, "/h", "/h/.local/share/cleat",
              "unix:///h/.local/share/cleat/cleat.sock");
    assert_at(SOMEBODY, "relative", "relative", "/h", "/h/.local/share/cleat",
              "unix:///h/.local/share/cleat/cleat.sock");
    assert_at(SOMEBODY, "relative", "", "relative", "/.local/share/cleat",
              "unix:///.local/share/cleat/cleat.sock");
}

static void test_parents(void **state)
{
    char top[] = "/tmp/cleat-unit-XXXXXX", path[64];
    struct stat st;

    (void)state;
    assert_non_null(mkdtemp(top));
    (void)snprintf(path, sizeof(path), "%s/a/b/file", top);
    assert_int_equal(place_make_parents(path), 0);
    assert_int_equal(place_make_parents(path), 0);
    assert_int_equal(stat(path, &st), -1);
    *strrchr(path, '/') = '\0';
    assert_int_equal(rmdir(path), 0);
    *strrchr(path, '/') = '\0';
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(top), 0);
    assert_int_equal(place_make_parents("/proc/none/file"), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_parents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
