/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "manager/config/config.h"
#include "shared/cleanup.h"
#include "shared/job/value.h"
#include "shared/place.h"

static char dir[] = "/tmp/cleat-config-XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static void write_file(const char *name, const char *text)
{
    char path[128];
    autoclose FILE *file = NULL;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
}

static void remove_file(const char *name)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(unlink(path), 0);
}

static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

static struct config *new_config(void)
{
    struct config *config = NULL;

    assert_int_equal(config_new(&config, NULL), 0);
    return config;
}

/* Loads `text` as a file over `config`; JSON where it begins with "{". */
static int load(struct config *config, const char *text, struct err *e)
{
    const char *name = *text == '{' ? "one.json" : "one.hcl";
    char path[128];
    int r;

    write_file(name, text);
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    r = config_load(config, path, e);
    if (!r)
        r = config_finish(config, e);
    remove_file(name);
    return r;
}

static void must_load(struct config *config, const char *text)
{
    struct err e = ERR_INIT;

    if (load(config, text, &e) < 0)
        fail_msg("%s\n%s", text, e.text);
}

static void test_defaults(void **state)
{
    autofree char *data_dir = place_data_dir(), *address = place_address();
    struct config *config = new_config();
    char name[256];

    (void)state;
    assert_int_equal(gethostname(name, sizeof(name)), 0);
    assert_int_equal(config_finish(config, NULL), 0);
    assert_string_equal(config->data_dir, data_dir);
    assert_string_equal(config->addresses[0], address);
    assert_null(config->addresses[1]);
    assert_string_equal(config->name, name);
    assert_string_equal(config->datacenter, "dc1");
    assert_string_equal(config->region, "global");
    assert_string_equal(config->cgroup_parent, "cleat");
    assert_string_equal(strrchr(config->executor, '/'), "/cleat-executor");
    assert_int_equal(config->executor[0], '/');
    assert_false(config->raw_exec_enabled);
    assert_string_equal(config->exec.allow_caps[0], "audit_write");
    assert_null(config->exec.allow_caps[13]);
    assert_null(config->exec.allow_devices[0]);
    assert_int_equal(config->exec.userns_base, 2000000000);
    assert_int_equal(config->exec.default_pid_mode, CONFIG_MODE_PRIVATE);
    assert_int_equal(config->exec.default_ipc_mode, CONFIG_MODE_PRIVATE);
    assert_false(config->dev);
    assert_int_equal(config->log_level, LOG_LEVEL_INFO);
    assert_int_equal(config->n_chroot_env, 9);
    assert_string_equal(config->chroot_env[0].source, "/bin");
    assert_string_equal(config->chroot_env[0].target, "/bin");
    assert_true(config->max_kill_timeout_ns == 30000000000ULL);
    assert_int_equal(json_object_size(config->meta), 0);
    must_load(config, "");
    assert_string_equal(config->data_dir, data_dir);
    assert_int_equal(config->n_chroot_env, 9);
    assert_null(config_free(config));
    assert_null(config_free(NULL));
}

static void test_everything(void **state)
{
    struct config *config = new_config();

    (void)state;
    must_load(
        config,
        "data_dir = \"/d\"\nname = \"n\"\ndatacenter = \"dc2\"\nregion = \"r\"\n"
        "executor = \"/x/e\"\nlog_level = \"DEBUG\"\n"
        "addresses = [\"unix:///s\", \"http://127.0.0.1:4646\"]\n"
        "client {\n  enabled = true\n  chroot_env { \"/a\" = \"/b\"\n \"/c\" = \"/d\" }\n"
        "  meta { k = 1 }\n  max_kill_timeout = \"1m\"\n  cgroup_parent = \"p/q\"\n"
        "  disable_remote_exec = true\n}\n"
        "plugin \"raw_exec\" {\n  config {\n    enabled = true\n  }\n}\n"
        "plugin exec { config { allow_caps = [\"ALL\"]\n"
        "userns_base = 5000\n allow_unconfined_seccomp = true\n default_pid_mode = \"host\"\n"
        "default_ipc_mode = \"host\"\n no_pivot_root = true\n allow_devices = [\"/dev/x*\"] } }\n");
    assert_string_equal(config->data_dir, "/d");
    assert_string_equal(config->name, "n");
    assert_string_equal(config->datacenter, "dc2");
    assert_string_equal(config->region, "r");
    assert_string_equal(config->executor, "/x/e");
    assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
    assert_string_equal(config->addresses[1], "http://127.0.0.1:4646");
    assert_null(config->addresses[2]);
    assert_int_equal(config->n_chroot_env, 2);
    assert_string_equal(config->chroot_env[1].source, "/c");
    assert_string_equal(config->chroot_env[1].target, "/d");
    assert_true(config->max_kill_timeout_ns == 60000000000ULL);
    assert_string_equal(config->cgroup_parent, "p/q");
    assert_true(config->disable_remote_exec);
    assert_true(config->raw_exec_enabled);
    assert_string_equal(config->exec.allow_caps[0], "ALL");
    assert_null(config->exec.allow_caps[1]);
    assert_true(config->exec.allow_unconfined_seccomp);
    assert_int_equal(config->exec.default_pid_mode, CONFIG_MODE_HOST);
    assert_int_equal(config->exec.default_ipc_mode, CONFIG_MODE_HOST);
    assert_true(config->exec.no_pivot_root);
    assert_int_equal(config->exec.userns_base, 5000);
    assert_string_equal(config->exec.allow_devices[0], "/dev/x*");

    must_load(config, "plugin exec { config { allow_caps = [] } }");
    assert_null(config->exec.allow_caps[0]);
    must_load(config, "client { meta { l = 2 } }");
    assert_string_equal(json_string_value(json_object_get(config->meta, "k")), "1");
    assert_string_equal(json_string_value(json_object_get(config->meta, "l")), "2");
    assert_true(config->raw_exec_enabled);
    assert_int_equal(config->n_chroot_env, 2);
    must_load(config, "client { host_volume \"a\" { path = \"/a\" }\n"
                      "host_volume \"b\" { path = \"/b\"\n read_only = true } }");
    must_load(config, "client { host_volume \"c\" { path = \"/c\" }\n"
                      "host_volume \"a\" { path = \"/other\"\n read_only = true } }");
    assert_int_equal(config->n_volumes, 3);
    assert_string_equal(config->volumes[0].name, "a");
    assert_string_equal(config->volumes[0].path, "/other");
    assert_string_equal(config->volumes[2].name, "c");
    assert_true(config->volumes[0].read_only && config->volumes[1].read_only &&
                !config->volumes[2].read_only);
    must_load(config, "plugin \"raw_exec\" { config { enabled = false } }");
    assert_false(config->raw_exec_enabled);
    must_load(config, "client { options { \"driver.raw_exec.enable\" = \"1\" } }");
    assert_true(config->raw_exec_enabled);
    must_load(config, "client { options = { \"driver.raw_exec.enable\" = \"0\","
                      " \"env.denylist\" = \"A,B_*\" } }");
    assert_string_equal(config->env_denylist, "A,B_*");
    assert_false(config->raw_exec_enabled);
    (void)config_free(config);
}

static void test_directory(void **state)
{
    struct config *config = new_config();
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(config_load(config, dir, &e), -ENOENT);
    write_file("20.hcl", "name = \"second\"\nregion = \"kept\"\n");
    write_file("10.hcl", "name = \"first\"\nregion = \"lost\"\n");
    write_file("30.txt", "name = \"no\"\n");
    write_file(".hidden.hcl", "name = \"no\"\n");
    assert_int_equal(config_load(config, dir, &e), 0);
    assert_string_equal(config->name, "second");
    assert_string_equal(config->region, "kept");
    remove_file("10.hcl");
    remove_file("20.hcl");
    remove_file("30.txt");
    remove_file(".hidden.hcl");
    assert_int_equal(config_load(config, "/nonexistent/x.hcl", &e), -ENOENT);
    assert_non_null(strstr(e.text, "/nonexistent/x.hcl"));
    (void)config_free(config);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *message;
    } cases[] = {
        {"datadir = \"/x\"", -EINVAL,
         "one.hcl:1:1: unknown attribute \"datadir\" in a configuration; "
         "did you mean \"data_dir\"?"},
        {"data_dir = \"x\"", -EINVAL, "\"data_dir\" must be an absolute path"},
        {"log_level = \"loud\"", -EINVAL, "\"log_level\" is \"debug\""},
        {"addresses = [\"tcp://x\"]", -EINVAL, "\"tcp://x\" is no address"},
        {"addresses { htp = \"0.0.0.0\" }", -EINVAL, "unknown attribute \"htp\" in an addresses"},
        {"addresses { http = 1 }", -EINVAL, "\"http\" is no address"},
        {"addresses = \"unix:///x\"", -EINVAL, "\"unix:///x\" is no address"},
        {"ports { http = 0 }", -EINVAL, "\"http\" is less than the least allowed, 1"},
        {"ports { http = 65536 }", -EINVAL, "\"http\" is more than the most allowed, 65535"},
        {"acl { enabled = true }", -ENOTSUP,
         "\"acl\" is known to Nomad but not run by this "
         "release; the API is for those whom the socket's"},
        {"tls { http = true }", -ENOTSUP, "one.hcl:1:1: \"tls\" is known to Nomad"},
        {"client \"x\" { }", -EINVAL, "\"client\" takes no name"},
        {"client { enabled = false }", -EINVAL, "the manager is always a client"},
        {"client { host_volume \"v\" { } }", -EINVAL, "a host_volume needs \"path\""},
        {"client { host_volume \"v\" { path = \"srv\" } }", -EINVAL, "start it with \"/\""},
        {"client { cgroup_parent = \"../x\" }", -EINVAL, "\"cgroup_parent\" is a path below"},
        {"client { cgroup_parent = \"/x\" }", -EINVAL, "\"cgroup_parent\" is a path below"},
        {"client { chroot_env { \"/a\" = \"b\" } }", -EINVAL, "not \"/a\" to \"b\""},
        {"client { chroot_env { \"/a\" = \"/b/..\" } }", -EINVAL, "not \"/a\" to \"/b/..\""},
        {"client { chroot_env = { \"/a\" = \"/b\", \"/c\" = \"/b\" } }", -EINVAL,
         "two sources at \"/b\""},
        {"client { options { \"nope\" = \"1\" } }", -EINVAL, "unknown option \"nope\""},
        {"client { max_kill_timeout = \"x\" }", -EINVAL, "\"max_kill_timeout\" must be a duration"},
        {"plugin \"rawexec\" { }", -EINVAL,
         "unknown block \"rawexec\" in a list of plugins; did you mean \"raw_exec\"?"},
        {"plugin { }", -EINVAL, "\"plugin\" takes exactly one name"},
        {"plugin \"raw_exec\" { config { enable = true } }", -EINVAL,
         "one.hcl:1:30: unknown attribute \"enable\" in a config block of the plugin raw_exec; did "
         "you mean \"enabled\"?"},
        {"plugin \"raw_exec\" { config { enabled = 1 } }", -EINVAL,
         "\"enabled\" must be true or false"},
        {"plugin \"raw_exec\" { config { no_cgroups = true } }", -ENOTSUP, "\"no_cgroups\""},
        {"plugin \"exec\" { config { allow_caps = [\"chown\", \"fly\"] } }", -EINVAL,
         "one.hcl:1:39: allow_caps: there is no capability \"fly\""},
        {"plugin \"exec\" { config { userns_base = 0 } }", -EINVAL, "the least allowed, 1000"},
        {"plugin \"exec\" { config { default_pid_mode = \"shared\" } }", -EINVAL,
         "\"default_pid_mode\" cannot be \"shared\"; write \"private\" or \"host\""},
        {"plugin \"exec\" { config { denied_host_uids = \"0,9-3\" } }", -EINVAL,
         "one.hcl:1:45: \"denied_host_uids\" is a list of ids such as"},
        {"plugin \"raw_exec\" { config { denied_host_gids = \"4294967296\" } }", -EINVAL,
         "\"denied_host_gids\" is a list of ids"},
        {"plugin \"exec\" { }\nplugin \"exec\" { }", -EINVAL,
         "one.hcl:2:1: \"exec\" is here already at line 1"},
        {"name = \"lost\"\nregion = 1 2", -EINVAL, "one.hcl:2:12: "},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config *config = new_config();
        struct err e = ERR_INIT;
        int r = load(config, cases[i].text, &e);

        if (r != cases[i].code || !strstr(e.text, cases[i].message))
            fail_msg("%s\ngave %d: %s", cases[i].text, r, e.text);
        (void)config_free(config);
    }
}

/* The agent's configurations among the documentation's fragments (see test_job_fragments.c). */
static void test_fragments(void **state)
{
    static const struct {
        const char *path;
        const char *unused;
    } cases[] = {
        {CLEAT_HCL_CORPUS "/seed002-plugin.hcl", "nspawn ("},
        {CLEAT_HCL_CORPUS "/seed004-plugin.hcl", "docker ("},
        {CLEAT_HCL_CORPUS "/seed004-client.hcl", "docker.cleanup.image ("},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config *config = new_config();
        struct err e = ERR_INIT;
        autofree char *unused = NULL;

        if (config_load(config, cases[i].path, &e) < 0)
            fail_msg("%s", e.text);
        unused = config_unused(config);
        assert_non_null(unused);
        assert_non_null(strstr(unused, cases[i].unused));
        (void)config_free(config);
    }
}

static void assert_names(const json_t *names, const char *expected)
{
    autofree char *text = json_dumps(names, JSON_COMPACT);

    assert_string_equal(text, expected);
}

/* What may change under a running manager does; the rest stays and is named. */
static void test_replace(void **state)
{
    struct config *config = new_config(), *fresh = new_config();
    autojson json_t *changed = NULL, *fixed = NULL, *none = NULL, *nothing = NULL;

    (void)state;
    must_load(config, "");
    must_load(fresh, "");
    config_replace(config, fresh, &none, &nothing);
    assert_names(none, "[]");
    assert_names(nothing, "[]");
    must_load(fresh, "name = \"n\"\nlog_level = \"debug\"\ndata_dir = \"/x\"\n"
                     "addresses = [\"unix:///run/cleat/cleat.sock\", \"unix:///y\"]\n"
                     "client {\n  cgroup_parent = \"z\"\n  meta {\n    a = \"b\"\n  }\n}\n"
                     "plugin \"exec\" { config { pids_limit = 9 } }\n"
                     "vault { token = \"t\" }\n");
    config_replace(config, fresh, &changed, &fixed);
    assert_names(changed, "[\"name\",\"log_level\",\"client.meta.a\","
                          "\"plugin.exec.config.pids_limit\",\"vault.token\"]");
    assert_names(fixed, "[\"data_dir\",\"addresses\",\"client.cgroup_parent\"]");
    config_free(fresh);
    assert_string_equal(config->name, "n");
    assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(json_object_size(config->meta), 1);
    assert_string_equal(config->data_dir, "/var/lib/cleat");
    assert_null(config->addresses[1]);
    assert_string_equal(config->cgroup_parent, "cleat");
    config_free(config);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),  cmocka_unit_test(test_everything),
        cmocka_unit_test(test_directory), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_fragments), cmocka_unit_test(test_replace),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
