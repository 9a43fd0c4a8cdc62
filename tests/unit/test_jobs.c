/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "job_fixture.h"
#include "manager/alloc/alloc.h"
#include "manager/job/jobs.h"
#include "manager/task/task.h"
#include "shared/cleanup.h"

static const char definition[] =
    "{\"ID\": \"%s\", \"Name\": \"n\", \"Type\": \"service\", \"Datacenters\": [\"dc1\"],"
    " \"TaskGroups\": [{\"Name\": \"g\", \"Count\": %d, \"Tasks\": [{\"Name\": \"t\","
    " \"Driver\": \"%s\", \"Config\": {\"command\": \"/bin/true\"}}]}]}";

static struct job *make_job(const char *id, int count, const char *driver)
{
    struct err e = ERR_INIT;
    struct job *job = NULL;
    char text[1024];
    json_t *json;

    (void)snprintf(text, sizeof(text), definition, id, count, driver);
    json = json_loads(text, 0, NULL);
    assert_non_null(json);
    if (job_from_json(json, &job, &e))
        fail_msg("%s", e.text);
    json_decref(json);
    return job;
}

static struct job_record *add(struct fixture *f, const char *id, int count)
{
    struct job_record *record;
    struct err e = ERR_INIT;

    assert_int_equal(manager_job_register(&f->m, make_job(id, count, "raw_exec"), &record, &e), 0);
    return record;
}

static size_t count_allocs(const struct fixture *f, const char *id, enum desired_status desired)
{
    size_t n = 0;

    for (const struct alloc *a = f->m.allocs; a; a = a->next)
        n += strcmp(a->job->job->id, id) == 0 && a->desired == desired;
    return n;
}

static void test_versions(void **state)
{
    struct fixture *f = *state;
    struct job_record *first = add(f, "a", 2), *again = add(f, "a", 2), *second;
    struct err e = ERR_INIT;

    assert_ptr_equal(first, again);
    assert_int_equal(count_allocs(f, "a", DESIRED_RUN), 2);
    second = add(f, "a", 3);
    assert_int_equal(second->version, 1);
    assert_int_equal(second->create_index, 1);
    assert_true(second->modify_index > second->create_index);
    assert_int_equal(count_allocs(f, "a", DESIRED_RUN), 3);
    assert_int_equal(count_allocs(f, "a", DESIRED_STOP), 0);
    assert_int_equal(manager_job_deregister(&f->m, "a", false, &e), 0);
    assert_int_equal(count_allocs(f, "a", DESIRED_RUN), 0);
    assert_int_equal(manager_job_deregister(&f->m, "a", false, &e), 0);
    assert_int_equal(manager_job_deregister(&f->m, "b", false, &e), -ENOENT);
    assert_int_equal(add(f, "a", 3)->version,
                     2); /* stopped: the same definition is a new version */
    assert_ptr_equal(manager_find_job(&f->m, "a")->next, NULL);
}

static void test_all_is_there_after_a_crash(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    uint64_t index;
    char id[37];

    add(f, "a", 2);
    add(f, "a", 1);
    add(f, "b", 1);
    assert_int_equal(manager_job_deregister(&f->m, "b", false, &e), 0);
    strcpy(id, f->m.allocs->id);
    index = f->m.index;
    fixture_restart(f);
    assert_int_equal(f->m.store.n_damaged, 0);
    assert_int_equal(f->m.index, index);
    assert_int_equal(manager_find_job(&f->m, "a")->version, 1);
    assert_true(manager_find_job(&f->m, "b")->stop);
    assert_int_equal(count_allocs(f, "a", DESIRED_RUN), 1);
    assert_int_equal(count_allocs(f, "a", DESIRED_STOP), 1);
    assert_int_equal(count_allocs(f, "b", DESIRED_STOP), 1);
    assert_int_equal(manager_find_alloc(&f->m, id)->desired, DESIRED_RUN);
    assert_int_equal(manager_find_alloc(&f->m, id)->job->version, 1);
}

/* Those of the job "a", as "run" and "stop" of each index: "0r1r". */
static void assert_allocs(const struct fixture *f, const char *expected)
{
    char text[64] = "";

    for (const struct alloc *a = f->m.allocs; a; a = a->next)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%u%c", a->index,
                       a->desired == DESIRED_RUN ? 'r' : 's');
    assert_string_equal(text, expected);
}

static void test_a_stopped_allocation_is_made_up_for(void **state)
{
    struct fixture *f = *state;
    struct job_record *record = add(f, "a", 2);
    struct err e = ERR_INIT;

    assert_int_equal(manager_alloc_stop(&f->m, f->m.allocs, &e), 0);
    assert_allocs(f, "0s1r0r");
    assert_int_equal(manager_alloc_stop(&f->m, f->m.allocs, &e), 0); /* it is told already */
    assert_allocs(f, "0s1r0r");
    assert_true(f->m.allocs->next->next->create_index > record->create_index);
    fixture_restart(f);
    assert_allocs(f, "0s1r0r");
    assert_int_equal(manager_find_job(&f->m, "a")->version, 0);
    assert_int_equal(manager_job_deregister(&f->m, "a", false, &e), 0);
    assert_allocs(f, "0s1s0s");
}

static void end(struct alloc *alloc, bool failed)
{
    alloc->tasks[0].status.state = TASK_STATE_DEAD;
    alloc->tasks[0].status.failed = failed;
    alloc->client = alloc_judge(alloc->tasks, 1);
}

/* And what ended well stays. */
static void test_what_failed_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct job_record *record = add(f, "a", 3);
    struct err e = ERR_INIT;

    end(f->m.allocs, true);
    end(f->m.allocs->next, false);
    assert_int_equal(manager_alloc_stop(&f->m, f->m.allocs->next, &e), 0);
    assert_int_equal(manager_job_evaluate(&f->m, "a", false, &record, &e), 0);
    assert_allocs(f, "0r1r2r");
    assert_int_equal(manager_job_evaluate(&f->m, "a", true, &record, &e), 0);
    assert_int_equal(record->version, 0);
    assert_allocs(f, "0s1r2r0r");
    end(f->m.allocs->next->next->next, true);
    assert_ptr_equal(add(f, "a", 3), record); /* the same definition again */
    assert_allocs(f, "0s1r2r0s0r");
    fixture_restart(f);
    assert_allocs(f, "0s1r2r0s0r");
    assert_int_equal(manager_job_evaluate(&f->m, "b", true, &record, &e), -ENOENT);
    assert_int_equal(manager_job_deregister(&f->m, "a", false, &e), 0);
    assert_int_equal(manager_job_evaluate(&f->m, "a", true, &record, &e), 0);
    assert_allocs(f, "0s1s2s0s0s");
}

/* Jobs and allocations as they are listed, with their index of creation. */
static char *list_all(const struct fixture *f)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    for (const struct job_record *j = f->m.jobs; j; j = j->next)
        (void)fprintf(out, "%s %llu\n", j->job->id, (unsigned long long)j->create_index);
    for (const struct alloc *a = f->m.allocs; a; a = a->next)
        (void)fprintf(out, "%s %s %llu\n", a->job->job->id, a->id,
                      (unsigned long long)a->create_index);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void test_order_outlives_the_manager(void **state)
{
    static const char *const ids[] = {"z", "m", "q", "a", "y", "b"};
    struct fixture *f = *state;
    autofree char *before = NULL, *after = NULL;
    struct err e = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        add(f, ids[i], 11);
    add(f, "q", 2);
    assert_int_equal(manager_job_deregister(&f->m, "m", false, &e), 0);
    before = list_all(f);
    fixture_restart(f);
    after = list_all(f);
    assert_string_equal(before, after);
    add(f, "c", 1);
    assert_string_equal(manager_find_job(&f->m, "b")->next->job->id, "c");
}

static void test_a_registration_without_record_did_not_happen(void **state)
{
    struct fixture *f = *state;
    struct job *job = make_job("new", 2, "raw_exec");
    struct job_record *record, *old = add(f, "old", 1);
    int good = f->m.store.jobs_fd;
    struct err e = ERR_INIT;

    f->m.store.jobs_fd = open("/proc/self", O_RDONLY | O_DIRECTORY);
    assert_true(manager_job_register(&f->m, job, &record, &e) < 0);
    assert_non_null(strstr(e.text, "new"));
    job_free(job);
    job = make_job("old", 2, "raw_exec");
    assert_true(manager_job_register(&f->m, job, &record, &e) < 0);
    job_free(job);
    close(f->m.store.jobs_fd);
    f->m.store.jobs_fd = good;
    assert_null(manager_find_job(&f->m, "new"));
    assert_ptr_equal(manager_find_job(&f->m, "old"), old);
    assert_false(old->stop);
    assert_int_equal(count_allocs(f, "old", DESIRED_RUN), 1);
    assert_null(f->m.allocs->next);
}

/* Each version but the newest and the five before it is forgotten, by the next manager too. */
static void test_history(void **state)
{
    struct fixture *f = *state;
    struct job_record *record;
    struct err e = ERR_INIT;

    for (int i = 1; i <= 8; i++)
        add(f, "a", i);
    for (int twice = 0; twice < 2; twice++) {
        for (uint64_t version = 0; version < 8; version++) {
            record = manager_find_version(&f->m, "a", version);
            assert_true(version < 2 ? !record : record->version == version);
            assert_true(!record || record->job->groups[0].count == (int64_t)version + 1);
        }
        fixture_restart(f);
    }
    assert_int_equal(manager_job_revert(&f->m, "a", 1, &record, &e), -ENOENT);
    assert_int_equal(manager_job_revert(&f->m, "b", 1, &record, &e), -ENOENT);
    assert_int_equal(manager_job_revert(&f->m, "a", 7, &record, &e), -EINVAL);
    assert_int_equal(manager_job_revert(&f->m, "a", 2, &record, &e), 0);
    assert_int_equal(record->version, 8);
    assert_int_equal(count_allocs(f, "a", DESIRED_RUN), 3);
    assert_int_equal(count_allocs(f, "a", DESIRED_STOP), 5);
}

/* An enormous job is remembered in fewer versions. */
static void test_history_has_a_size(void **state)
{
    struct fixture *f = *state;
    struct job_record *record;
    struct err e = ERR_INIT;

    for (int i = 1; i <= 4; i++) {
        struct job *job = make_job("a", i, "raw_exec");
        char *large = calloc(1, 400 << 10);

        memset(large, 'x', (400 << 10) - 1);
        assert_int_equal(json_object_set_new(job->meta, "large", json_string(large)), 0);
        free(large);
        assert_int_equal(manager_job_register(&f->m, job, &record, &e), 0);
    }
    assert_null(manager_find_version(&f->m, "a", 0));
    assert_non_null(manager_find_version(&f->m, "a", 1));
}

static void test_a_type_cannot_change(void **state)
{
    struct fixture *f = *state;
    struct job *job = make_job("a", 1, "raw_exec");
    struct job_record *record;
    struct err e = ERR_INIT;

    add(f, "a", 1);
    job->type = JOB_TYPE_BATCH;
    assert_int_equal(manager_job_register(&f->m, job, &record, &e), -EINVAL);
    assert_non_null(strstr(e.text, "service"));
    assert_int_equal(manager_job_deregister(&f->m, "a", true, &e), 0);
    assert_int_equal(manager_job_register(&f->m, job, &record, &e), 0);
}

/* While something of it is left it is on record, and so is that it is to go. */
static void test_purge(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;

    add(f, "a", 1);
    add(f, "none", 0);
    assert_int_equal(manager_job_deregister(&f->m, "none", true, &e), 0);
    assert_null(manager_find_job(&f->m, "none"));
    assert_int_equal(manager_job_deregister(&f->m, "a", false, &e), 0);
    assert_int_equal(f->m.n_purged, 0);
    assert_int_equal(manager_job_deregister(&f->m, "a", true, &e), 0);
    assert_int_equal(f->m.n_purged, 1);
    fixture_restart(f);
    assert_null(manager_find_job(&f->m, "none"));
    assert_true(manager_find_job(&f->m, "a")->purge);
    assert_true(f->m.allocs->purge);
    assert_int_equal(f->m.n_purged, 1);
    assert_int_equal(add(f, "a", 1)->version, 1); /* it is another job */
    assert_null(manager_find_job(&f->m, "a")->older);
    assert_false(manager_find_job(&f->m, "a")->purge);
}

static void test_a_stop_without_record_happens(void **state)
{
    struct fixture *f = *state;
    struct job_record *old = add(f, "old", 1);
    int good = f->m.store.jobs_fd;
    struct err e = ERR_INIT;

    f->m.store.jobs_fd = open("/proc/self", O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 2; i++)
        assert_true(manager_job_deregister(&f->m, "old", false, &e) < 0);
    assert_true(old->stop);
    assert_int_equal(count_allocs(f, "old", DESIRED_STOP), 1);
    close(f->m.store.jobs_fd);
    f->m.store.jobs_fd = good;
    assert_int_equal(manager_job_deregister(&f->m, "old", false, &e), 0);
    fixture_restart(f);
    assert_true(manager_find_job(&f->m, "old")->stop);
}

static void test_drivers_that_cannot_run_are_refused(void **state)
{
    struct fixture *f = *state;
    struct job *job = make_job("a", 1, "raw_exec");
    struct job_record *record;
    struct err e = ERR_INIT;

    f->config.raw_exec_enabled = false;
    assert_int_equal(manager_job_register(&f->m, job, &record, &e), -EINVAL);
    assert_non_null(strstr(e.text, "enabled = true"));
    assert_non_null(strstr(e.text, "task \"t\""));
    job_free(job);
}

static void test_a_count_beyond_reason_is_refused(void **state)
{
    struct fixture *f = *state;
    struct job *job = make_job("a", 1, "raw_exec");
    struct job_record *record;
    struct err e = ERR_INIT;

    job->groups[0].count = 10001;
    assert_int_equal(manager_job_register(&f->m, job, &record, &e), -EINVAL);
    assert_non_null(strstr(e.text, "10000"));
    assert_null(f->m.allocs);
    job_free(job);
}

static void test_job_status(void **state)
{
    struct fixture *f = *state;
    struct job_record *record = add(f, "a", 1);
    struct err e = ERR_INIT;

    assert_string_equal(job_record_status(&f->m, record), "running");
    f->m.allocs->tasks[0].status.state = TASK_STATE_DEAD;
    assert_string_equal(job_record_status(&f->m, record), "dead");
    assert_true(jobs_active(&f->m));
    assert_int_equal(manager_job_deregister(&f->m, "a", false, &e), 0);
    assert_true(jobs_active(&f->m)); /* not tidied up yet */
    f->m.allocs->tidy = true;
    assert_false(jobs_active(&f->m));
}

static void drop_allocs(struct fixture *f)
{
    f->m.in_line = f->m.dirty = NULL;
    f->m.in_line_end = &f->m.in_line;
    for (struct alloc *a; (a = f->m.allocs);) {
        a->dirty = a->queued = false; /* as after its turn */
        alloc_unlink(a);
        alloc_free(a);
    }
}

/* Records of earlier releases hold such jobs. */
static void test_a_job_without_allocations(void **state)
{
    struct fixture *f = *state;

    add(f, "none", 0);
    add(f, "a", 1);
    drop_allocs(f);
    assert_string_equal(job_record_status(&f->m, manager_find_job(&f->m, "a")), "dead");
    assert_int_equal(add(f, "a", 1)->version, 1);
    assert_int_equal(count_allocs(f, "a", DESIRED_RUN), 1);
    assert_int_equal(add(f, "none", 0)->version, 0);
    drop_allocs(f);
    jobs_remove_empty(&f->m);
    assert_null(manager_find_job(&f->m, "a"));
    assert_string_equal(job_record_status(&f->m, manager_find_job(&f->m, "none")), "pending");
}

static void test_a_job_goes_with_its_last_allocation(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct alloc *a;

    add(f, "a", 1);
    a = f->m.allocs;
    assert_int_equal(manager_job_deregister(&f->m, "a", false, &e), 0);
    a->dirty = a->queued = false; /* as after its turn */
    f->m.in_line = NULL;
    assert_int_equal(jobs_save_or_remove(&f->m, "a", &e), 0);
    assert_non_null(manager_find_job(&f->m, "a"));
    alloc_unlink(a);
    alloc_free(a);
    assert_int_equal(jobs_save_or_remove(&f->m, "a", &e), 0);
    assert_null(manager_find_job(&f->m, "a"));
    assert_int_equal(faccessat(f->m.store.jobs_fd, "a", F_OK, 0), -1);
}

/* Changes a job's record by hand: its id, the driver of its task, the release it is of. */
struct forgery {
    struct fixture *f;
    const char *id, *driver, *release;
};

static int forge(void *arg, const json_t *json, struct err *e)
{
    const struct forgery *forgery = arg;
    json_t *copy = json_deep_copy(json);
    json_t *job = json_object_get(json_array_get(json_object_get(copy, "Versions"), 0), "Job");
    json_t *group = json_array_get(json_object_get(job, "TaskGroups"), 0);
    json_t *task = json_array_get(json_object_get(group, "Tasks"), 0);
    int r;

    (void)json_object_set_new(copy, "ID", json_string(forgery->id));
    (void)json_object_set_new(copy, "Release", json_string(forgery->release));
    (void)json_object_set_new(job, "ID", json_string(forgery->id));
    (void)json_object_set_new(task, "Driver", json_string(forgery->driver));
    r = store_write_job(&forgery->f->m.store, forgery->id, copy, e);
    json_decref(copy);
    return r;
}

static void test_an_allocation_is_of_one_job(void **state)
{
    struct fixture *f = *state;
    struct forgery forgery = {f, "b", "raw_exec", CLEAT_VERSION};
    struct err e = ERR_INIT;

    add(f, "a", 2);
    assert_int_equal(store_load_jobs(&f->m.store, forge, &forgery, &e), 0);
    fixture_restart(f);
    assert_non_null(manager_find_job(&f->m, "a"));
    assert_non_null(manager_find_job(&f->m, "b"));
    assert_int_equal(count_allocs(f, "a", DESIRED_RUN) + count_allocs(f, "b", DESIRED_RUN), 2);
    for (const struct alloc *a = f->m.allocs; a; a = a->next)
        assert_ptr_equal(manager_find_alloc(&f->m, a->id), a);
    assert_null(manager_find_alloc(&f->m, "no such"));
}

/* Beyond this release: set aside if it is its own, else not touched, and neither is any other. */
static void test_a_job_of_another_release(void **state)
{
    static const char *const releases[] = {"99.0.0", CLEAT_VERSION};
    struct fixture *f = *state;
    struct err e = ERR_INIT;

    add(f, "a", 1);
    for (size_t i = 0; i < 2; i++) {
        struct forgery forgery = {f, "a", "", releases[i]};
        bool other = i == 0;

        assert_int_equal(store_load_jobs(&f->m.store, forge, &forgery, &e), 0);
        fixture_close(f);
        fixture_open(f);
        assert_int_equal(jobs_load(&f->m, &e), other ? -ENOTSUP : 0);
        assert_int_equal(faccessat(f->m.store.jobs_fd, "a", F_OK, 0), other ? 0 : -1);
        assert_int_equal(f->m.store.n_damaged, !other);
        if (other)
            assert_non_null(strstr(e.text, "release 99.0.0"));
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_versions),
        TEST(test_all_is_there_after_a_crash),
        TEST(test_a_stopped_allocation_is_made_up_for),
        TEST(test_what_failed_is_replaced),
        TEST(test_order_outlives_the_manager),
        TEST(test_a_registration_without_record_did_not_happen),
        TEST(test_history),
        TEST(test_history_has_a_size),
        TEST(test_a_type_cannot_change),
        TEST(test_purge),
        TEST(test_a_stop_without_record_happens),
        TEST(test_drivers_that_cannot_run_are_refused),
        TEST(test_a_count_beyond_reason_is_refused),
        TEST(test_job_status),
        TEST(test_a_job_without_allocations),
        TEST(test_an_allocation_is_of_one_job),
        TEST(test_a_job_of_another_release),
        TEST(test_a_job_goes_with_its_last_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
