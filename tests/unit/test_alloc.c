/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "manager/alloc/alloc.h"
#include "manager/job/jobs.h"
#include "manager/task/task.h"
#include "shared/cleanup.h"

static struct task task_of(char kind)
{
    struct task task = {0};

    task.status.state = kind == 'p' || kind == 'w'
                            ? TASK_STATE_PENDING
                            : (kind == 'r' ? TASK_STATE_RUNNING : TASK_STATE_DEAD);
    task.status.started_ns = kind == 'w';
    task.status.failed = kind == 'f' || kind == 'l';
    task.machine.lost = kind == 'l';
    return task;
}

/* p pending, w the same after a start, r running, d dead, f failed, l lost */
static void test_client_status(void **state)
{
    static const struct {
        const char *tasks;
        enum client_status expected;
    } cases[] = {
        {"p", CLIENT_PENDING},   {"r", CLIENT_RUNNING},  {"d", CLIENT_COMPLETE},
        {"f", CLIENT_FAILED},    {"l", CLIENT_LOST},     {"pp", CLIENT_PENDING},
        {"pr", CLIENT_RUNNING},  {"pd", CLIENT_PENDING}, {"rd", CLIENT_RUNNING},
        {"dd", CLIENT_COMPLETE}, {"fr", CLIENT_FAILED},  {"df", CLIENT_FAILED},
        {"lr", CLIENT_LOST},     {"lf", CLIENT_FAILED},  {"pf", CLIENT_FAILED},
        {"w", CLIENT_PENDING},   {"wp", CLIENT_PENDING}, {"wf", CLIENT_FAILED},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct task tasks[2];
        size_t n = strlen(cases[i].tasks);

        for (size_t t = 0; t < n; t++)
            tasks[t] = task_of(cases[i].tasks[t]);
        assert_int_equal(alloc_judge(tasks, n), cases[i].expected);
    }
}

struct fixture {
    struct config config;
    struct manager manager;
    struct job job;
    struct job_record record;
    struct job_group group;
    struct job_task defs[2];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->config.data_dir = "/data";
    f->manager.config = &f->config;
    f->manager.allocs_end = &f->manager.allocs;
    f->job = (struct job){.id = "j", .name = "j"};
    f->record = (struct job_record){.refs = 1, .job = &f->job};
    f->defs[0].name = "one";
    f->defs[1].name = "two";
    f->group = (struct job_group){.name = "g", .tasks = f->defs, .n_tasks = 2};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static void test_a_record_says_all_there_was(void **state)
{
    struct fixture *f = *state;
    struct alloc *a = alloc_new(&f->manager, &f->record, &f->group, 4, NULL), *b;
    struct task_event event = {.seq = UINT64_MAX / 2,
                               .time_ns = 1785000000123456789,
                               .type = TASK_EVENT_TERMINATED,
                               .exit_code = 137,
                               .signal = 9,
                               .oom_killed = true,
                               .message = "no UTF-8: \xc3"};
    json_t *json, *again;

    assert_string_equal(a->name, "j.g[4]");
    for (int i = 0; i < STATUS_EVENTS + 2; i++) {
        event.delay_ns = (uint64_t)i;
        task_append_event(&a->tasks[0], &event);
    }
    assert_int_equal(a->tasks[0].n_events, STATUS_EVENTS);
    assert_int_equal(a->tasks[0].events[0].delay_ns, 2);
    a->tasks[0].status = (struct task_summary){.seq = 12,
                                               .state = TASK_STATE_DEAD,
                                               .failed = true,
                                               .restarts = 3,
                                               .exit_code = -1,
                                               .oom_killed = true,
                                               .paused = true};
    a->tasks[0].machine.lost = true;
    a->tasks[1].machine.phase = TASK_PHASE_WAITING;
    json = alloc_to_json(a);
    assert_non_null(json);

    b = alloc_new(&f->manager, &f->record, &f->group, 4, a->id);
    alloc_apply_json(b, json);
    assert_int_equal(b->tasks[0].machine.phase, TASK_PHASE_DONE);
    assert_int_equal(b->tasks[1].machine.phase, TASK_PHASE_WAITING);
    assert_memory_equal(&a->tasks[0].status, &b->tasks[0].status, sizeof(struct task_summary));
    assert_memory_equal(a->tasks[0].events, b->tasks[0].events,
                        STATUS_EVENTS * sizeof(struct task_event));
    again = alloc_to_json(b);
    assert_true(json_equal(json, again));
    json_decref(json);
    json_decref(again);
    alloc_free(a);
    alloc_free(b);
}

static void test_foreign_records_do_no_harm(void **state)
{
    static const char *const texts[] = {
        "{}", "[]", "{\"Tasks\": 7}", "{\"Tasks\": {\"one\": {\"State\": \"flying\"}}}",
        "{\"Tasks\": {\"one\": {\"Events\": [1, {\"Type\": \"New\", \"Seq\": 1, \"Time\": 1}]}}}"};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct alloc *a = alloc_new(&f->manager, &f->record, &f->group, 0, NULL);
        json_t *json = json_loads(texts[i], 0, NULL);

        alloc_apply_json(a, json);
        assert_int_equal(a->tasks[0].status.state, TASK_STATE_PENDING);
        assert_int_equal(a->tasks[0].n_events, 0);
        json_decref(json);
        alloc_free(a);
    }
}

static void test_the_list_keeps_its_end(void **state)
{
    struct fixture *f = *state;
    struct manager *m = &f->manager;
    struct alloc *a[3];

    for (size_t i = 0; i < 3; i++) {
        a[i] = alloc_new(m, &f->record, &f->group, (unsigned int)i, NULL);
        alloc_link(a[i]);
    }
    alloc_unlink(a[1]);
    alloc_free(a[1]);
    alloc_unlink(a[2]);
    assert_ptr_equal(m->allocs, a[0]);
    assert_ptr_equal(m->allocs_end, &a[0]->next);
    alloc_link(a[2]);
    assert_ptr_equal(a[0]->next, a[2]);
    alloc_free(a[0]);
    alloc_free(a[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_status),
        cmocka_unit_test_setup_teardown(test_a_record_says_all_there_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_foreign_records_do_no_harm, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_list_keeps_its_end, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
