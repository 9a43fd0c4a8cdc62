/* SPDX-License-Identifier: MIT
 *
 * Every allocation on the way from text to job and back fails once: each time the answer is
 * -ENOMEM, nothing is returned, and nothing leaks (the sanitizer build sees that). The allocators
 * are wrapped by the linker; jansson takes its own through its hook.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/job/driver_config.h"
#include "shared/job/job.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *text);

static long countdown; /* 0: allocations succeed; n: the n-th one fails */
static bool failed;

static bool fails(void)
{
    if (countdown == 0 || --countdown > 0)
        return false;
    failed = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
    return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

static const char text[] =
    "job \"j\" {\n  datacenters = [\"a\", \"b\"]\n  meta { a = 1 }\n  type = \"batch\"\n"
    "  periodic {\n crons = [\"0 0 * * *\"]\n time_zone = \"UTC\" }\n"
    "  parameterized { meta_required = [\"a\"] }\n"
    "  constraint {\n attribute = \"${attr.a}\"\n operator = \">\"\n version = \"1.2\" }\n"
    "  group \"g\" {\n    restart { attempts = 1 }\n"
    "    volume \"v\" {\n type = \"host\"\n source = \"s\" }\n"
    "    task \"t\" {\n      driver = \"exec\"\n"
    "      volume_mount {\n volume = \"v\"\n destination = \"/v\" }\n"
    "      config {\n        command = \"c\"\n        args = \"x 'y z'\"\n      }\n"
    "      env = { A = 1, B = \"${x}\" }\n    }\n  }\n"
    "  task \"u\" {\n    driver = \"raw_exec\"\n    config = { command = \"c\", args = [1, 2] }\n"
    "  }\n  task \"v\" {\n    driver = \"exec\"\n    config { command = \"c\" }\n  }\n}\n";

static int read_hcl(struct job **ret, struct err *e)
{
    struct hcl_file *file = NULL;
    int r = hcl_parse("t.hcl", text, sizeof(text) - 1, &file, e);

    if (r == 0)
        r = job_from_hcl(file, ret, e);
    (void)hcl_file_free(file);
    return r;
}

static int read_config(const struct job *job, struct err *e)
{
    struct driver_config config = {0};
    int r = driver_config_read(&job->groups[0].tasks[0], NULL, &config, e);

    driver_config_deinit(&config);
    return r;
}

/* Lets the n-th allocation of the next step fail. */
static void fail_nth(long n)
{
    countdown = n;
    failed = false;
}

/* Checks the outcome of a step. False: it had fewer allocations than that. */
static bool was_refused(int r, const void *result, const struct err *e)
{
    countdown = 0;
    if (!failed) {
        assert_int_equal(r, 0);
        return false;
    }
    if (r != -ENOMEM || e->code != -ENOMEM || !e->text[0] || result)
        fail_msg("%d: %s", r, e->text);
    return true;
}

static void test_failures(void **state)
{
    struct job *job = NULL, *again = NULL;
    json_t *json = NULL;
    struct err e = ERR_INIT;
    int r;

    (void)state;
    for (long n = 1;; n++) {
        fail_nth(n);
        r = read_hcl(&job, &e);
        if (!was_refused(r, job, &e))
            break;
    }
    for (long n = 1;; n++) {
        fail_nth(n);
        json = job_to_json(job);
        if (!was_refused(json ? 0 : -ENOMEM, json, &e))
            break;
    }
    for (long n = 1;; n++) {
        fail_nth(n);
        r = job_from_json(json, &again, &e);
        if (!was_refused(r, again, &e))
            break;
    }
    for (long n = 1;; n++) {
        fail_nth(n);
        if (!was_refused(read_config(job, &e), NULL, &e))
            break;
    }
    json_decref(json);
    (void)job_free(again);
    (void)job_free(job);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_failures)};

    json_set_alloc_funcs(__wrap_malloc, free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
