/* SPDX-License-Identifier: MIT
 *
 * Routes and parameters: pure, no server.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "manager/api/request.h"
#include "manager/api/router.h"
#include "shared/cleanup.h"

static void on_list(struct request *r)
{
    (void)r;
}

static void on_read(struct request *r)
{
    (void)r;
}

static void on_allocs(struct request *r)
{
    (void)r;
}

static void on_plan(struct request *r)
{
    (void)r;
}

static const struct route routes[] = {
    {HTTP_GET, "/v1/jobs", NULL, false, on_list},
    {HTTP_GET, "/v1/job/", "/allocations", true, on_allocs},
    {HTTP_ANY, "/v1/job/", "/plan", true, on_plan},
    {HTTP_GET, "/v1/job/", "", true, on_read},
    {HTTP_PUT, "/v1/job/", "", true, on_read},
    {HTTP_GET, "/v1/allocation/", "", false, on_read},
};

static void test_routes(void **state)
{
    static const struct {
        enum http_method method;
        const char *path;
        void (*handle)(struct request *r);
        const char *arg;
        int status;
    } cases[] = {
        {HTTP_GET, "/v1/jobs", on_list, NULL, 0},
        {HTTP_GET, "/v1/jobs/", NULL, NULL, 404},
        {HTTP_GET, "/v1/job/web", on_read, "web", 0},
        {HTTP_GET, "/v1/job/web/allocations", on_allocs, "web", 0},
        {HTTP_GET, "/v1/job/a/b/allocations", on_allocs, "a/b", 0},
        {HTTP_GET, "/v1/job/", NULL, NULL, 404},
        {HTTP_GET, "/v1/job//allocations", on_read, "/allocations", 0},
        {HTTP_PUT, "/v1/job/a/b", on_read, "a/b", 0},
        {HTTP_PUT, "/v1/job/web/allocations", NULL, NULL, 405}, /* no job "web/allocations" */
        {HTTP_PUT, "/v1/job/a/b/plan", on_plan, "a/b", 0},
        {HTTP_DELETE, "/v1/job/web/plan", on_plan, "web", 0},
        {HTTP_GET, "/v1/job/plan", on_read, "plan", 0},
        {HTTP_GET, "/v1/allocation/a/b", NULL, NULL, 404},
        {HTTP_PUT, "/v1/jobs", NULL, NULL, 405},
        {HTTP_GET, "", NULL, NULL, 404},
        {HTTP_GET, "/", NULL, NULL, 404},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct request r = {.method = cases[i].method, .path = strdup(cases[i].path)};
        const struct route *route = router_find(routes, ARRAY_LEN(routes), &r);

        assert_int_equal(r.status, cases[i].status);
        assert_true((route ? route->handle : NULL) == cases[i].handle);
        if (cases[i].arg)
            assert_string_equal(r.arg, cases[i].arg);
        else
            assert_null(r.arg);
        request_deinit(&r);
    }
}

static struct request with_param(const char *name, const char *value)
{
    struct request r = {.n_params = 1};

    r.params[0] = (struct request_param){.name = strdup(name), .value = strdup(value)};
    return r;
}

static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t value;
    } cases[] = {{"0", true, 0},
                 {"42", true, 42},
                 {"", true, 7},
                 {"-1", false, 0},
                 {"+1", false, 0},
                 {" 1", false, 0},
                 {"1x", false, 0},
                 {"x", false, 0},
                 {"9223372036854775807", true, INT64_MAX},
                 {"9223372036854775808", false, 0},
                 {"99999999999999999999999", false, 0}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct request r = with_param("offset", cases[i].text);
        uint64_t value = 0;

        assert_int_equal(request_param_u64(&r, "offset", 7, &value), cases[i].ok);
        assert_int_equal(value, cases[i].value);
        assert_int_equal(r.status, cases[i].ok ? 0 : 400);
        request_deinit(&r);
    }
}

static void test_block(void **state)
{
    struct request r = with_param("index", "5");

    (void)state;
    assert_true(request_block(&r, 5));
    assert_true(r.blocked);
    assert_false(request_block(&r, 6));
    assert_int_equal(r.index, 6);
    r.timed_out = true;
    assert_false(request_block(&r, 5));
    request_deinit(&r);

    r = with_param("index", "soon");
    assert_true(request_block(&r, 5));
    assert_false(r.blocked);
    assert_int_equal(r.status, 400);
    request_deinit(&r);

    r = with_param("wait", "soon");
    assert_true(request_block(&r, 5));
    assert_int_equal(r.status, 400);
    request_deinit(&r);
}

static void test_json_body(void **state)
{
    struct request r = {.body = strdup("{\"a\":\n ]"), .body_size = 8};

    (void)state;
    assert_null(request_json(&r));
    assert_int_equal(r.status, 400);
    assert_non_null(strstr(r.out, "line 2"));
    request_deinit(&r);
    r = (struct request){.body = strdup("[1]"), .body_size = 3};
    assert_null(request_json(&r));
    assert_int_equal(r.status, 400);
    request_deinit(&r);
    r = (struct request){0};
    assert_null(request_json(&r));
    assert_int_equal(r.status, 400);
    request_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_block),
        cmocka_unit_test(test_json_body),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
