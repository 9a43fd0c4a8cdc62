/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "job_fixture.h"
#include "manager/alloc/alloc.h"
#include "manager/job/feasible.h"
#include "manager/job/jobs.h"
#include "manager/job/periodic.h"
#include "shared/cleanup.h"
#include "shared/job/value.h"

/* Groups g (3) and h (2) of one task t each; the constraints are JSON lists without brackets. */
static struct job *make_job(const char *of_job, const char *of_group, const char *of_task)
{
    struct err e = ERR_INIT;
    struct job *job = NULL;
    char text[4096];
    json_t *json;

    (void)snprintf(text, sizeof(text),
                   "{\"ID\": \"j\", \"Type\": \"batch\", \"Constraints\": [%s], \"TaskGroups\": ["
                   "{\"Name\": \"g\", \"Count\": 3, \"Constraints\": [%s], \"Tasks\": [{\"Name\": "
                   "\"t\", \"Driver\": \"raw_exec\", \"Config\": {\"command\": \"/bin/true\"},"
                   " \"Constraints\": [%s]}]}, {\"Name\": \"h\", \"Count\": 2, \"Tasks\": "
                   "[{\"Name\": \"t\", \"Driver\": \"raw_exec\", \"Config\": {\"command\": "
                   "\"/bin/true\"}}]}]}",
                   of_job, of_group, of_task);
    json = json_loads(text, 0, NULL);
    assert_non_null(json);
    if (job_from_json(json, &job, &e))
        fail_msg("%s", e.text);
    json_decref(json);
    return job;
}

#define C(left, op, right)                                                                         \
    "{\"LTarget\": \"" left "\", \"Operand\": \"" op "\", \"RTarget\": \"" right "\"}"

static void test_judged(void **state)
{
    static const struct {
        const char *job, *group, *task;
        int g, h;
        const char *why; /* of g, or else of h */
    } rows[] = {
        {"", "", "", 3, 2, NULL},
        {C("${attr.kernel.name}", "=", "linux"), "", "", 3, 2, NULL},
        {C("${attr.kernel.name}", "=", "windows"), "", "", 0, 0,
         "the constraint \"${attr.kernel.name} = windows\" of the job is not met: this host has "
         "\"linux\""},
        {"", C("${attr.none}", "is_set", ""), "", 0, 2,
         "the constraint \"${attr.none} is_set\" of the group is not met: this host has none"},
        {"", "", C("${attr.kernel.version}", "version", "< 6"), 0, 2,
         "the constraint \"${attr.kernel.version} version < 6\" of task \"t\" is not met: this "
         "host has \"6.1.9\""},
        {"", C("${meta.rack}", "set_contains", "r1"), C("${node.datacenter}", "regexp", "^dc"), 3,
         2, NULL},
        {"", C("${node.unique.name}", "=", "${meta.rack}"), "", 0, 2,
         "this host has \"host1\", and to the right r1"},
        {"", C("${node.class}", "=", "${meta.none}"), "", 0, 2, "and to the right none"},
        {"", C("${env[\\\"FEASIBLE\\\"]}", "=", "yes"), C("${env.FEASIBLE}", "=", "yes"), 3, 2,
         NULL},
        {"", C("${env.VAULT_TOKEN}", "=", "s"), "", 0, 2, "this host has none"}, /* kept back */
        {"", C("", "distinct_hosts", "true"), "", 1, 2, "lets one host run 1 of 3"},
        {C("", "distinct_hosts", "true"), "", "", 1, 0, "lets one host run 1 of 3"},
        {C("${meta.rack}", "distinct_property", "4"), "", "", 3, 1, "lets one host run 1 of 2"},
        {C("${meta.row}", "distinct_property", ""), "", "", 0, 0,
         "the constraint \"${meta.row} distinct_property\" of the job is not met"},
        {"", C("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "regexp", "^(a+)+$"), "", 0, 2,
         "aaa!\"; the regular expression takes too long"},
        {"", C("${meta.rack}", "regexp", "${meta.pattern}"), "", 0, 2,
         "this host has \"r1\", and to the right r(; the regular expression is wrong near byte 3"},
        {C("${meta.rack}", "distinct_property", "4"), C("", "distinct_hosts", ""), "", 1, 2,
         "lets one host run 1 of 3"},
    };
    struct fixture *f = *state;

    (void)json_object_set_new(f->config.meta, "pattern", json_string("r("));
    assert_int_equal(setenv("FEASIBLE", "yes", 1), 0);
    assert_int_equal(setenv("VAULT_TOKEN", "s", 1), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct job *job = make_job(rows[i].job, rows[i].group, rows[i].task);
        int64_t counts[2];
        autojson json_t *blocked = feasible_judge(&f->m, job, counts);
        const json_t *entry = json_object_get(blocked, rows[i].g < 3 ? "g" : "h");
        const char *why = json_string_value(json_object_get(entry, "Why"));

        assert_int_equal(counts[0], rows[i].g);
        assert_int_equal(counts[1], rows[i].h);
        if (rows[i].why ? !why || !strstr(why, rows[i].why) : blocked != NULL)
            fail_msg("row %zu: \"%s\", not \"%s\"", i, why ? why : "", rows[i].why);
        job_free(job);
    }
    assert_int_equal(unsetenv("VAULT_TOKEN"), 0);
}

static size_t count_allocs(const struct fixture *f, const char *group)
{
    size_t n = 0;

    for (const struct alloc *a = f->m.allocs; a; a = a->next)
        n += strcmp(a->group->name, group) == 0;
    return n;
}

static size_t count_running(const struct fixture *f, uint64_t version)
{
    size_t n = 0;

    for (const struct alloc *a = f->m.allocs; a; a = a->next)
        n += a->job->version == version && a->desired == DESIRED_RUN;
    return n;
}

/* As a changed configuration sets it. */
static void set_meta(struct fixture *f, const char *key, const char *value)
{
    (void)json_object_set_new(f->config.meta, key, json_string(value));
    feasible_reconsider(&f->m);
}

static void test_waits_for_the_node(void **state)
{
    struct fixture *f = *state;
    struct job_record *record, *again;
    struct err e = ERR_INIT;
    autofree char *warnings = NULL;

    assert_int_equal(
        manager_job_register(&f->m, make_job("", C("${meta.ssd}", "=", "yes"), ""), &record, &e),
        0);
    warnings = manager_job_warnings(&f->m, record->job);
    assert_non_null(
        strstr(warnings, "Group \"g\" is not placed: the constraint \"${meta.ssd} = yes"));
    assert_int_equal(count_allocs(f, "g"), 0);
    assert_int_equal(count_allocs(f, "h"), 2);
    assert_int_equal(
        manager_job_register(&f->m, make_job("", C("${meta.ssd}", "=", "yes"), ""), &again, &e), 0);
    assert_ptr_equal(again, record);

    fixture_restart(f);
    feasible_reconsider(&f->m);
    assert_int_equal(count_allocs(f, "g"), 0);
    set_meta(f, "ssd", "no");
    assert_int_equal(count_allocs(f, "g"), 0);
    assert_non_null(
        strstr(json_string_value(json_object_get(json_object_get(f->m.jobs->blocked, "g"), "Why")),
               "has \"no\""));
    set_meta(f, "ssd", "yes");
    assert_int_equal(count_allocs(f, "g"), 3);
    assert_null(f->m.jobs->blocked);
    set_meta(f, "ssd", "no"); /* what is placed stays */
    fixture_restart(f);
    feasible_reconsider(&f->m);
    assert_int_equal(count_allocs(f, "g"), 3);
    assert_int_equal(count_allocs(f, "h"), 2);
}

static void register_sized(struct fixture *f, int64_t size_mb, int64_t count)
{
    struct job *job = make_job("", "", "");
    struct job_record *record;
    struct err e = ERR_INIT;

    job->groups[0].disk.size_mb = size_mb;
    job->groups[0].count = count;
    if (manager_job_register(&f->m, job, &record, &e))
        fail_msg("%s", e.text);
}

static const char *why_not(const struct fixture *f)
{
    const json_t *entry = json_object_get(f->m.jobs->blocked, "g");

    return json_string_value(json_object_get(entry, "Why"));
}

/* Of an ephemeral disk of a size of its own; h has the default, and makes do. */
static void test_room(void **state)
{
    struct fixture *f = *state;

    f->config.reserved.disk_mb = 1 << 30; /* more than any test has */
    register_sized(f, 11, 2);
    assert_int_equal(count_allocs(f, "g"), 0);
    assert_int_equal(count_allocs(f, "h"), 2);
    assert_non_null(strstr(why_not(f), "the dimension \"disk\" is exhausted: ephemeral_disk asks "
                                       "for 11 MiB, and 0 are free where allocations are, beside "
                                       "the 1073741824 reserved"));
    assert_int_equal(feasible_room_wanted(&f->m), 11);
    fixture_restart(f);
    feasible_reconsider(&f->m);
    assert_int_equal(count_allocs(f, "g"), 0);
    f->config.reserved.disk_mb = 0;
    feasible_reconsider(&f->m);
    assert_int_equal(count_allocs(f, "g"), 2);
    assert_int_equal(feasible_room_wanted(&f->m), 0);

    f->config.reserved.disk_mb = 1 << 30; /* what has its room keeps it, and gets no more */
    register_sized(f, 11, 3);
    assert_int_equal(count_running(f, 1), 2 + 2);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(f->m.jobs->blocked, "g"), "Placed")), 2);
    register_sized(f, 12, 2);
    assert_non_null(strstr(why_not(f), "asks for 12 MiB"));
    assert_int_equal(count_running(f, 1), 2); /* g's; h went over to version 2 */
    register_sized(f, 10, 2);
    assert_null(f->m.jobs->blocked);
    assert_int_equal(count_running(f, 3), 2 + 2);
    assert_int_equal(manager_job_deregister(&f->m, "j", false, &(struct err){0}), 0);
    assert_int_equal(feasible_room_wanted(&f->m), 0);
}

static void test_status(void **state)
{
    struct fixture *f = *state;
    struct job_record *record;
    struct err e = ERR_INIT;

    assert_int_equal(
        manager_job_register(&f->m, make_job(C("${meta.ssd}", "is_set", ""), "", ""), &record, &e),
        0);
    assert_string_equal(job_record_status(&f->m, record), "pending");
    jobs_remove_empty(&f->m);
    assert_ptr_equal(manager_find_job(&f->m, "j"), record);
    assert_int_equal(manager_job_deregister(&f->m, "j", false, &e), 0);
    assert_string_equal(job_record_status(&f->m, record), "dead");
    set_meta(f, "ssd", "yes");
    assert_null(f->m.allocs);
}

static void must_register(struct fixture *f, const char *of_group)
{
    struct job_record *record;
    struct err e = ERR_INIT;

    if (manager_job_register(&f->m, make_job("", of_group, ""), &record, &e))
        fail_msg("%s", e.text);
}

/* What runs is not given up for what cannot be placed, whichever manager sees it. */
static void test_kept_for_what_waits(void **state)
{
    struct fixture *f = *state;
    autofree char *warnings = NULL;

    must_register(f, "");
    must_register(f, C("${meta.ssd}", "=", "yes"));
    assert_int_equal(count_running(f, 0), 3); /* of g; h went over to version 1 */
    assert_int_equal(count_running(f, 1), 2);
    warnings = manager_job_warnings(&f->m, f->m.jobs->job);
    assert_non_null(strstr(warnings, "(3 allocations of an older version run on instead)"));
    fixture_restart(f);
    feasible_reconsider(&f->m);
    assert_int_equal(count_running(f, 0), 3);

    must_register(f, C("${meta.ssd}", "=", "maybe")); /* neither this one */
    assert_int_equal(count_running(f, 0), 3);
    assert_int_equal(count_running(f, 2), 2);
    fixture_restart(f);
    set_meta(f, "ssd", "maybe");
    assert_int_equal(count_running(f, 0), 0);
    assert_int_equal(count_running(f, 2), 5);
    assert_null(f->m.jobs->blocked);
    fixture_restart(f);
    assert_int_equal(count_running(f, 0), 0);
    assert_int_equal(count_running(f, 2), 5);
}

static void test_kept_until_it_may_go_on(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;

    must_register(f, "");
    must_register(f, C("", "distinct_hosts", "true")); /* two of three are kept */
    assert_int_equal(count_running(f, 0), 2);
    assert_int_equal(count_running(f, 1), 3);
    must_register(f, ""); /* and are of the newest as they are */
    assert_int_equal(count_running(f, 2), 5);
    assert_int_equal(count_allocs(f, "g"), 3);
    must_register(f, C("${meta.ssd}", "=", "yes"));
    assert_int_equal(count_running(f, 2), 3);
    assert_int_equal(manager_job_deregister(&f->m, "j", false, &e), 0);
    assert_int_equal(count_running(f, 2) + count_running(f, 3), 0);
    fixture_restart(f);
    assert_int_equal(count_running(f, 2) + count_running(f, 3), 0);
}

/* The rest of what distinct_hosts keeps back stays where it is. */
static void test_placed_in_part(void **state)
{
    struct fixture *f = *state;
    struct job_record *record;
    struct err e = ERR_INIT;

    assert_int_equal(
        manager_job_register(&f->m, make_job("", C("${meta.rack}", "distinct_property", "2"), ""),
                             &record, &e),
        0);
    assert_int_equal(count_allocs(f, "g"), 2);
    set_meta(f, "other", "x");
    assert_int_equal(count_allocs(f, "g"), 2);
    fixture_restart(f);
    set_meta(f, "other", "y");
    assert_int_equal(count_allocs(f, "g"), 2);
    assert_non_null(f->m.jobs->blocked);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_judged),
        TEST(test_waits_for_the_node),
        TEST(test_room),
        TEST(test_status),
        TEST(test_placed_in_part),
        TEST(test_kept_for_what_waits),
        TEST(test_kept_until_it_may_go_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
