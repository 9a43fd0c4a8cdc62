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
#include "shared/job/schema.h"
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

/* Loads `text` as a file over `config`; JSON where it begins with "{". All that is wrong is told,
 * the first of it as it is without the rest. */
static int load(struct config *config, const char *text, struct err *e)
{
    const char *name = *text == '{' ? "one.json" : "one.hcl";
    struct schema_problems problems = {0};
    char path[128];
    int r;

    write_file(name, text);
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    r = config_load(config, path, &problems, e);
    assert_int_equal(r == 0, problems.n == 0);
    if (problems.n && e)
        assert_string_equal(problems.texts[0], e->text);
    schema_problems_deinit(&problems);
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
        "client {\n  enabled = true\n  chroot_env {\n \"/a\" = \"/b\"\n \"/c\" = \"/d\" }\n"
        "  meta { k = 1 }\n  max_kill_timeout = \"1m\"\n  cgroup_parent = \"p/q\"\n"
        "  disable_remote_exec = true\n}\n"
        "plugin \"raw_exec\" {\n  config {\n    enabled = true\n  }\n}\n"
        "plugin exec {\n config {\n allow_caps = [\"ALL\"]\n"
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

    must_load(config, "plugin exec {\n config {\n allow_caps = [] } }");
    assert_null(config->exec.allow_caps[0]);
    must_load(config, "client { meta { l = 2 } }");
    assert_string_equal(json_string_value(json_object_get(config->meta, "k")), "1");
    assert_string_equal(json_string_value(json_object_get(config->meta, "l")), "2");
    assert_true(config->raw_exec_enabled);
    assert_int_equal(config->n_chroot_env, 2);
    must_load(config, "client {\n host_volume \"a\" { path = \"/a\" }\n"
                      "host_volume \"b\" {\n path = \"/b\"\n read_only = true } }");
    must_load(config, "client {\n host_volume \"c\" { path = \"/c\" }\n"
                      "host_volume \"a\" {\n path = \"/other\"\n read_only = true } }");
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
    assert_int_equal(config_load(config, dir, NULL, &e), -ENOENT);
    write_file("20.hcl", "name = \"second\"\nregion = \"kept\"\n");
    write_file("10.hcl", "name = \"first\"\nregion = \"lost\"\n");
    write_file("30.txt", "name = \"no\"\n");
    write_file(".hidden.hcl", "name = \"no\"\n");
    assert_int_equal(config_load(config, dir, NULL, &e), 0);
    assert_string_equal(config->name, "second");
    assert_string_equal(config->region, "kept");
    remove_file("10.hcl");
    remove_file("20.hcl");
    remove_file("30.txt");
    remove_file(".hidden.hcl");
    assert_int_equal(config_load(config, "/nonexistent/x.hcl", NULL, &e), -ENOENT);
    assert_non_null(strstr(e.text, "/nonexistent/x.hcl"));
    (void)config_free(config);
}

/* Every error of every file, each with its place; one that cannot even be read is told too. */
static void test_all_problems(void **state)
{
    static const struct {
        const char *name, *text;
    } files[] = {
        {"a.hcl", "data_dir = \"x\"\nnane = \"y\"\nclient {\n  gc_interval = \"soon\"\n"
                  "  chroot_env { \"/a\" = 1 }\n}\nports {\n  http = 0\n}\n"},
        {"b.json", "{\"client\": {\"enabled\": false}, \"log_level\": \"loud\"}"},
        {"c.hcl", "a = [\n"},
        {"d.hcl", "name = \"fine\"\n"},
        {"e.json", "{"},
    };
    static const char *const expected[] = {
        "a.hcl:2:1: unknown attribute \"nane\"",
        "a.hcl:1:12: \"data_dir\" must be an absolute path",
        "a.hcl:8:10: \"http\" is less than",
        "a.hcl:5:3: chroot_env maps absolute paths",
        "a.hcl:4:17: \"gc_interval\" must be a duration",
        "b.json: log_level: ",
        "b.json: client.enabled: ",
        "c.hcl:1:5: this list is never closed",
        "e.json:1:1: ",
    };
    struct schema_problems problems = {0};
    struct config *config = new_config();
    struct err e = ERR_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        write_file(files[i].name, files[i].text);
    assert_int_not_equal(config_load(config, dir, &problems, &e), 0);
    for (size_t i = 0; i < problems.n; i++)
        if (i >= ARRAY_LEN(expected) || !strstr(problems.texts[i], expected[i]))
            fail_msg("%s\nnot %s", problems.texts[i], i < ARRAY_LEN(expected) ? expected[i] : "");
    assert_int_equal(problems.n, ARRAY_LEN(expected));
    assert_string_equal(problems.texts[0], e.text);
    schema_problems_deinit(&problems);
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        remove_file(files[i].name);
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
        {"client { gc_disk_usage_threshold = 101 }", -EINVAL, "the most allowed, 100"},
        {"client { gc_parallel_destroys = 0 }", -EINVAL, "the least allowed, 1"},
        {"client { gc_interval = \"10ms\" }", -EINVAL, "the least allowed, 1s"},
        {"client { gc_max_age = 5 }", -EINVAL, "is a number without a unit"},
        {"client { node_max_allocs = 5 }", -ENOTSUP, "\"node_max_allocs\" is known to Nomad"},
        {"client { node_pool = \"all\" }", -EINVAL, "is the name of one pool"},
        {"client { reserved { cores = \"3-1\" } }", -EINVAL, "is a list of CPUs such as"},
        {"client { reserved { reserved_ports = \"70000\" } }", -EINVAL, "is a list of ports"},
        {"client {\nmemory_total_mb = 9\nreserved { memory = 9 } }", -EINVAL,
         "leaves nothing of memory_total_mb = 9"},
        {"client { artifact { http_max_size = \"big\" } }", -EINVAL, "must be a size such as"},
        {"client { artifact { allow_file_paths = [\"/a/../b\"] } }", -EINVAL, "absolute paths"},
        {"client { artifact { filesystem_isolation_extra_paths = [\"/x\"] } }", -EINVAL,
         "\"/x\" is no extra path; write \"f:r:/etc"},
        {"client {\n template {\n wait {\nmin = \"9m\"\nmax = \"1m\" } } }", -EINVAL,
         "\"min\" is more than \"max\""},
        {"client { options { \"driver.raw_exec.enable\" = \"yes\" } }", -EINVAL,
         "one.hcl:1:20: \"driver.raw_exec.enable\" is \"true\" or \"false\", not \"yes\""},
        {"client { options { \"user.denylst\" = \"\" } }", -EINVAL,
         "did you mean \"user.denylist\"?"},
        {"vault { address = \"v:1\" }", -EINVAL, "\"v:1\" is no address of a Vault server"},
        {"telemetry { prometheus_metric = true }", -EINVAL, "did you mean \"prometheus_metrics\"?"},
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

static void must_be(char *const *list, const char *expected)
{
    char all[256] = "";

    for (size_t n = 0; *list; list++)
        n += (size_t)snprintf(all + n, sizeof(all) - n, "%s ", *list);
    assert_string_equal(all, expected);
}

/* Nomad's ways to say where its agent listens; of ours, the list, nothing is left to them. */
static void test_addresses(void **state)
{
    autofree char *own = place_address();
    static const struct {
        const char *text;
        const char *http; /* NULL: the socket alone */
    } cases[] = {
        {"bind_addr = \"127.0.0.1\"", "http://127.0.0.1:4646"},
        {"ports { http = 5000 }", "http://127.0.0.1:5000"},
        {"addresses { http = \"::1\" }", "http://[::1]:4646"},
        {"bind_addr = \"10.0.0.1\"\nports { http = 1 }\naddresses {\nhttp = \"127.0.0.2\"\n"
         "rpc = \"10.0.0.1\" }",
         "http://127.0.0.2:1"},
        {"{\"addresses\": [{\"http\": \"127.0.0.3\"}]}", "http://127.0.0.3:4646"},
        {"addresses { rpc = \"10.0.0.1\" }", NULL},
        {"ports { rpc = 1 }", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config *config = new_config();

        must_load(config, cases[i].text);
        assert_string_equal(config->addresses[0], own);
        if (cases[i].http)
            assert_string_equal(config->addresses[1], cases[i].http);
        else
            assert_null(config->addresses[1]);
        must_load(config, "bind_addr = \"127.0.0.1\"\naddresses = [\"unix:///a\"]");
        must_be(config->addresses, "unix:///a ");
        (void)config_free(config);
    }
}

/* Scalars replace, maps and labelled blocks are merged, lists replace. */
static void test_merging(void **state)
{
    struct config *config = new_config();

    (void)state;
    must_load(config, "client { chroot_env { \"/a\" = \"/a\" } }");
    must_load(config, "client {\n chroot_env {\n \"/b\" = \"/b\"\n \"/a\" = \"/c\" } }");
    assert_int_equal(config->n_chroot_env, 2);
    assert_string_equal(config->chroot_env[0].target, "/c");
    must_load(config, "client {\n gc_max_allocs = 7\n artifact { s3_timeout = \"1s\" }\n"
                      "reserved { cpu = 5 } }");
    must_load(config, "client {\n artifact { hg_timeout = \"2s\" }\n reserved { memory = 6 } }");
    assert_int_equal(config->gc.max_allocs, 7);
    assert_true(config->artifact.s3_timeout_ns == 1000000000);
    assert_true(config->artifact.hg_timeout_ns == 2000000000);
    assert_int_equal(config->reserved.cpu_mhz, 5);
    assert_int_equal(config->reserved.memory_mb, 6);
    must_load(config, "plugin \"exec\" { config { pids_limit = 3 } }");
    must_load(config, "plugin \"exec\" { config { allow_caps = [\"chown\"] } }");
    assert_int_equal(config->exec_pids_limit, 3);
    must_be(config->exec.allow_caps, "chown ");
    must_load(config, "plugin \"exec\" { config { allow_caps = [\"kill\"] } }");
    must_be(config->exec.allow_caps, "kill ");
    (void)config_free(config);
}

/* What HCL says, as JSON; blocks as objects, or as lists of them. */
static void test_json(void **state)
{
    static const char *const same[] = {
        "{\"name\": \"j\", \"client\": {\"meta\": {\"a\": \"b\"}, \"gc_max_allocs\": 9,"
        " \"host_volume\": {\"v\": {\"path\": \"/v\"}}, \"max_kill_timeout\": \"1m\","
        " \"options\": {\"driver.raw_exec.enable\": \"1\"}},"
        " \"plugin\": {\"exec\": {\"config\": {\"pids_limit\": 4}}}}",
        "{\"name\": \"j\", \"client\": [{\"meta\": [{\"a\": \"b\"}]}, {\"gc_max_allocs\": \"9\","
        " \"host_volume\": [{\"v\": [{\"path\": \"/v\"}]}], \"max_kill_timeout\": 60000000000,"
        " \"options\": {\"driver.raw_exec.enable\": true}}],"
        " \"plugin\": [{\"exec\": [{\"config\": [{\"pids_limit\": 4}]}]}]}",
    };
    static const struct {
        const char *text;
        const char *message;
    } refused[] = {
        {"{\"client\": {\"gc_intervall\": \"\"}}",
         "one.json: client: unknown key \"gc_intervall\" in a client block; did you mean "
         "\"gc_interval\"?"},
        {"{\"client\": {\"gc_interval\": \"soon\"}}",
         "one.json: client.gc_interval: \"gc_interval\" must be a duration"},
        {"{\"plugin\": {\"exec\": {\"config\": {\"allow_caps\": [\"fly\"]}}}}", "allow_caps"},
        {"{\"name\": \"a\",\n \"name\": \"b\"}", "one.json:2:"},
        {"{\"name\": ", "a *.json file is one JSON object"},
        {"{\"client\": [1]}", "must be an object"},
        {"{\"tls\": {\"http\": true}}", "\"tls\" is known to Nomad"},
        {"{\"client\": {\"options\": {\"env.denylst\": \"\"}}}", "did you mean \"env.denylist\"?"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        struct config *config = new_config();

        must_load(config, same[i]);
        assert_string_equal(config->name, "j");
        assert_string_equal(json_string_value(json_object_get(config->meta, "a")), "b");
        assert_int_equal(config->gc.max_allocs, 9);
        assert_int_equal(config->n_volumes, 1);
        assert_string_equal(config->volumes[0].path, "/v");
        assert_true(config->max_kill_timeout_ns == 60000000000ULL);
        assert_true(config->raw_exec_enabled);
        assert_int_equal(config->exec_pids_limit, 4);
        (void)config_free(config);
    }
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct config *config = new_config();
        struct err e = ERR_INIT;

        if (load(config, refused[i].text, &e) >= 0 || !strstr(e.text, refused[i].message))
            fail_msg("%s\ngave %s", refused[i].text, e.text);
        (void)config_free(config);
    }
}

/* The keys of Nomad's older ways; what came later wins, whichever way it was written. */
static void test_legacy_options(void **state)
{
    struct config *config = new_config();
    autofree char *unused = NULL;

    (void)state;
    assert_string_equal(config->user_denylist, "root,Administrator");
    assert_string_equal(config->user_checked_drivers, "exec,qemu,java");
    assert_string_equal(config->env_denylist, CONFIG_ENV_DENYLIST);
    must_load(config, "client {\n options {\n\"driver.raw_exec.enable\" = \"true\"\n"
                      "\"user.blacklist\" = \"a,b\"\n\"env.blacklist\" = \"\"\n"
                      "\"driver.whitelist\" = \"exec, raw_exec\"\n"
                      "\"docker.cleanup.image\" = \"false\"\n"
                      "\"fingerprint.denylist\" = \"env_gce\"\n} }");
    assert_true(config->raw_exec_enabled);
    assert_string_equal(config->user_denylist, "a,b");
    assert_string_equal(config->env_denylist, "");
    assert_true(config_allows_driver(config, "exec") && config_allows_driver(config, "raw_exec"));
    assert_false(config_allows_driver(config, "java"));
    must_load(config, "plugin \"raw_exec\" { config { enabled = false } }");
    must_load(config, "client { options { \"driver.denylist\" = \"exec\" } }");
    assert_false(config->raw_exec_enabled); /* the option of the first file has had its effect */
    assert_false(config_allows_driver(config, "exec"));
    unused = config_unused(config);
    assert_non_null(strstr(unused, "docker.cleanup.image ("));
    assert_non_null(strstr(unused, "), fingerprint.denylist ("));
    (void)config_free(config);
}

static void test_unused(void **state)
{
    struct config *config = new_config();
    autofree char *unused = NULL;

    (void)state;
    must_load(config, "server {\n enabled = true\n}\nui { }\nacl { enabled = false }\n"
                      "client { servers = [\"10.0.0.1\"] }\nconsul { tags = [\"x\"] }\n"
                      "plugin \"docker\" { config { allow_privileged = true } }\n");
    unused = config_unused(config);
    for (const char *const *name = (const char *const[]){"server (", ":1)", "ui (", "servers (",
                                                         "tags (", "docker (", NULL};
         *name; name++)
        if (!strstr(unused, *name))
            fail_msg("%s is not in: %s", *name, unused);
    assert_null(strstr(unused, "acl"));
    (void)config_free(config);
}

static void test_questions(void **state)
{
    char *const patterns[] = {"AWS_*", "X", NULL};

    (void)state;
    assert_true(config_lists("a, b,c", "b") && config_lists("a", "a"));
    assert_false(config_lists("ab,c", "a") || config_lists("", "") || config_lists(NULL, "a"));
    assert_true(config_has_number("0,5-9", 0) && config_has_number("0,5-9", 9));
    assert_false(config_has_number("0,5-9", 4) || config_has_number("", 0) ||
                 config_has_number(NULL, 0));
    assert_true(config_matches(patterns, "AWS_KEY") && config_matches(patterns, "X"));
    assert_false(config_matches(patterns, "XX") || config_matches(NULL, "X"));
}

/* The agent's configurations among the documentation's fragments (see test_job_fragments.c). */
static void test_fragments(void **state)
{
    static const struct {
        const char *path;
        const char *unused;
    } cases[] = {
        {CLEAT_HCL_CORPUS "/nspawn-plugin.hcl", "nspawn ("},
        {CLEAT_HCL_CORPUS "/docker-plugin.hcl", "docker ("},
        {CLEAT_HCL_CORPUS "/docker-client-options.hcl", "docker.cleanup.image ("},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config *config = new_config();
        struct err e = ERR_INIT;
        autofree char *unused = NULL;

        if (config_load(config, cases[i].path, NULL, &e) < 0)
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
        cmocka_unit_test(test_defaults),       cmocka_unit_test(test_everything),
        cmocka_unit_test(test_directory),      cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_all_problems),   cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_merging),        cmocka_unit_test(test_json),
        cmocka_unit_test(test_legacy_options), cmocka_unit_test(test_unused),
        cmocka_unit_test(test_questions),      cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_replace),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
