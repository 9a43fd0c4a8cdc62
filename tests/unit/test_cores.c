/* SPDX-License-Identifier: MIT
 *
 * manager/host/cores.h: lists of CPUs. manager/alloc/limits.h: from resources to limits.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "manager/alloc/limits.h"
#include "manager/host/cores.h"
#include "shared/cleanup.h"

static void test_lists(void **state)
{
    static const char *const good[][2] = {
        {"", ""},           {"0", "0"},       {"0-3\n", "0-3"},
        {"3,1,0", "0-1,3"}, {"5-5,6", "5-6"}, {"0-1023", "0-1023"},
    };
    static const char *const bad[] = {"x", "1-", "-1", "1 2", "1024", "1,,2", "0-1024"};
    char text[CORES_TEXT_MAX];
    cpu_set_t cpus;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(cores_parse(good[i][0], &cpus), 0);
        cores_format(&cpus, text);
        assert_string_equal(text, good[i][1]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(cores_parse(bad[i], &cpus), -EINVAL);
}

struct fixture {
    struct job_task def;
    struct task task;
    struct driver_config options;
    struct config config;
    struct cgroup_layout cgroup;
    struct exec_spec spec;
};

static void plan(struct fixture *f)
{
    json_t *attributes = json_pack("{s:s}", "cpu.frequency", "2000");

    f->task.def = &f->def;
    f->def.driver = "exec";
    limits_plan(&f->task, &f->options, &f->config, &f->cgroup, attributes, &f->spec);
    json_decref(attributes);
}

static void test_memory(void **state)
{
    const uint64_t mib = 1 << 20;
    const struct {
        int64_t memory, max;
        uint64_t hard, low;
    } cases[] = {{100, 0, 100 * mib, 0}, {100, 300, 300 * mib, 100 * mib}, {100, -1, 0, 100 * mib}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f = {
            .def.resources = {.memory_mb = cases[i].memory, .memory_max_mb = cases[i].max}};

        plan(&f);
        assert_int_equal(f.spec.memory_bytes, cases[i].hard);
        assert_int_equal(f.spec.limits.memory_low_bytes, cases[i].low);
    }
}

static void test_cpu(void **state)
{
    struct fixture soft = {.def.resources = {.cpu_mhz = 500}};
    struct fixture hard = {.def.resources = {.cpu_mhz = 500}, .options = {.cpu_hard_limit = true}};
    struct fixture least = {.def.resources = {.cpu_mhz = 1}, .options = {.cpu_hard_limit = true}};
    struct fixture own = {.def.resources = {.cores = 2}, .task = {.cpus = "1-2"}};

    (void)state;
    plan(&soft);
    assert_int_equal(soft.spec.cpu_shares, 500);
    assert_int_equal(soft.spec.limits.cpu_quota_us, 0);
    plan(&hard);
    assert_int_equal(hard.spec.limits.cpu_quota_us, 25000);
    assert_int_equal(hard.spec.limits.cpu_period_us, 100000);
    plan(&least);
    assert_int_equal(least.spec.limits.cpu_quota_us, 1000);
    plan(&own);
    assert_int_equal(own.spec.cpu_shares, 4000);
    assert_string_equal(own.spec.limits.cpus, "1-2");
}

/* A default is kept where it can be; what was asked for is refused where it cannot. */
static void test_pids(void **state)
{
    struct fixture f = {.config = {.exec_pids_limit = 50}, .cgroup = {.pids = true}};
    struct err e = ERR_INIT;

    (void)state;
    plan(&f);
    assert_int_equal(f.spec.limits.pids, 50);
    f.def.resources.pids = 7;
    plan(&f);
    assert_int_equal(f.spec.limits.pids, 7);
    assert_int_equal(limits_check(&f.def, &f.options, &f.cgroup, &e), 0);
    f.cgroup.pids = false;
    assert_int_equal(limits_check(&f.def, &f.options, &f.cgroup, &e), -EINVAL);
    assert_non_null(strstr(e.text, "\"pids\" needs the cgroup controller \"pids\""));
    f.def.resources.pids = 0;
    assert_int_equal(limits_check(&f.def, &f.options, &f.cgroup, &e), 0);
    memset(&f.spec, 0, sizeof(f.spec));
    plan(&f);
    assert_int_equal(f.spec.limits.pids, 0);
}

/* On v2 tasks without cores of their own are made where the CPUs are shared. */
static void test_place(void **state)
{
    struct fixture f = {
        .cgroup = {.dirs = {.unified = "/n", .v2_controllers = true}, .shared = "/n/shared"}};

    (void)state;
    plan(&f);
    assert_string_equal(f.spec.cgroup.unified, "/n/shared");
    f.task.cpus = "1";
    plan(&f);
    assert_string_equal(f.spec.cgroup.unified, "/n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists), cmocka_unit_test(test_memory), cmocka_unit_test(test_cpu),
        cmocka_unit_test(test_pids),  cmocka_unit_test(test_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
