/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/cleanup.h"
#include "shared/hcl/hcl.h"
#include "shared/job/job.h"

#define SECOND 1000000000LL

static struct job *read_job(const char *type, const char *body)
{
    struct err e = ERR_INIT;
    struct hcl_file *file = NULL;
    struct job *job = NULL;
    char text[1024];

    (void)snprintf(text, sizeof(text),
                   "job \"j\" {\ntype = \"%s\"\n%s\ntask \"t\" {\ndriver = \"exec\"\n"
                   "config { command = \"c\" }\ndispatch_payload { file = \"in/x\" }\n}\n}",
                   type, body);
    if (hcl_parse("t.hcl", text, strlen(text), &file, &e) || job_from_hcl(file, &job, &e))
        fail_msg("%s\n%s", text, e.text);
    hcl_file_free(file);
    return job;
}

static void test_restart_policy_of_each_type(void **state)
{
    static const struct {
        const char *type;
        bool batch, system;
        int64_t attempts, interval_s;
    } rows[] = {
        {"service", false, false, 2, 1800},
        {"system", false, true, 2, 1800},
        {"batch", true, false, 3, 86400},
        {"sysbatch", true, true, 3, 86400},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct job *job = read_job(rows[i].type, "");
        const struct job_restart *restart = &job->groups[0].tasks[0].restart;

        assert_string_equal(job_type_name(job->type), rows[i].type);
        assert_int_equal(job_type_is_batch(job->type), rows[i].batch);
        assert_int_equal(job_type_is_system(job->type), rows[i].system);
        assert_int_equal(restart->attempts, rows[i].attempts);
        assert_int_equal(restart->interval_ns, rows[i].interval_s * SECOND);
        assert_int_equal(restart->delay_ns, 15 * SECOND);
        assert_string_equal(restart->mode, "fail");
        job_free(job);
    }
}

static void test_defaults_and_json(void **state)
{
    struct job *plain = read_job("batch", ""), *periodic, *again = NULL;
    json_t *json = job_to_json(plain), *block;
    struct err e = ERR_INIT;

    (void)state;
    assert_true(json_is_null(json_object_get(json, "Periodic")));
    assert_true(json_is_null(json_object_get(json, "ParameterizedJob")));
    assert_null(json_object_get(json, "ParentID")); /* an earlier release reads the job too */
    json_decref(json);
    assert_false(job_is_parent(plain));
    assert_string_equal(plain->groups[0].tasks[0].dispatch_payload.file, "in/x");
    job_free(plain);

    periodic = read_job("batch", "periodic { crons = [\"@daily\", \"@hourly\"] }");
    json = job_to_json(periodic);
    block = json_object_get(json, "Periodic");
    assert_true(json_is_true(json_object_get(block, "Enabled")));
    assert_true(json_is_false(json_object_get(block, "ProhibitOverlap")));
    assert_string_equal(json_string_value(json_object_get(block, "SpecType")), "cron");
    assert_string_equal(json_string_value(json_object_get(block, "TimeZone")), "UTC");
    assert_int_equal(json_array_size(json_object_get(block, "Specs")), 2);
    assert_int_equal(job_from_json(json, &again, &e), 0);
    assert_true(job_is_periodic(again) && job_is_parent(again) && !job_is_parameterized(again));
    assert_int_equal(job_next_launch(again, 1700000000), 1700002800); /* 23:00 */
    json_decref(json);
    job_free(again);
    job_free(periodic);
}

static void test_kinds(void **state)
{
    struct job *job = read_job("sysbatch", "parameterized { meta_required = [\"a\"] }\n"
                                           "periodic { cron = \"@daily\" }");

    (void)state;
    assert_int_equal(job->parameterized.payload, JOB_PAYLOAD_OPTIONAL);
    assert_true(job_is_parameterized(job) && !job_is_periodic(job));
    assert_int_equal(job_next_launch(job, 0), -1);
    job->dispatched = true; /* what is dispatched of it is periodic */
    assert_true(!job_is_parameterized(job) && job_is_periodic(job));
    assert_int_equal(job_next_launch(job, 0), 86400);
    job->periodic.enabled = false;
    assert_true(job_is_periodic(job));
    assert_int_equal(job_next_launch(job, 0), -1);
    job_free(job);
}

/* The program's own time zone is left as it was. */
static void test_time_zones(void **state)
{
    struct job *job = read_job("batch", "periodic {\n cron = \"0 12 * * *\"\n"
                                        "time_zone = \"Asia/Tokyo\" }");
    time_t noon = 1700000000;
    struct tm before, after;

    (void)state;
    assert_int_equal(setenv("TZ", "America/New_York", 1), 0);
    tzset();
    assert_non_null(localtime_r(&noon, &before));
    assert_int_equal(job_next_launch(job, 1700000000), 1700017200); /* 03:00 UTC */
    assert_string_equal(getenv("TZ"), "America/New_York");
    assert_non_null(localtime_r(&noon, &after));
    assert_int_equal(before.tm_hour, after.tm_hour);
    assert_int_equal(unsetenv("TZ"), 0);
    assert_int_equal(job_next_launch(job, 1700000000), 1700017200);
    assert_null(getenv("TZ"));
    job_free(job);
}

static void test_payload(void **state)
{
    unsigned char *data = NULL;
    char *large = malloc(LAUNCH_PAYLOAD_MAX * 2 + 1);
    size_t size = 1;

    (void)state;
    assert_int_equal(launch_payload("", &data, &size), 0);
    assert_int_equal(size, 0);
    free(data);
    assert_int_equal(launch_payload("AAH/cGF5", &data, &size), 0);
    assert_int_equal(size, 6);
    assert_memory_equal(data, "\0\1\xffpay", 6);
    free(data);
    assert_int_equal(launch_payload("AAH_", &data, &size), -EINVAL);
    assert_int_equal(launch_payload("A", &data, &size), -EINVAL);
    assert_non_null(large);
    memset(large, 'A', LAUNCH_PAYLOAD_MAX * 2);
    strcpy(large + (LAUNCH_PAYLOAD_MAX - 1) / 3 * 4, "AA==");
    assert_int_equal(launch_payload(large, &data, &size), 0);
    assert_int_equal(size, LAUNCH_PAYLOAD_MAX);
    free(data);
    strcpy(large + (LAUNCH_PAYLOAD_MAX - 1) / 3 * 4, "AAA=");
    assert_int_equal(launch_payload(large, &data, &size), -EINVAL);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restart_policy_of_each_type),
        cmocka_unit_test(test_defaults_and_json),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_time_zones),
        cmocka_unit_test(test_payload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
