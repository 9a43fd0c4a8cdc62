/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "manager/alloc/alloc.h"
#include "manager/job/job_file.h"
#include "manager/job/jobs.h"
#include "manager/job/update.h"
#include "shared/cleanup.h"

/* Group "two" of tasks a and b, twice; group "one" of task c. */
static const char definition[] =
    "{\"ID\": \"j\", \"Type\": \"service\", \"Meta\": {\"who\": \"me\"}, \"TaskGroups\": ["
    "{\"Name\": \"two\", \"Count\": 2, \"Meta\": {}, \"Tasks\": ["
    " {\"Name\": \"a\", \"Driver\": \"raw_exec\", \"Config\": {\"command\": \"/bin/a\"}},"
    " {\"Name\": \"b\", \"Driver\": \"raw_exec\", \"Config\": {\"command\": \"/bin/b\"}}]},"
    "{\"Name\": \"one\", \"Count\": 1, \"Tasks\": ["
    " {\"Name\": \"c\", \"Driver\": \"raw_exec\", \"Config\": {\"command\": \"/bin/c\"}}]}]}";

struct world {
    struct config config;
    struct manager m;
};

/* Sets what is at `path`, "TaskGroups/0/Tasks/1/User". */
static void set_at(json_t *at, const char *path, json_t *value)
{
    autofree char *copy = strdup(path);
    char *save = NULL, *key = strtok_r(copy, "/", &save), *next;

    while ((next = strtok_r(NULL, "/", &save))) {
        json_t *below =
            json_is_array(at) ? json_array_get(at, (size_t)atoi(key)) : json_object_get(at, key);

        if (!below) {
            below = json_object();
            assert_int_equal(json_object_set_new(at, key, below), 0);
        }
        at = below;
        key = next;
    }
    if (json_is_array(at))
        assert_int_equal(json_array_set_new(at, (size_t)atoi(key), value), 0);
    else
        assert_int_equal(json_object_set_new(at, key, value), 0);
}

static struct job *make_job(const char *path, const char *value)
{
    json_t *json = json_loads(definition, 0, NULL);
    struct err e = ERR_INIT;
    struct job *job = NULL;

    assert_non_null(json);
    if (path) {
        json_t *decoded = json_loads(value, JSON_DECODE_ANY, NULL);

        assert_non_null(decoded);
        set_at(json, path, decoded);
    }
    if (job_from_json(json, &job, &e))
        fail_msg("%s: %s", path, e.text);
    json_decref(json);
    return job;
}

static void world_init(struct world *w)
{
    struct job_record *record = job_record_new(make_job(NULL, NULL));

    *w = (struct world){.config = {.data_dir = (char *)"/nowhere"}};
    w->m = (struct manager){.config = &w->config};
    w->m.allocs_end = &w->m.allocs;
    (void)job_link_newest(&w->m, record);
    for (size_t g = 0; g < record->job->n_groups; g++)
        for (int64_t i = 0; i < record->job->groups[g].count; i++)
            alloc_link(alloc_new(&w->m, record, &record->job->groups[g], (unsigned int)i, NULL));
}

static void world_deinit(struct world *w)
{
    for (struct alloc *a; (a = w->m.allocs);) {
        w->m.allocs = a->next;
        alloc_free(a);
    }
    job_record_unref(w->m.jobs);
}

static const char *action_name(const struct update_item *item)
{
    static const char *const names[UPDATE_ACTION_N] = {
        [UPDATE_PLACE] = "place",      [UPDATE_STOP] = "stop",     [UPDATE_FORGET] = "forget",
        [UPDATE_IN_PLACE] = "inplace", [UPDATE_IGNORE] = "ignore", [UPDATE_RESTART] = "restart",
        [UPDATE_REPLACE] = "replace"};

    return names[item->action];
}

/* "two[0]:restart=b one[0]:inplace" */
static char *describe(const struct update *update)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    for (size_t i = 0; i < update->n_items; i++) {
        const struct update_item *item = &update->items[i];
        const struct job_group *group = item->group;

        (void)fprintf(out, "%s%s[%u]:%s", i ? " " : "", group ? group->name : "gone", item->index,
                      action_name(item));
        for (size_t t = 0; item->action == UPDATE_RESTART && t < group->n_tasks; t++)
            if (item->change->changed[t])
                (void)fprintf(out, "=%s", group->tasks[t].name);
    }
    assert_int_equal(fclose(out), 0);
    return text;
}

static void expect(struct world *w, const char *path, const char *value, const char *wanted)
{
    struct job *job = make_job(path, value);
    autofree char *text = NULL;
    struct update update;

    update_plan(&w->m, job, &update);
    text = describe(&update);
    if (strcmp(text, wanted) != 0)
        fail_msg("%s = %s: %s instead of %s", path, value, text, wanted);
    update_deinit(&update);
    job_free(job);
}

#define TWO "TaskGroups/0/"
#define A TWO "Tasks/0/"
#define B TWO "Tasks/1/"
#define IN_PLACE "two[0]:inplace two[1]:inplace one[0]:inplace"
#define RESTART_B "two[0]:restart=b two[1]:restart=b one[0]:inplace"
#define REPLACE_TWO "two[0]:replace two[1]:replace one[0]:inplace"
#define REPLACE_ONE "two[0]:inplace two[1]:inplace one[0]:replace"

static void test_what_a_change_comes_to(void **state)
{
    static const struct {
        const char *path, *value, *wanted;
    } cases[] = {
        {"Priority", "60", IN_PLACE},
        {"Datacenters", "[\"dc2\"]", IN_PLACE},
        {"Name", "\"other\"", IN_PLACE},
        {"Meta/who", "\"you\"", "two[0]:replace two[1]:replace one[0]:replace"},
        {TWO "Meta", "{\"who\": \"you\"}", REPLACE_TWO},
        {TWO "Meta", "{\"who\": \"me\"}", IN_PLACE}, /* as the job says anyway */
        {B "Meta", "{\"x\": \"1\"}", RESTART_B},
        {TWO "Count", "3", "two[0]:inplace two[1]:inplace two[2]:place one[0]:inplace"},
        {TWO "Count", "1", "two[1]:stop two[0]:inplace one[0]:inplace"},
        {TWO "Count", "0", "two[0]:stop two[1]:stop one[0]:inplace"},
        {TWO "RestartPolicy", "{\"Attempts\": 1, \"Interval\": 60000000000}", IN_PLACE},
        {TWO "Constraints", "[{\"LTarget\": \"a\", \"Operand\": \"=\", \"RTarget\": \"a\"}]",
         IN_PLACE},
        {B "Constraints", "[{\"LTarget\": \"a\", \"Operand\": \"=\", \"RTarget\": \"a\"}]",
         IN_PLACE},
        {TWO "Constraints", "[{\"LTarget\": \"a\", \"Operand\": \"=\", \"RTarget\": \"b\"}]",
         "two[0]:ignore two[1]:ignore one[0]:inplace"},
        {TWO "EphemeralDisk", "{\"SizeMB\": 500}", REPLACE_TWO},
        {TWO "Name", "\"new\"",
         "gone[0]:stop gone[1]:stop new[0]:place new[1]:place one[0]:inplace"},
        {B "KillTimeout", "9000000000", IN_PLACE},
        {B "KillSignal", "\"SIGTERM\"", IN_PLACE},
        {B "ShutdownDelay", "1000000000", IN_PLACE},
        {B "RestartPolicy", "{\"Attempts\": 0, \"Mode\": \"fail\"}", IN_PLACE},
        {B "LogConfig", "{\"MaxFiles\": 3}", IN_PLACE},
        {B "LogConfig", "{\"Disabled\": true}", RESTART_B},
        {B "Env", "{\"A\": \"b\"}", RESTART_B},
        {B "User", "\"nobody\"", RESTART_B},
        {B "Config", "{\"command\": \"/bin/b\", \"args\": [\"-v\"]}", RESTART_B},
        {B "Resources", "{\"MemoryMB\": 64}", RESTART_B},
        {B "Name", "\"b2\"", REPLACE_TWO},
        {A "Env", "{\"A\": \"b\"}", "two[0]:restart=a two[1]:restart=a one[0]:inplace"},
        {"TaskGroups/1/Tasks/0/Env", "{\"A\": \"b\"}", REPLACE_ONE},
        {"TaskGroups/1/Tasks/0/KillTimeout", "9000000000", IN_PLACE},
    };
    struct world w;

    (void)state;
    world_init(&w);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect(&w, cases[i].path, cases[i].value, cases[i].wanted);
    world_deinit(&w);
}

static struct alloc *nth(const struct world *w, size_t n)
{
    struct alloc *alloc = w->m.allocs;

    while (n--)
        alloc = alloc->next;
    return alloc;
}

static void test_what_is_finished_is_made_up_for(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    nth(&w, 0)->desired = DESIRED_STOP; /* its place is free already */
    nth(&w, 2)->tasks[0].status.state = TASK_STATE_DEAD;
    expect(&w, "Priority", "60", "one[0]:forget two[0]:place two[1]:inplace one[0]:place");
    world_deinit(&w);
}

/* A task that ran to its end before the others may have to be first again. */
static void test_a_changed_task_that_is_dead(void **state)
{
    struct world w;

    (void)state;
    world_init(&w);
    nth(&w, 1)->tasks[1].status.state = TASK_STATE_DEAD;
    expect(&w, B "Env", "{\"A\": \"b\"}", "two[0]:restart=b two[1]:replace one[0]:inplace");
    expect(&w, A "Env", "{\"A\": \"b\"}", "two[0]:restart=a two[1]:restart=a one[0]:inplace");
    world_deinit(&w);
}

/* What is applied and taken back is as it was. */
static void test_undo(void **state)
{
    struct job_record *old, *record;
    struct update update;
    struct world w;
    struct alloc *alloc;

    (void)state;
    world_init(&w);
    old = w.m.jobs;
    alloc = nth(&w, 0);
    alloc->tasks[1].definition = 7;
    record = job_record_new(make_job(B "Env", "{\"A\": \"b\"}"));
    record->version = 9;
    update_plan(&w.m, record->job, &update);
    update_apply(&update, &w.m, record);
    assert_ptr_equal(alloc->job, record);
    assert_ptr_equal(alloc->tasks[1].def, &record->job->groups[0].tasks[1]);
    assert_int_equal(alloc->tasks[0].definition, 0);
    assert_int_equal(alloc->tasks[1].definition, 9);
    update_undo(&update);
    assert_ptr_equal(alloc->job, old);
    assert_ptr_equal(alloc->tasks[1].def, &old->job->groups[0].tasks[1]);
    assert_int_equal(alloc->tasks[1].definition, 7);
    assert_string_equal(alloc->name, "j.two[0]");
    update_deinit(&update);
    assert_int_equal(record->refs, 1);
    job_record_unref(record);
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_change_comes_to),
        cmocka_unit_test(test_what_is_finished_is_made_up_for),
        cmocka_unit_test(test_a_changed_task_that_is_dead),
        cmocka_unit_test(test_undo),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
