/* SPDX-License-Identifier: MIT
 *
 * Every option of the agent's configuration: its default, that it is taken from HCL and from what
 * -check prints, and that it changes nothing else. A row that is missing here is a failure.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "manager/config/config_tables.h"
#include "shared/cleanup.h"
#include "shared/job/value.h"

#define ANY NULL /* it depends on the host */
#define CLIENT(text) "client {\n" text "\n}"
#define ARTIFACT(text) CLIENT("artifact {\n" text "\n}")
#define TEMPLATE(text) CLIENT("template {\n" text "\n}")
#define RESERVED(text) CLIENT("reserved {\n" text "\n}")
#define PLUGIN(name, text) "plugin \"" name "\" {\nconfig {\n" text "\n}\n}"
#define MINUTE "60000000000"

/* path, its default, text that sets it, what it is then: in JSON, times in nanoseconds */
static const struct {
    const char *path, *def, *text, *then;
} options[] = {
    {"data_dir", ANY, "data_dir = \"/d\"", "\"/d\""},
    {"name", ANY, "name = \"n\"", "\"n\""},
    {"datacenter", "\"dc1\"", "datacenter = \"dc2\"", "\"dc2\""},
    {"region", "\"global\"", "region = \"r\"", "\"r\""},
    {"executor", ANY, "executor = \"/e\"", "\"/e\""},
    {"log_level", "\"info\"", "log_level = \"WARN\"", "\"WARN\""},
    {"addresses", "null", "addresses = [\"unix:///s\"]", "[\"unix:///s\"]"},
    {"addresses", "null", "addresses {\nhttp = \"::1\"\n}", "{\"http\":\"::1\"}"},
    {"bind_addr", "\"\"", "bind_addr = \"127.0.0.1\"", "\"127.0.0.1\""},
    {"ports.http", "0", "ports {\nhttp = 5\n}", "5"},
    {"client.enabled", "true", CLIENT("enabled = true"), "true"},
    {"client.alloc_dir", "\"\"", CLIENT("alloc_dir = \"/a\""), "\"/a\""},
    {"client.chroot_env", "{}", CLIENT("chroot_env {\n\"/a\" = \"/b\"\n}"), "{\"/a\":\"/b\"}"},
    {"client.meta", "{}", CLIENT("meta {\na = 1\n}"), "{\"a\":\"1\"}"},
    {"client.options", "{}", CLIENT("options {\n\"env.denylist\" = \"X\"\n}"),
     "{\"env.denylist\":\"X\"}"},
    {"client.node_class", "\"\"", CLIENT("node_class = \"c\""), "\"c\""},
    {"client.node_pool", "\"default\"", CLIENT("node_pool = \"p\""), "\"p\""},
    {"client.max_kill_timeout", "30000000000", CLIENT("max_kill_timeout = \"1m\""), MINUTE},
    {"client.cgroup_parent", "\"cleat\"", CLIENT("cgroup_parent = \"a/b\""), "\"a/b\""},
    {"client.disable_remote_exec", "false", CLIENT("disable_remote_exec = true"), "true"},
    {"client.cpu_total_compute", "0", CLIENT("cpu_total_compute = 9000"), "9000"},
    {"client.memory_total_mb", "0", CLIENT("memory_total_mb = 512"), "512"},
    {"client.disk_total_mb", "0", CLIENT("disk_total_mb = 7"), "7"},
    {"client.reserved.cpu", "0", RESERVED("cpu = 500"), "500"},
    {"client.reserved.memory", "0", RESERVED("memory = 256"), "256"},
    {"client.reserved.disk", "0", RESERVED("disk = 1024"), "1024"},
    {"client.reserved.cores", "\"\"", RESERVED("cores = \"0,2-3\""), "\"0,2-3\""},
    {"client.reserved.reserved_ports", "\"\"", RESERVED("reserved_ports = \"22,8000-8010\""),
     "\"22,8000-8010\""},
    {"client.gc_interval", MINUTE, CLIENT("gc_interval = \"5s\""), "5000000000"},
    {"client.gc_disk_usage_threshold", "80", CLIENT("gc_disk_usage_threshold = 95"), "95"},
    {"client.gc_inode_usage_threshold", "70", CLIENT("gc_inode_usage_threshold = 100"), "100"},
    {"client.gc_max_allocs", "50", CLIENT("gc_max_allocs = 0"), "0"},
    {"client.gc_parallel_destroys", "2", CLIENT("gc_parallel_destroys = 4"), "4"},
    {"client.gc_max_age", "0", CLIENT("gc_max_age = \"1m\""), MINUTE},
    {"client.artifact.http_read_timeout", "1800000000000", ARTIFACT("http_read_timeout = \"1m\""),
     MINUTE},
    {"client.artifact.http_max_size", "107374182400", ARTIFACT("http_max_size = \"1MB\""),
     "1048576"},
    {"client.artifact.git_timeout", "1800000000000", ARTIFACT("git_timeout = \"1m\""), MINUTE},
    {"client.artifact.hg_timeout", "1800000000000", ARTIFACT("hg_timeout = \"1m\""), MINUTE},
    {"client.artifact.s3_timeout", "1800000000000", ARTIFACT("s3_timeout = \"1m\""), MINUTE},
    {"client.artifact.decompression_file_count_limit", "4096",
     ARTIFACT("decompression_file_count_limit = 1"), "1"},
    {"client.artifact.decompression_size_limit", "107374182400",
     ARTIFACT("decompression_size_limit = 512"), "512"},
    {"client.artifact.disable_artifact_inspection", "false",
     ARTIFACT("disable_artifact_inspection = true"), "true"},
    {"client.artifact.disable_filesystem_isolation", "false",
     ARTIFACT("disable_filesystem_isolation = true"), "true"},
    {"client.artifact.filesystem_isolation_extra_paths", "[]",
     ARTIFACT("filesystem_isolation_extra_paths = [\"d:rx:/opt\"]"), "[\"d:rx:/opt\"]"},
    {"client.artifact.set_environment_variables", "\"\"",
     ARTIFACT("set_environment_variables = \"A,B\""), "\"A,B\""},
    {"client.artifact.allow_file_paths", "[]", ARTIFACT("allow_file_paths = [\"/srv\"]"),
     "[\"/srv\"]"},
    {"client.template.function_denylist", "[\"executeTemplate\",\"plugin\",\"writeToFile\"]",
     TEMPLATE("function_denylist = []"), "[]"},
    {"client.template.disable_file_sandbox", "false", TEMPLATE("disable_file_sandbox = true"),
     "true"},
    {"client.template.variables_dir", "\"\"", TEMPLATE("variables_dir = \"/v\""), "\"/v\""},
    {"client.template.max_stale", "315360000000000000", TEMPLATE("max_stale = \"1m\""), MINUTE},
    {"client.template.block_query_wait", "300000000000", TEMPLATE("block_query_wait = \"1m\""),
     MINUTE},
    {"client.template.wait.min", "5000000000", TEMPLATE("wait {\nmin = \"1m\"\n}"), MINUTE},
    {"client.template.wait.max", "240000000000", TEMPLATE("wait {\nmax = \"1m\"\n}"), MINUTE},
    {"client.template.wait_bounds.min", "0", TEMPLATE("wait_bounds {\nmin = \"1m\"\n}"), MINUTE},
    {"client.template.wait_bounds.max", "0", TEMPLATE("wait_bounds {\nmax = \"1m\"\n}"), MINUTE},
#define RETRY(name)                                                                                \
    {"client.template." name ".attempts", "12", TEMPLATE(name " {\nattempts = 0\n}"), "0"},        \
        {"client.template." name ".backoff", "250000000",                                          \
         TEMPLATE(name " {\nbackoff = \"1s\"\n}"), "1000000000"},                                  \
    {                                                                                              \
        "client.template." name ".max_backoff", MINUTE,                                            \
            TEMPLATE(name " {\nmax_backoff = \"1s\"\n}"), "1000000000"                             \
    }
    RETRY("consul_retry"),
    RETRY("vault_retry"),
    RETRY("nomad_retry"),
    {"client.host_volume", "{}", CLIENT("host_volume \"v\" {\npath = \"/v\"\n}"),
     "{\"v\":{\"name\":\"v\",\"path\":\"/v\",\"read_only\":false}}"},
    {"plugin.exec.config.allow_caps",
     "[\"audit_write\",\"chown\",\"dac_override\",\"fowner\",\"fsetid\",\"kill\",\"mknod\","
     "\"setfcap\",\"setgid\",\"net_bind_service\",\"setpcap\",\"setuid\",\"sys_chroot\"]",
     PLUGIN("exec", "allow_caps = [\"all\"]"), "[\"all\"]"},
    {"plugin.exec.config.allow_devices", "[]", PLUGIN("exec", "allow_devices = [\"/dev/kvm\"]"),
     "[\"/dev/kvm\"]"},
    {"plugin.exec.config.allow_unconfined_seccomp", "false",
     PLUGIN("exec", "allow_unconfined_seccomp = true"), "true"},
    {"plugin.exec.config.default_ipc_mode", "\"private\"",
     PLUGIN("exec", "default_ipc_mode = \"host\""), "\"host\""},
    {"plugin.exec.config.default_pid_mode", "\"private\"",
     PLUGIN("exec", "default_pid_mode = \"host\""), "\"host\""},
    {"plugin.exec.config.no_pivot_root", "false", PLUGIN("exec", "no_pivot_root = true"), "true"},
    {"plugin.exec.config.userns_base", "2000000000", PLUGIN("exec", "userns_base = 1000"), "1000"},
    {"plugin.exec.config.pids_limit", "0", PLUGIN("exec", "pids_limit = 10"), "10"},
    {"plugin.exec.config.denied_host_uids", "\"\"", PLUGIN("exec", "denied_host_uids = \"0,5-9\""),
     "\"0,5-9\""},
    {"plugin.exec.config.denied_host_gids", "\"\"", PLUGIN("exec", "denied_host_gids = \"0\""),
     "\"0\""},
    {"plugin.raw_exec.config.enabled", "false", PLUGIN("raw_exec", "enabled = true"), "true"},
    {"plugin.raw_exec.config.pids_limit", "0", PLUGIN("raw_exec", "pids_limit = 10"), "10"},
    {"plugin.raw_exec.config.denied_envvars", "[]",
     PLUGIN("raw_exec", "denied_envvars = [\"AWS_*\"]"), "[\"AWS_*\"]"},
    {"plugin.raw_exec.config.denied_host_uids", "\"\"",
     PLUGIN("raw_exec", "denied_host_uids = \"4294967295\""), "\"4294967295\""},
    {"plugin.raw_exec.config.denied_host_gids", "\"\"",
     PLUGIN("raw_exec", "denied_host_gids = \"7\""), "\"7\""},
#define SERVER(name)                                                                               \
    {name ".token", "\"\"", name " {\ntoken = \"t\"\n}", "\"t\""},                                 \
        {name ".namespace", "\"\"", name " {\nnamespace = \"ns\"\n}", "\"ns\""},                   \
        {name ".ca_file", "\"\"", name " {\nca_file = \"/c\"\n}", "\"/c\""},                       \
        {name ".cert_file", "\"\"", name " {\ncert_file = \"/c\"\n}", "\"/c\""},                   \
    {                                                                                              \
        name ".key_file", "\"\"", name " {\nkey_file = \"/k\"\n}", "\"/k\""                        \
    }
    {"vault.enabled", "false", "vault {\nenabled = true\n}", "true"},
    {"vault.address", "\"\"", "vault {\naddress = \"https://v:1/\"\n}", "\"https://v:1\""},
    SERVER("vault"),
    {"vault.ca_path", "\"\"", "vault {\nca_path = \"/c\"\n}", "\"/c\""},
    {"vault.tls_server_name", "\"\"", "vault {\ntls_server_name = \"s\"\n}", "\"s\""},
    {"vault.tls_skip_verify", "false", "vault {\ntls_skip_verify = true\n}", "true"},
    {"consul.enabled", "true", "consul {\nenabled = false\n}", "false"},
    {"consul.address", "\"http://127.0.0.1:8500\"", "consul {\naddress = \"c:1\"\n}",
     "\"http://c:1\""},
    {"consul.ssl", "false", "consul {\nssl = true\n}", "true"},
    {"consul.verify_ssl", "true", "consul {\nverify_ssl = false\n}", "false"},
    SERVER("consul"),
    {"telemetry.prometheus_metrics", "true", "telemetry {\nprometheus_metrics = false\n}", "false"},
    {"telemetry.publish_allocation_metrics", "true",
     "telemetry {\npublish_allocation_metrics = false\n}", "false"},
    {"telemetry.publish_node_metrics", "true", "telemetry {\npublish_node_metrics = false\n}",
     "false"},
};

static char path[] = "/tmp/cleat-options-XXXXXX.hcl";

static int make_file(void **state)
{
    int fd = mkstemps(path, 4);

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static struct config *load(const char *text)
{
    struct config *config = NULL;
    struct err e = ERR_INIT;
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
    assert_int_equal(config_new(&config, NULL), 0);
    if (config_load(config, path, NULL, &e) < 0 || config_finish(config, &e) < 0)
        fail_msg("%s\n%s", text, e.text);
    return config;
}

static json_t *encode(const struct config *config)
{
    json_t *json = schema_encode(&config_schema, config);

    assert_non_null(json);
    return json;
}

/* Borrowed. */
static json_t *at(json_t *json, const char *way)
{
    autofree char *copy = strdup(way);
    char *rest = NULL;

    for (char *part = strtok_r(copy, ".", &rest); part; part = strtok_r(NULL, ".", &rest))
        json = json_object_get(json, part);
    return json;
}

static void assert_value(json_t *json, const char *way, const char *expected, const char *text)
{
    autofree char *is = json_dumps(at(json, way), JSON_ENCODE_ANY | JSON_COMPACT);

    if (!is || strcmp(is, expected) != 0)
        fail_msg("%s is %s, not %s\n%s", way, is, expected, text);
}

static void test_each(void **state)
{
    struct config *plain = load("");
    autojson json_t *defaults = encode(plain);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        struct config *config = load(options[i].text);
        autojson json_t *json = encode(config);
        json_t *changed, *fixed, *name;
        size_t n;

        if (options[i].def)
            assert_value(defaults, options[i].path, options[i].def, "by default");
        assert_value(json, options[i].path, options[i].then, options[i].text);
        config_replace(config, plain, &changed, &fixed); /* and back again */
        assert_int_equal(json_array_extend(changed, fixed), 0);
        json_array_foreach(changed, n, name)
        {
            const char *other = json_string_value(name);

            if (strcmp(options[i].path, "consul.ssl") == 0 && strcmp(other, "consul.address") == 0)
                continue; /* it says https then */
            if (strncmp(other, options[i].path, strlen(options[i].path)) != 0)
                fail_msg("%s\nchanges %s", options[i].text, other);
        }
        json_decref(changed);
        json_decref(fixed);
        (void)config_free(plain);
        (void)config_free(config);
        plain = load("");
    }
    (void)config_free(plain);
}

static void check_rows(const struct schema *schema, const char *around)
{
    for (size_t i = 0; i < schema->n_fields; i++) {
        const struct schema_field *field = &schema->fields[i];
        char way[128];
        size_t found = 0;

        if (field->kind >= FIELD_LATER)
            continue;
        (void)snprintf(way, sizeof(way), "%s%s%s", around, *around ? "." : "", field->hcl);
        if (field->kind == FIELD_BLOCK || field->kind == FIELD_NAMED) {
            check_rows(field->block, way);
            continue;
        }
        while (found < ARRAY_LEN(options) && strcmp(options[found].path, way) != 0)
            found++;
        if (found == ARRAY_LEN(options))
            fail_msg("%s is not in the table of this test", way);
    }
}

static void test_none_is_forgotten(void **state)
{
    (void)state;
    check_rows(&config_schema, "");
}

/* What -check prints is a configuration that has the same effect; but for secrets. */
static void test_printed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        struct config *config = load(options[i].text), *again;
        autofree char *printed = NULL;
        json_t *changed, *fixed;
        size_t size;
        FILE *out = open_memstream(&printed, &size);

        assert_non_null(out);
        assert_int_equal(config_print(config, out), 0);
        assert_int_equal(fclose(out), 0);
        assert_non_null(strstr(printed, path)); /* where it is from */
        again = load(printed);
        config_replace(config, again, &changed, &fixed);
        for (size_t n = 0; n < json_array_size(changed); n++) {
            const char *name = json_string_value(json_array_get(changed, n));

            if (strncmp(name, "client.options", 14) && strncmp(name, "client.chroot_env", 17) &&
                !strstr(name, ".token"))
                fail_msg("%s\nis printed as\n%s\nwhich has another %s", options[i].text, printed,
                         name);
        }
        assert_int_equal(json_array_size(fixed), 0);
        assert_null(strstr(printed, "\"t\""));
        json_decref(changed);
        json_decref(fixed);
        (void)config_free(again);
        (void)config_free(config);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_none_is_forgotten),
        cmocka_unit_test(test_printed),
    };

    (void)unsetenv("VAULT_TOKEN");
    (void)unsetenv("CONSUL_HTTP_TOKEN");
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
