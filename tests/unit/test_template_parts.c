/* SPDX-License-Identifier: MIT
 *
 * What cleat-template reads beside templates: rendered environments, answers of Consul and Vault.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "manager/template/decode.h"
#include "manager/template/envfile.h"
#include "shared/cleanup.h"

static void check_json(json_t *json, const char *expected)
{
    autofree char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);

    assert_string_equal(text, expected);
    json_decref(json);
}

static void test_env(void **state)
{
    static const struct {
        const char *text;
        const char *result;
    } cases[] = {
        {"", "{}"},
        {"A=1\nB=two words\n", "{\"A\":\"1\",\"B\":\"two words\"}"},
        {"# c\n\n  A = 1  \n", "{\"A\":\"1\"}"},
        {"export A=1", "{\"A\":\"1\"}"},
        {"A=\"x\\ny \\\" \\u00e9\" # c", "{\"A\":\"x\\ny \\\" \u00e9\"}"},
        {"A='x \\n \"y\"'", "{\"A\":\"x \\\\n \\\"y\\\"\"}"},
        {"A=x#y # z", "{\"A\":\"x#y\"}"},
        {"A=\nB=\"\"\nC=b=c", "{\"A\":\"\",\"B\":\"\",\"C\":\"b=c\"}"},
        {"A=1\r\nA=2\r\n", "{\"A\":\"2\"}"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        json_t *env = NULL;

        if (envfile_parse(cases[i].text, strlen(cases[i].text), &env, &e))
            fail_msg("%s: %s", cases[i].text, e.text);
        check_json(env, cases[i].result);
    }
}

static void test_bad_env(void **state)
{
    static const struct {
        const char *text;
        const char *words;
    } cases[] = {
        {"A=1\nB", "line 2 of the rendered environment is not of the form"},
        {"=1", "line 1"},
        {"A B=1", "white space in its name"},
        {"A=\"x", "not quoted as it should be"},
        {"A='x", "not quoted as it should be"},
        {"A=\"x\" y", "text behind the quotes"},
        {"A=\"\\u0000\"", "not quoted as it should be"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        json_t *env = NULL;

        assert_int_equal(envfile_parse(cases[i].text, strlen(cases[i].text), &env, &e), -EINVAL);
        if (!strstr(e.text, cases[i].words))
            fail_msg("%s: %s", cases[i].text, e.text);
    }
    assert_int_equal(envfile_parse("A=1\0B", 5, &(json_t *){NULL}, &(struct err){0}), -EINVAL);
}

static void test_pairs(void **state)
{
    static const char body[] = "[{\"Key\":\"app/a\",\"Value\":\"aGk=\",\"CreateIndex\":1},"
                               "{\"Key\":\"app/d/\",\"Value\":null}]";
    struct err e = ERR_INIT;
    json_t *list = NULL;

    (void)state;
    assert_int_equal(decode_pairs(body, strlen(body), "app@dc1", &list, &e), 0);
    check_json(list, "[{\"CreateIndex\":1,\"Flags\":null,\"Key\":\"a\",\"LockIndex\":null,"
                     "\"ModifyIndex\":null,\"Path\":\"app/a\",\"Session\":null,\"Value\":\"hi\"},"
                     "{\"CreateIndex\":null,\"Flags\":null,\"Key\":\"d/\",\"LockIndex\":null,"
                     "\"ModifyIndex\":null,\"Path\":\"app/d/\",\"Session\":null,\"Value\":\"\"}]");
    assert_int_equal(decode_pairs("{}", 2, "a", &list, &e), -EPROTO);
    assert_int_equal(decode_pairs("[{\"Key\":\"a\",\"Value\":\"*\"}]", 25, "a", &list, &e),
                     -EPROTO);
}

static void test_secret(void **state)
{
    static const char there[] =
        "{\"data\":{\"data\":{\"k\":1},\"metadata\":{\"deletion_time\":\"\"}}}";
    static const char deleted[] =
        "{\"data\":{\"data\":null,\"metadata\":{\"deletion_time\":\"2026-01-01T00:00:00Z\"}}}";
    struct err e = ERR_INIT;
    json_t *secret = NULL;

    (void)state;
    assert_int_equal(decode_secret(there, strlen(there), &secret, &e), 0);
    check_json(secret, "{\"Data\":{\"data\":{\"k\":1},\"metadata\":{\"deletion_time\":\"\"}},"
                       "\"LeaseDuration\":null,\"LeaseID\":null,\"Renewable\":null,"
                       "\"RequestID\":\"\"}");
    assert_int_equal(decode_secret(deleted, strlen(deleted), &secret, &e), 0);
    assert_null(secret);
    assert_int_equal(decode_secret("[]", 2, &secret, &e), -EPROTO);
}

static void test_mount(void **state)
{
    static const char v2[] = "{\"data\":{\"path\":\"secret/\",\"options\":{\"version\":\"2\"}}}";
    static const char v1[] = "{\"data\":{\"path\":\"kv/\",\"options\":null}}";
    static const struct {
        const char *body;
        const char *path;
        const char *query;
        bool list;
        const char *result;
    } cases[] = {
        {v2, "secret/a/b", "", false, "/v1/secret/data/a/b"},
        {v2, "secret/a b", "?version=1", false, "/v1/secret/data/a%20b?version=1"},
        {v2, "secret/data/a", "", false, "/v1/secret/data/a"},
        {v2, "secret/", "", true, "/v1/secret/metadata/?list=true"},
        {v2, "secret", "", true, "/v1/secret/metadata/?list=true"},
        {v2, "secrets/x", "", false, "/v1/secrets/x"},
        {v1, "kv/a", "", false, "/v1/kv/a"},
        {NULL, "any/a", "", true, "/v1/any/a?list=true"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        autofree char *path =
            decode_mount(cases[i].body, cases[i].path, cases[i].query, cases[i].list);

        assert_string_equal(path, cases[i].result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_env),    cmocka_unit_test(test_bad_env), cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_secret), cmocka_unit_test(test_mount),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
