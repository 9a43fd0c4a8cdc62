/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "job_fixture.h"
#include "manager/alloc/alloc.h"
#include "manager/job/children.h"
#include "manager/job/jobs.h"
#include "manager/job/periodic.h"
#include "shared/cleanup.h"

static struct job_record *add(struct fixture *f, const char *id, const char *block)
{
    struct err e = ERR_INIT;
    struct job_record *record;
    struct job *job = NULL;
    char text[1024];
    json_t *json;

    (void)snprintf(text, sizeof(text),
                   "{\"ID\": \"%s\", \"Type\": \"batch\", \"Meta\": {\"own\": \"1\"}, %s,"
                   " \"TaskGroups\": [{\"Name\": \"g\", \"Count\": 2, \"Tasks\": [{\"Name\": "
                   "\"t\", \"Driver\": \"raw_exec\", \"Config\": {\"command\": \"/bin/true\"}}]}]}",
                   id, block);
    json = json_loads(text, 0, NULL);
    assert_non_null(json);
    if (job_from_json(json, &job, &e) || manager_job_register(&f->m, job, &record, &e))
        fail_msg("%s", e.text);
    json_decref(json);
    return record;
}

static size_t count_jobs(const struct fixture *f, const char *parent)
{
    size_t n = 0;

    for (const struct job_record *record = f->m.jobs; record; record = record->next)
        n += strcmp(record->job->parent_id, parent) == 0;
    return n;
}

static size_t count_allocs(const struct fixture *f)
{
    size_t n = 0;

    for (const struct alloc *a = f->m.allocs; a; a = a->next)
        n++;
    return n;
}

static const char parameterized[] =
    "\"ParameterizedJob\": {\"MetaRequired\": [\"need\"], \"MetaOptional\": [\"may\"]}";

static int dispatch(struct fixture *f, const char *id, const char *meta, const char *payload,
                    const char *token, struct job_record **ret, struct err *e)
{
    json_t *json = json_loads(meta, 0, NULL);
    struct dispatch d = {json, payload, token, "", 0};
    int r = manager_job_dispatch(&f->m, id, &d, ret, e);

    json_decref(json);
    return r;
}

static void test_dispatch(void **state)
{
    struct fixture *f = *state;
    struct job_record *parent = add(f, "p", parameterized), *child = NULL, *again = NULL;
    struct err e = ERR_INIT;
    long long at;
    char end[9];

    assert_int_equal(count_allocs(f), 0);
    assert_string_equal(job_record_status(&f->m, parent), "running");
    if (dispatch(f, "p", "{\"need\": \"x\"}", "cGF5", "tok", &child, &e))
        fail_msg("%s", e.text);
    assert_int_equal(sscanf(child->job->id, "p/dispatch-%lld-%8[0-9a-f]", &at, end), 2);
    assert_in_range(at, time(NULL) - 60, time(NULL));
    assert_int_equal(strlen(end), 8);
    assert_string_equal(child->job->name, child->job->id);
    assert_string_equal(child->job->parent_id, "p");
    assert_true(child->job->dispatched && !job_is_parent(child->job));
    assert_string_equal(child->job->payload, "cGF5");
    assert_string_equal(json_string_value(json_object_get(child->job->meta, "need")), "x");
    assert_string_equal(json_string_value(json_object_get(child->job->meta, "own")), "1");
    assert_int_equal(count_allocs(f), 2);

    assert_int_equal(dispatch(f, "p", "{\"need\": \"y\"}", "", "tok", &again, &e), 0);
    assert_ptr_equal(again, child);
    assert_int_equal(dispatch(f, "p", "{\"need\": \"y\"}", "", "", &again, &e), 0);
    assert_int_equal(count_jobs(f, "p"), 2);

    fixture_restart(f);
    assert_int_equal(count_jobs(f, "p"), 2);
    assert_int_equal(count_allocs(f), 4);
    assert_int_equal(dispatch(f, "p", "{\"need\": \"y\"}", "", "tok", &again, &e), 0);
    assert_int_equal(count_jobs(f, "p"), 2);

    assert_int_equal(manager_job_deregister(&f->m, "p", false, &e), 0);
    assert_string_equal(job_record_status(&f->m, manager_find_job(&f->m, "p")), "dead");
    assert_string_equal(job_record_status(&f->m, again), "running"); /* as pending ones are shown */
    assert_int_equal(dispatch(f, "p", "{\"need\": \"y\"}", "", "", &again, &e), -EINVAL);
}

static void test_dispatch_is_refused(void **state)
{
    static const struct {
        const char *id, *meta, *payload, *text;
        int code;
    } rows[] = {
        {"none", "{}", "", "not found", -ENOENT},
        {"plain", "{}", "", "is not parameterized", -EINVAL},
        {"p", "{}", "", "cannot do without the meta \"need\"", -EINVAL},
        {"p", "{\"need\": \"1\", \"other\": \"1\"}", "", "takes no meta \"other\"", -EINVAL},
        {"p", "{\"need\": 1}", "", "\"need\" must be a string", -EINVAL},
        {"p", "{\"need\": \"1\"}", "?", "not base64", -EINVAL},
        {"required", "{}", "", "cannot do without a payload", -EINVAL},
        {"forbidden", "{}", "cGF5", "takes no payload", -EINVAL},
    };
    struct fixture *f = *state;

    (void)add(f, "p", parameterized);
    (void)add(f, "plain", "\"Priority\": 50");
    (void)add(f, "required", "\"ParameterizedJob\": {\"Payload\": \"required\"}");
    (void)add(f, "forbidden", "\"ParameterizedJob\": {\"Payload\": \"forbidden\"}");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct job_record *child;
        struct err e = ERR_INIT;

        if (dispatch(f, rows[i].id, rows[i].meta, rows[i].payload, "", &child, &e) !=
                rows[i].code ||
            !strstr(e.text, rows[i].text))
            fail_msg("\"%s\", not \"%s\"", e.text, rows[i].text);
    }
    assert_int_equal(count_jobs(f, "p"), 0);
}

#define HOURLY "\"Periodic\": {\"Spec\": \"@hourly\"}"

/* As if it were `hours` later than the newest launch. */
static void launched_before(struct fixture *f, struct job_record *record, int hours)
{
    struct err e = ERR_INIT;

    record->last_launch = time(NULL) - hours * 3600;
    assert_int_equal(jobs_save_or_remove(&f->m, record->job->id, &e), 0);
}

static void test_periodic(void **state)
{
    struct fixture *f = *state;
    struct job_record *record = add(f, "p", HOURLY), *child;
    int64_t first;

    assert_int_equal(count_allocs(f), 0);
    assert_true(ev_is_active(&f->m.launcher));
    assert_true(f->m.launcher.at > time(NULL) && f->m.launcher.at <= time(NULL) + 3600);

    /* Several were missed, and one is made up for: the first of them. */
    launched_before(f, record, 5);
    first = job_next_launch(record->job, record->last_launch);
    fixture_restart(f);
    (void)ev_run(f->m.loop, EVRUN_NOWAIT);
    assert_int_equal(count_jobs(f, "p"), 1);
    assert_int_equal(count_allocs(f), 2);
    child = manager_find_job(&f->m, "p")->next;
    assert_int_equal(strtoll(child->job->id + strlen("p/periodic-"), NULL, 10), first);
    assert_false(child->job->periodic.set);
    fixture_restart(f);
    (void)ev_run(f->m.loop, EVRUN_NOWAIT);
    assert_int_equal(count_jobs(f, "p"), 1);
    assert_true(f->m.launcher.at > time(NULL));
}

/* The manager died after the child was recorded, and before that it was launched was. */
static void test_launched_once_over_a_crash(void **state)
{
    struct fixture *f = *state;
    struct job_record *record = add(f, "p", HOURLY);
    int64_t before = time(NULL) - 3 * 3600;

    record->last_launch = before;
    periodic_schedule(&f->m);
    (void)ev_run(f->m.loop, EVRUN_NOWAIT);
    assert_int_equal(count_jobs(f, "p"), 1);
    launched_before(f, record, 3);
    fixture_restart(f);
    (void)ev_run(f->m.loop, EVRUN_NOWAIT);
    assert_int_equal(count_jobs(f, "p"), 1);
    assert_in_range(manager_find_job(&f->m, "p")->last_launch, time(NULL) - 60, time(NULL));
}

static void test_overlap(void **state)
{
    struct fixture *f = *state;
    struct job_record *record =
        add(f, "p", "\"Periodic\": {\"Spec\": \"@hourly\", \"ProhibitOverlap\": true}");
    struct job_record *child;
    struct err e = ERR_INIT;

    assert_int_equal(manager_periodic_force(&f->m, "p", &child, &e), 0);
    assert_int_equal(count_jobs(f, "p"), 1);
    assert_true(children_run(&f->m, "p"));
    launched_before(f, record, 2);
    periodic_schedule(&f->m);
    (void)ev_run(f->m.loop, EVRUN_NOWAIT);
    assert_int_equal(count_jobs(f, "p"), 1); /* and this time is over */
    assert_true(f->m.launcher.at > time(NULL));
}

static void test_clock_that_was_set_back(void **state)
{
    struct fixture *f = *state;
    struct job_record *record = add(f, "p", HOURLY);

    launched_before(f, record, -48); /* the launch before is two days ahead */
    periodic_schedule(&f->m);
    assert_true(f->m.launcher.at <= time(NULL) + 3600);
}

static void test_not_periodic_any_more(void **state)
{
    struct fixture *f = *state;
    struct job_record *child;
    struct err e = ERR_INIT;

    (void)add(f, "p", HOURLY);
    assert_true(ev_is_active(&f->m.launcher));
    assert_int_equal(manager_job_deregister(&f->m, "p", false, &e), 0);
    assert_false(ev_is_active(&f->m.launcher));
    assert_int_equal(manager_periodic_force(&f->m, "p", &child, &e), -EINVAL);
    (void)add(f, "p", HOURLY);
    assert_true(ev_is_active(&f->m.launcher));
    (void)add(f, "p", "\"Periodic\": {\"Spec\": \"@hourly\", \"Enabled\": false}");
    assert_false(ev_is_active(&f->m.launcher));
    assert_int_equal(manager_periodic_force(&f->m, "p", &child, &e), -EINVAL);
    assert_non_null(strstr(e.text, "disabled"));
    assert_int_equal(count_allocs(f), 0);
    (void)add(f, "p", "\"Priority\": 50");
    assert_int_equal(count_allocs(f), 2);
    assert_int_equal(manager_periodic_force(&f->m, "p", &child, &e), -EINVAL);
    assert_int_equal(manager_periodic_force(&f->m, "none", &child, &e), -ENOENT);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_dispatch),
        TEST(test_dispatch_is_refused),
        TEST(test_periodic),
        TEST(test_launched_once_over_a_crash),
        TEST(test_overlap),
        TEST(test_clock_that_was_set_back),
        TEST(test_not_periodic_any_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
