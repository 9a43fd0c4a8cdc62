/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "manager/task/taskenv.h"
#include "shared/cleanup.h"

static char *const host_env[] = {"PATH=/host/bin",
                                 "LANG=C",
                                 "OWN=host",
                                 "NOMAD_TASK_NAME=host",
                                 "AWS_SECRET_ACCESS_KEY=x",
                                 "MY_LICENSE=x",
                                 "VAULT_TOKEN=x",
                                 "BYTES=\xff\xfe",
                                 "no-equals",
                                 NULL};

static char *optional_meta[] = {"both", "not-given", NULL};

struct fixture {
    struct config config;
    struct cgroup_layout cgroup;
    struct job job;
    struct job_record record;
    struct job_group group;
    struct job_task def;
    struct alloc alloc;
    struct task task;
    struct taskenv_input in;
    struct taskenv env;
    json_t *attributes;
    struct bag bag;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->config = (struct config){.name = "host1",
                                .datacenter = "dc1",
                                .region = "global",
                                .cgroup_parent = "cleat",
                                .meta = json_pack("{s:s}", "rack", "r7")};
    f->job = (struct job){.id = "jid",
                          .name = "jname",
                          .namespace_ = "default",
                          .parent_id = "pid",
                          .dispatched = true,
                          .parameterized = {.meta_optional = optional_meta},
                          .meta = json_pack("{s:s, s:s}", "both", "job", "a-b", "dash")};
    f->record.job = &f->job;
    f->group = (struct job_group){.name = "web", .meta = json_pack("{s:s}", "both", "group")};
    f->def = (struct job_task){.name = "srv",
                               .resources = {.cpu_mhz = 250, .memory_mb = 64},
                               .meta = json_pack("{s:s}", "on", "${attr.kernel.name}"),
                               .env = json_pack("{s:s, s:s, s:s}", "OWN", "task", "DIR",
                                                "${NOMAD_TASK_DIR}/x", "SEES", "${OWN}")};
    strcpy(f->alloc.id, "01234567-89ab-4cde-8f01-23456789abcd");
    f->alloc.name = "jname.web[3]";
    f->alloc.dir = "/data/allocs/a";
    f->alloc.index = 3;
    f->alloc.job = &f->record;
    f->alloc.group = &f->group;
    f->task = (struct task){.alloc = &f->alloc, .def = &f->def};
    f->attributes = json_pack("{s:s}", "kernel.name", "linux");
    f->in = (struct taskenv_input){.config = &f->config,
                                   .cgroup = &f->cgroup,
                                   .node_id = "node-1",
                                   .attributes = f->attributes,
                                   .task = &f->task,
                                   .alloc_dir = "/alloc",
                                   .task_dir = "/local",
                                   .secrets_dir = "/secrets",
                                   .host_env = host_env};
    taskenv_init(&f->env, &f->in);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    taskenv_deinit(&f->env);
    bag_clear(&f->bag);
    json_decref(f->config.meta);
    json_decref(f->job.meta);
    json_decref(f->group.meta);
    json_decref(f->def.meta);
    json_decref(f->def.env);
    json_decref(f->attributes);
    free(f);
    return 0;
}

static void test_own_denylist(void **state)
{
    struct fixture *f = *state;

    taskenv_deinit(&f->env);
    f->config.env_denylist = (char *)"P?TH, MY_*";
    taskenv_init(&f->env, &f->in);
    assert_null(taskenv_get(&f->env, "PATH"));
    assert_null(taskenv_get(&f->env, "MY_LICENSE"));
    assert_non_null(taskenv_get(&f->env, "VAULT_TOKEN"));
}

static void test_variables(void **state)
{
    static const char *const expected[][2] = {
        {"NOMAD_ALLOC_DIR", "/alloc"},
        {"NOMAD_TASK_DIR", "/local"},
        {"NOMAD_SECRETS_DIR", "/secrets"},
        {"NOMAD_MEMORY_LIMIT", "64"},
        {"NOMAD_CPU_LIMIT", "250"},
        {"NOMAD_ALLOC_ID", "01234567-89ab-4cde-8f01-23456789abcd"},
        {"NOMAD_SHORT_ALLOC_ID", "01234567"},
        {"NOMAD_ALLOC_NAME", "jname.web[3]"},
        {"NOMAD_ALLOC_INDEX", "3"},
        {"NOMAD_TASK_NAME", "srv"},
        {"NOMAD_GROUP_NAME", "web"},
        {"NOMAD_JOB_ID", "jid"},
        {"NOMAD_JOB_NAME", "jname"},
        {"NOMAD_JOB_PARENT_ID", "pid"},
        {"NOMAD_META_not_given", ""},
        {"NOMAD_META_NOT_GIVEN", ""},
        {"NOMAD_NAMESPACE", "default"},
        {"NOMAD_REGION", "global"},
        {"NOMAD_DC", "dc1"},
        {"NOMAD_PARENT_CGROUP", "cleat"},
        {"NOMAD_META_both", "group"},
        {"NOMAD_META_BOTH", "group"},
        {"NOMAD_META_a_b", "dash"},
        {"NOMAD_META_A_B", "dash"},
        {"NOMAD_META_on", "linux"},
        {"PATH", "/host/bin"},
        {"BYTES", "\xff\xfe"},
        {"OWN", "task"},
        {"DIR", "/local/x"},
        {"SEES", "host"},
    };
    static const char *const absent[] = {"AWS_SECRET_ACCESS_KEY",
                                         "MY_LICENSE",
                                         "VAULT_TOKEN",
                                         "no-equals",
                                         "NOMAD_TOKEN",
                                         "NOMAD_CPU_CORES",
                                         "NOMAD_MEMORY_MAX_LIMIT",
                                         "NOMAD_UNIX_ADDR"};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        assert_non_null(taskenv_get(&f->env, expected[i][0]));
        assert_string_equal(taskenv_get(&f->env, expected[i][0]), expected[i][1]);
    }
    for (size_t i = 0; i < ARRAY_LEN(absent); i++)
        assert_null(taskenv_get(&f->env, absent[i]));
}

static void test_variables_of_resources(void **state)
{
    struct fixture *f = *state;

    taskenv_deinit(&f->env);
    f->def.resources = (struct job_resources){.cores = 2, .memory_mb = 64, .memory_max_mb = 96};
    f->task.cpus = (char *)"1,3";
    f->cgroup.reason = "no cgroups";
    (void)json_object_set_new(f->attributes, "cpu.frequency", json_string("2000"));
    (void)json_object_set_new(f->attributes, "cpu.numcores", json_string("4"));
    (void)json_object_set_new(f->attributes, "cpu.totalcompute", json_string("8000"));
    taskenv_init(&f->env, &f->in);
    assert_string_equal(taskenv_get(&f->env, "NOMAD_CPU_CORES"), "1,3");
    assert_string_equal(taskenv_get(&f->env, "NOMAD_CPU_LIMIT"), "4000");
    assert_string_equal(taskenv_get(&f->env, "NOMAD_MEMORY_LIMIT"), "64");
    assert_string_equal(taskenv_get(&f->env, "NOMAD_MEMORY_MAX_LIMIT"), "96");
    assert_null(taskenv_get(&f->env, "NOMAD_PARENT_CGROUP"));
}

static void test_expansion(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"plain $PATH {x}", "plain $PATH {x}"},
        {"${NOMAD_TASK_NAME}", "srv"},
        {"<${NOMAD_JOB_ID}${NOMAD_DC}>", "<jiddc1>"},
        {"${env[\"OWN\"]}", "task"},
        {"${attr.kernel.name}-${meta.rack}", "linux-r7"},
        {"${node.unique.id} ${node.unique.name} ${node.datacenter} ${node.region} ${node.class}",
         "node-1 host1 dc1 global "},
        {"${unknown} ${attr.none} ${meta.none} ${node.none}",
         "${unknown} ${attr.none} ${meta.none} ${node.none}"},
        {"$${NOMAD_DC} ${NOMAD_DC", "${NOMAD_DC} ${NOMAD_DC"},
        {"${${NOMAD_DC}}", "${dc1}"},
        {"$$${}", "$${}"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(taskenv_expand(&f->env, cases[i][0], &f->bag), cases[i][1]);
}

static void test_legacy_expansion(void **state)
{
    static const char *const cases[][2] = {
        {"$NOMAD_TASK_DIR/bin", "/local/bin"},
        {"${NOMAD_DC}$NOMAD_DC.", "dc1dc1."},
        {"$UNKNOWN $ $$ $1", "$UNKNOWN $ $$ $1"},
        {"$${NOMAD_DC}", "${NOMAD_DC}"},
        {"$NOMAD_DCx", "$NOMAD_DCx"},
        {"$node.class", "$node.class"},
    };
    struct fixture *f = *state;
    const struct interpolation in = taskenv_interpolation(&f->env);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(interpolate_legacy(&in, cases[i][0], &f->bag), cases[i][1]);
}

static void test_json_expansion(void **state)
{
    struct fixture *f = *state;
    const struct interpolation in = taskenv_interpolation(&f->env);
    json_t *from = json_pack("{s:[s,i,{s:s}], s:b, s:s}", "${NOMAD_DC}", "a ${NOMAD_DC}", 7, "k",
                             "${BYTES}", "t", 1, "e", "");
    json_t *to = interpolate_json(&in, from);
    json_t *list = json_object_get(to, "${NOMAD_DC}");

    assert_string_equal(json_string_value(json_array_get(list, 0)), "a dc1");
    assert_int_equal(json_integer_value(json_array_get(list, 1)), 7);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 2), "k")),
                        "\xff\xfe");
    assert_true(json_is_true(json_object_get(to, "t")));
    assert_string_equal(json_string_value(json_object_get(to, "e")), "");
    json_decref(from);
    json_decref(to);
}

static void test_node_only(void **state)
{
    struct fixture *f = *state;
    const struct interpolation in = {&f->config, "node-1", f->attributes, NULL};

    assert_string_equal(interpolate(&in, "${attr.kernel.name} ${NOMAD_DC} ${env[\"A\"]}", &f->bag),
                        "linux ${NOMAD_DC} ${env[\"A\"]}");
}

static void note_reference(void *arg, const char *name)
{
    strcat(strcat(arg, name), ";");
}

static void test_references(void **state)
{
    char seen[64] = "";

    (void)state;
    interpolate_references("${a}$${b} x${attr.c} ${env[\"d\"]} ${open", note_reference, seen);
    assert_string_equal(seen, "a;attr.c;env[\"d\"];");
}

static void test_paths(void **state)
{
    static const char *const cases[][2] = {
        {"local/x", "srv/local/x"},
        {"x", "srv/x"},
        {"", "srv"},
        {"/etc/x", "srv/etc/x"},
        {"./local//../secrets/./k", "srv/secrets/k"},
        {"../alloc/data/x", "alloc/data/x"},
        {"/local/../x", "srv/x"},
        {"/localx/y", "srv/localx/y"},
        {"${NOMAD_TASK_DIR}/${NOMAD_DC}", "srv/local/dc1"},
        {"${NOMAD_ALLOC_DIR}", "alloc"},
        {"${NOMAD_SECRETS_DIR}/k", "srv/secrets/k"},
        {"/data/allocs/a/srv/local/x", "srv/local/x"},
        {"../srv2/x", NULL},
        {"../..", NULL},
        {"local/../../../x", NULL},
        {"/alloc/../other/x", NULL},
        {"..", NULL},
    };
    struct fixture *f = *state;
    struct err e = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *path = taskenv_path(&f->env, cases[i][0], &f->bag, &e);

        if (cases[i][1])
            assert_string_equal(path, cases[i][1]);
        else
            assert_null(path);
        assert_int_equal(e.code, cases[i][1] ? 0 : -EINVAL);
        e = (struct err)ERR_INIT;
    }
    f->in.alloc_dir = "/data/allocs/a/alloc";
    f->in.task_dir = "/data/allocs/a/srv/local";
    taskenv_deinit(&f->env);
    taskenv_init(&f->env, &f->in);
    assert_string_equal(taskenv_path(&f->env, "${NOMAD_TASK_DIR}/x", &f->bag, &e), "srv/local/x");
    assert_string_equal(taskenv_path(&f->env, "${NOMAD_ALLOC_DIR}/x", &f->bag, &e), "alloc/x");
}

static void test_templates_win(void **state)
{
    struct fixture *f = *state;

    taskenv_deinit(&f->env);
    f->task.template_env = json_pack("{s:s, s:s}", "OWN", "template ${NOMAD_DC}", "NEW", "n");
    taskenv_init(&f->env, &f->in);
    assert_string_equal(taskenv_get(&f->env, "OWN"), "template ${NOMAD_DC}");
    assert_string_equal(taskenv_get(&f->env, "NEW"), "n");
    assert_string_equal(taskenv_get(&f->env, "SEES"), "host");
    json_decref(f->task.template_env);
    f->task.template_env = NULL;
}

static void test_defaults_give_way_to_the_task(void **state)
{
    struct fixture *f = *state;

    taskenv_default(&f->env, "OWN", "default");
    taskenv_default(&f->env, "LANG", "default");
    assert_string_equal(taskenv_get(&f->env, "OWN"), "task");
    assert_string_equal(taskenv_get(&f->env, "LANG"), "default");
}

static void test_list(void **state)
{
    struct fixture *f = *state;
    char **list = taskenv_list(&f->env, &f->bag);
    bool seen = false;
    size_t n = 0;

    for (; list[n]; n++)
        seen |= strcmp(list[n], "DIR=/local/x") == 0;
    assert_true(seen);
    assert_int_equal(n, json_object_size(f->env.vars));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_variables, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_variables_of_resources, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_own_denylist, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_expansion, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_legacy_expansion, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_json_expansion, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_node_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_templates_win, set_up, tear_down),
        cmocka_unit_test(test_references),
        cmocka_unit_test_setup_teardown(test_defaults_give_way_to_the_task, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_list, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
