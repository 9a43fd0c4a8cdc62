/* SPDX-License-Identifier: MIT
 *
 * manager/host/features.h: what is missing is said to those who ask for it, and to nobody else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "manager/host/features.h"
#include "shared/cleanup.h"

static const char *const names[] = {"cpu_weight", "memory_limit", "memory_soft_limit", "swap_limit",
                                    "oom_group",  "io_weight",    "pids_limit",        "devices"};

/* All features are there but `lacking`, and the node has 4000 MHz and 1000 MiB. `size` of the disk:
 * 0 for none. */
static char *warnings_of_disk(const char *resources, const char *options, const char *lacking,
                              int size)
{
    json_t *attributes =
        json_pack("{s:s, s:s, s:s, s:s}", "cleat.disk.quota",
                  strcmp(lacking, "quota") == 0 ? "false" : "true", "cpu.totalcompute", "4000",
                  "memory.totalbytes", "1048576000", "cleat.limit.processes",
                  strcmp(lacking, "processes") == 0 ? "3" : "4");
    const struct config config = {.raw_exec_pids_limit = 10};
    autofree char *text = NULL;
    char *warnings;
    struct job *job;
    struct err e = ERR_INIT;
    json_t *json;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        autofree char *name = NULL;

        assert_true(asprintf(&name, "cgroup.%s", names[i]) > 0);
        (void)json_object_set_new(attributes, name,
                                  json_string(strcmp(names[i], lacking) == 0 ? "false" : "true"));
    }
    assert_true(asprintf(&text,
                         "{\"ID\": \"j\", \"TaskGroups\": [{\"Name\": \"g\", \"Count\": 2, "
                         "\"EphemeralDisk\": {\"SizeMB\": %d}, \"Tasks\": [{\"Name\": \"t\", "
                         "\"Driver\": \"raw_exec\", \"Config\": "
                         "{\"command\": \"/bin/true\"%s}, \"Resources\": {%s}}]}]}",
                         size, options, resources) > 0);
    json = json_loads(text, 0, NULL);
    assert_non_null(json);
    assert_int_equal(job_from_json(json, &job, &e), 0);
    warnings = features_warnings(job, &config, attributes, NULL, NULL);
    job_free(job);
    json_decref(json);
    json_decref(attributes);
    return warnings;
}

static char *warnings_of(const char *resources, const char *options, const char *lacking)
{
    return warnings_of_disk(resources, options, lacking, 0);
}

static void test_disk(void **state)
{
    autofree char *kept = warnings_of_disk("", "", "", 500);
    autofree char *plain = warnings_of_disk("", "", "quota", 300);
    autofree char *sized = warnings_of_disk("", "", "quota", 500);

    (void)state;
    assert_string_equal(kept, "");
    assert_string_equal(plain, "");
    assert_non_null(strstr(sized, "* Group \"g\": the size of its ephemeral_disk bounds its logs"));
}

static void test_warnings(void **state)
{
    static const struct {
        const char *resources, *options, *lacking;
        const char *expected; /* NULL: nothing to say */
    } cases[] = {
        {"\"CPU\": 2000, \"MemoryMB\": 500", "", "", NULL},
        {"\"CPU\": 2001", "", "", "asks for 4002 MHz of CPU, and this node has 4000"},
        {"\"MemoryMB\": 501", "", "", "asks for 1002 MiB of memory, and this node has 1000"},
        {"", "", "cpu_weight", NULL},
        {"\"CPU\": 99", "", "cpu_weight", "Task \"t\": \"cpu\" has no effect"},
        {"", "", "memory_limit", NULL},
        {"\"MemoryMB\": 299", "", "memory_limit", "Task \"t\": \"memory\" has no effect"},
        {"\"MemoryMaxMB\": -1", "", "memory_limit", "Task \"t\": \"memory\" has no effect"},
        {"\"MemoryMB\": 100", "", "memory_soft_limit", NULL},
        {"\"MemoryMB\": 100, \"MemoryMaxMB\": 200", "", "memory_soft_limit", "is not kept"},
        {"", "", "oom_group", NULL},
        {"", ", \"oom_group\": true", "oom_group", "the executor ends the task"},
        {"", "", "io_weight", NULL},
        {"", ", \"io_weight\": 50", "io_weight", "\"io_weight\" has no effect"},
        {"", ", \"io_weight\": 50", "oom_group", NULL},
        {"", "", "pids_limit", "any number of processes"},
        {"", "", "processes", "at least 4 processes, executors included, and this node may have 3"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        autofree char *warnings =
            warnings_of(cases[i].resources, cases[i].options, cases[i].lacking);

        if (!cases[i].expected) {
            assert_string_equal(warnings, "");
            continue;
        }
        assert_int_equal(strncmp(warnings, "1 warning:\n\n* ", 14), 0);
        assert_non_null(strstr(warnings, cases[i].expected));
    }
}

static void test_several(void **state)
{
    autofree char *warnings =
        warnings_of("\"CPU\": 9000, \"MemoryMB\": 9000", ", \"io_weight\": 1", "io_weight");

    (void)state;
    assert_int_equal(strncmp(warnings, "3 warnings:\n\n* Task", 19), 0);
    assert_non_null(strstr(warnings, "\n* The job asks for 18000 MHz"));
    assert_non_null(strstr(warnings, "\n* The job asks for 18000 MiB"));
}

/* Nothing is known of a host without cgroups. */
static void test_probe_nothing(void **state)
{
    const struct cgroup_layout cgroup = {.version = ""};
    json_t *attributes = json_object();

    (void)state;
    features_probe(attributes, &cgroup);
    assert_int_equal(json_object_size(attributes), ARRAY_LEN(names));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        autofree char *name = NULL;

        assert_true(asprintf(&name, "cgroup.%s", names[i]) > 0);
        assert_string_equal(json_string_value(json_object_get(attributes, name)), "false");
    }
    json_decref(attributes);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disk),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_probe_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
