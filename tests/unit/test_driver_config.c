/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "shared/cleanup.h"
#include "shared/job/driver_config.h"
#include "shared/job/value.h"
#include "shared/job/words.h"

static int read_job(const char *driver, const char *config, struct job **ret, struct err *e)
{
    struct hcl_file *file = NULL;
    char text[512];
    int r;

    (void)snprintf(text, sizeof(text), "job j { \ntask t { \ndriver = \"%s\"\n%s\n} }", driver,
                   config);
    r = hcl_parse("t.hcl", text, strlen(text), &file, e);
    if (r == 0)
        r = job_from_hcl(file, ret, e);
    (void)hcl_file_free(file);
    return r;
}

static void read_config(const char *driver, const char *config, struct driver_config *ret)
{
    struct job *job = NULL;
    struct err e = ERR_INIT;

    if (read_job(driver, config, &job, &e) < 0 ||
        driver_config_read(&job->groups[0].tasks[0], NULL, ret, &e) < 0)
        fail_msg("%s\n%s", config, e.text);
    (void)job_free(job);
}

static void test_list(void **state)
{
    static const char *const drivers[] = {"exec", "raw_exec"};
    struct driver_config config;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
        read_config(drivers[i],
                    "config { command = \"sh\", args = [\"-c\", 1, \"a b\"], work_dir = \"/x\" }",
                    &config);
        assert_string_equal(config.command, "sh");
        assert_string_equal(config.args[0], "-c");
        assert_string_equal(config.args[1], "1");
        assert_string_equal(config.args[2], "a b");
        assert_null(config.args[3]);
        assert_string_equal(config.work_dir, "/x");
        assert_false(config.legacy_args);
        driver_config_deinit(&config);
    }
    read_config("exec", "config { command = \"sh\" }", &config);
    assert_null(config.args[0]);
    assert_string_equal(config.work_dir, "");
    assert_false(config.legacy_args);
    driver_config_deinit(&config);
    driver_config_deinit(&config);
}

static void test_isolation(void **state)
{
    struct driver_config config;

    (void)state;
    read_config("exec", "config { command = \"c\", cap_drop = [\"all\"], cap_add = [\"chown\"] }",
                &config);
    assert_string_equal(config.cap_drop[0], "all");
    assert_string_equal(config.cap_add[0], "chown");
    assert_null(config.cap_add[1]);
    assert_int_equal(config.seccomp, SECCOMP_MODE_PROFILE);
    driver_config_deinit(&config);
    read_config("raw_exec", "config { command = \"c\" }", &config);
    assert_null(config.cap_add);
    driver_config_deinit(&config);
}

static void test_surroundings(void **state)
{
    struct driver_config config;

    (void)state;
    read_config(
        "raw_exec",
        "config {\n command = \"c\"\n stdin = \"/i\"\n oom_score_adj = 7\n nice = -3\n"
        "ulimit {\n nofile = \"1024:2048\"\n core = 0\n memlock = \"5:unlimited\"\n cpu = -1 } }",
        &config);
    assert_string_equal(config.stdin_path, "/i");
    assert_int_equal(config.oom_score_adj, 7);
    assert_int_equal(config.nice, -3);
    assert_int_equal(config.n_ulimits, 4);
    for (size_t i = 0; i < config.n_ulimits; i++) {
        const struct ulimit *limit = &config.ulimits[i];

        switch (limit->resource) {
        case RLIMIT_NOFILE:
            assert_true(limit->soft == 1024 && limit->hard == 2048);
            break;
        case RLIMIT_CORE:
            assert_true(limit->soft == 0 && limit->hard == 0);
            break;
        case RLIMIT_MEMLOCK:
            assert_true(limit->soft == 5 && limit->hard == ULIMIT_UNLIMITED);
            break;
        default:
            assert_int_equal(limit->resource, RLIMIT_CPU);
            assert_true(limit->soft == ULIMIT_UNLIMITED && limit->hard == ULIMIT_UNLIMITED);
        }
    }
    driver_config_deinit(&config);
    read_config(
        "exec",
        "config {\n command = \"c\"\n pid_mode = \"host\"\n ipc_mode = \"private\"\n"
        "hostname = \"h\"\n network_mode = \"none\"\n ulimit = { nofile = 9 }\n"
        "devices = [{ host_path = \"/dev/fuse\" },\n"
        "{ host_path = \"/x\", container_path = \"/dev/y\", cgroup_permissions = \"r\" }] }",
        &config);
    assert_string_equal(config.pid_mode, "host");
    assert_string_equal(config.ipc_mode, "private");
    assert_string_equal(config.uts_mode, "");
    assert_string_equal(config.hostname, "h");
    assert_true(config.no_network);
    assert_int_equal(config.n_devices, 2);
    assert_string_equal(config.devices[0].container_path, "/dev/fuse");
    assert_string_equal(config.devices[0].permissions, "rwm");
    assert_string_equal(config.devices[1].container_path, "/dev/y");
    assert_string_equal(config.devices[1].permissions, "r");
    assert_int_equal(config.n_ulimits, 1);
    driver_config_deinit(&config);
}

static void test_legacy(void **state)
{
    struct driver_config config;

    (void)state;
    read_config("exec", "config { command = \"/bin/sleep\", args = 1 }", &config);
    assert_string_equal(config.args[0], "1");
    assert_null(config.args[1]);
    assert_true(config.legacy_args);
    driver_config_deinit(&config);

    read_config("exec", "config { command = \"c\", args = \"-x 'a b' $HOME\" }", &config);
    assert_string_equal(config.args[0], "-x");
    assert_string_equal(config.args[1], "a b");
    assert_string_equal(config.args[2], "$HOME");
    assert_null(config.args[3]);
    assert_true(config.legacy_args);
    driver_config_deinit(&config);

    read_config("exec",
                "config { command = \"$NOMAD_TASK_DIR/c\", artifact_source = \"http://h/c\" }",
                &config);
    assert_true(config.legacy_args);
    driver_config_deinit(&config);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *driver;
        const char *config;
        int code;
        const char *message;
    } cases[] = {
        {"exec", "config { args = [] }", -EINVAL,
         "t.hcl:4:1: a config block of the driver exec "
         "needs \"command\""},
        {"exec", "config = { args = [\"x\"] }", -EINVAL, "needs \"command\""},
        {"exec", "config { command = \"\" }", -EINVAL, "needs \"command\""},
        {"exec", "config { comand = \"c\" }", -EINVAL,
         "t.hcl:4:10: unknown attribute \"comand\" in a config block of the driver exec; did you "
         "mean \"command\"?"},
        {"exec", "config {\n command = \"c\"\n argz = [] }", -EINVAL,
         "t.hcl:6:2: unknown attribute"},
        {"exec", "config { command = [\"c\"] }", -EINVAL,
         "\"command\" must be a string, not a list"},
        {"exec", "config { command = \"c\", args = \"'x\" }", -EINVAL,
         "t.hcl:4:32: \"args\" must be"},
        {"exec", "config { command = \"c\", args = true }", -EINVAL, "\"args\" must be a list"},
        {"exec", "config { command = \"c\", args = [[]] }", -EINVAL, "\"args\" must be a list"},
        {"exec", "config { command = \"c\", work_dir = \"x\" }", -EINVAL,
         "\"work_dir\" must be an absolute path; write \"/x\""},
        {"exec", "config { command = \"c\", artifact_source = \"x\" }", -EINVAL,
         "the source \"x\" does not say how to get it"},
        {"exec", "config { command = \"c\", checksum = \"md5:0\" }", -EINVAL,
         "\"artifact_source\", which is missing"},
        {"exec",
         "config { command = \"c\", artifact_source = \"http://x/\", checksum = \"md5:0\" }",
         -EINVAL, "has 32 hex digits, not 1"},
        {"exec", "config { command = \"c\", pid_mode = \"shared\" }", -EINVAL,
         "\"pid_mode\" is \"private\" or \"host\", not \"shared\""},
        {"exec", "config { command = \"c\", network_mode = \"bridge\" }", -ENOTSUP,
         "network_mode \"bridge\" is known to Nomad but not run by this release; use \"host\""},
        {"exec", "config { command = \"c\", hostname = \"h\", uts_mode = \"host\" }", -EINVAL,
         "needs uts_mode = \"private\""},
        {"exec", "config { command = \"c\", stdin = \"in\" }", -EINVAL,
         "\"stdin\" must be an absolute path; write \"/in\""},
        {"exec", "config { command = \"c\", devices = {} }", -EINVAL, "\"devices\" must be a list"},
        {"exec", "config { command = \"c\", devices = [\"/dev/x\"] }", -EINVAL,
         "devices[0]: must be a map"},
        {"exec", "config { command = \"c\", devices = [{}] }", -EINVAL, "needs \"host_path\""},
        {"exec", "config { command = \"c\", devices = [{host_path = \"/dev/x\", mode = 1}] }",
         -EINVAL, "unknown"},
        {"exec", "config { command = \"c\", devices = [{host_path = \"x\"}] }", -EINVAL,
         "devices[0].host_path: must be an absolute path"},
        {"exec", "config { command = \"c\", devices = [{host_path = \"/x\"}] }", -EINVAL,
         "devices[0].container_path: a task's devices are below /dev"},
        {"exec",
         "config { command = \"c\", devices = [{host_path = \"/dev/x\", "
         "container_path = \"/dev/../x\"}] }",
         -EINVAL, "below /dev"},
        {"exec",
         "config { command = \"c\", devices = [{host_path = \"/dev/x\", "
         "cgroup_permissions = \"rx\"}] }",
         -EINVAL, "devices[0].cgroup_permissions: must be made of"},
        {"exec", "config { command = \"c\", nice = 20 }", -EINVAL, "the most allowed, 19"},
        {"exec", "config { command = \"c\", oom_score_adj = -1 }", -EINVAL, "the least allowed, 0"},
        {"exec", "config { command = \"c\", ulimit = 5 }", -EINVAL, "\"ulimit\" must be a map"},
        {"exec", "config {\n command = \"c\"\n ulimit { nofiles = 5 } }", -EINVAL,
         "there is no ulimit \"nofiles\"; did you mean \"nofile\"?"},
        {"exec", "config {\n command = \"c\"\n ulimit { nofile = \"9:8\" } }", -EINVAL,
         "SOFT not above HARD, or \"unlimited\", not \"9:8\""},
        {"exec", "config {\n command = \"c\"\n ulimit { nofile = \"\" } }", -EINVAL,
         "ulimit nofile must"},
        {"exec", "config {\n command = \"c\"\n ulimit { nofile = [] } }", -EINVAL,
         "ulimit nofile must"},
        {"exec", "config { command = \"c\", seccomp = \"off\" }", -EINVAL,
         "\"seccomp\" cannot be \"off\"; write \"default\" or \"unconfined\""},
        {"exec", "config {\n command = \"c\"\n ulimit { bogus = 5 } }", -EINVAL,
         "there is no ulimit \"bogus\"."},
        {"raw_exec", "config { command = \"c\", cap_add = [] }", -EINVAL,
         "unknown attribute \"cap_add\" in a config block of the driver raw_exec. Correct"},
        {"raw_exec", "config { command = \"c\", hostname = \"h\" }", -EINVAL, "unknown attribute"},
        {"raw_exec", "config {\n command = \"c\"\n bind { } }", -EINVAL, "unknown block \"bind\""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct job *job = NULL;
        struct err e = ERR_INIT;
        int r = read_job(cases[i].driver, cases[i].config, &job, &e);

        assert_null(job);
        if (r != cases[i].code || !strstr(e.text, cases[i].message))
            fail_msg("%s\ngave %d: %s", cases[i].config, r, e.text);
    }
}

static void test_words(void **state)
{
    static const struct {
        const char *text;
        int result;
        const char *words[4];
    } cases[] = {
        {"", 0, {0}},
        {" \t ", 0, {0}},
        {"a", 0, {"a"}},
        {" a  b\tc\n", 0, {"a", "b", "c"}},
        {"'a b'\"c d\"e", 0, {"a bc de"}},
        {"'' \"\"", 0, {"", ""}},
        {"a\\ b \\'", 0, {"a b", "'"}},
        {"\"a\\\"\\n\\$\"", 0, {"a\"\\n$"}},
        {"'a\\'", 0, {"a\\"}},
        {"$X `y` *", 0, {"$X", "`y`", "*"}},
        {"'a", -EINVAL, {0}},
        {"\"a", -EINVAL, {0}},
        {"\"a\\", -EINVAL, {0}},
        {"a\\", -EINVAL, {0}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char **words = NULL;

        assert_int_equal(words_split(cases[i].text, &words), cases[i].result);
        for (size_t j = 0; words && (cases[i].words[j] || words[j]); j++)
            assert_string_equal(words[j] ? words[j] : "(end)",
                                cases[i].words[j] ? cases[i].words[j] : "(end)");
        value_free_strings(words);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),         cmocka_unit_test(test_isolation),
        cmocka_unit_test(test_surroundings), cmocka_unit_test(test_legacy),
        cmocka_unit_test(test_refusals),     cmocka_unit_test(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
