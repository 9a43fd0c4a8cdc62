/* SPDX-License-Identifier: MIT
 *
 * shared/text/yaml.h: what texts are as JSON, and values as YAML. What is written was written by
 * go-yaml 2.4 (templates) and go-cty-yaml 1.0 (HCL) for the same values.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/cleanup.h"
#include "shared/text/yaml.h"

static char *read_as(const char *text, enum yaml_as as)
{
    struct err e = ERR_INIT;
    json_t *json = NULL;
    char *shown;

    if (yaml_read(text, strlen(text), as, &json, &e) < 0)
        return strdup(e.text);
    shown = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(json);
    return shown;
}

static void test_read(void **state)
{
    static const char *const cases[][2] = {
        {"", "null"},
        {"a: 1\nb: [x, 'yes', yes, ~, ]\n", "{\"a\":1,\"b\":[\"x\",\"yes\",true,null]}"},
        {"- 0x1F\n- 0o17\n- -0x10\n- +1_000\n- 1.5\n- .5\n- 1e3\n- 1.\n- 0x\n- 1.2.3\n- '1'\n",
         "[31,15,-16,1000,1.5,0.5,1000.0,1.0,\"0x\",\"1.2.3\",\"1\"]"},
        {"- 9223372036854775807\n- -9223372036854775808\n- 9223372036854775808\n",
         "[9223372036854775807,-9223372036854775808,9.2233720368547758e18]"},
        {"- y\n- N\n- on\n- Off\n- True\n- tRUE\n- null\n- NULL\n- nULL\n-\n",
         "[true,false,true,false,true,\"tRUE\",null,null,\"nULL\",null]"},
        {"- 2001-1-2\n- 2001-01-02T03:04:05Z\n- 2001-01-02t03:04:05.678+01:30\n- 2001-01-02 3:4:5\n"
         "- 2001-02-29\n- 2001-01-02T25:00:00Z\n- 2001-01\n",
         "[\"2001-01-02T00:00:00Z\",\"2001-01-02T03:04:05Z\",\"2001-01-02T03:04:05+01:30\","
         "\"2001-01-02T03:04:05Z\",\"2001-02-29\",\"2001-01-02T25:00:00Z\",\"2001-01\"]"},
        {"a: &x {k: v, l: [1]}\nb: *x\nc: {<<: *x, k: w}\n",
         "{\"a\":{\"k\":\"v\",\"l\":[1]},\"b\":{\"k\":\"v\",\"l\":[1]},\"c\":{\"k\":\"w\",\"l\":[1]"
         "}}"},
        {"a: &x {k: 1}\nb: &y {k: 2, j: 3}\nc:\n  <<: [*x, *y]\n",
         "{\"a\":{\"k\":1},\"b\":{\"k\":2,\"j\":3},\"c\":{\"k\":1,\"j\":3}}"},
        {"a: |\n  x\n  y\nb: >-\n  x\n  y\n", "{\"a\":\"x\\ny\\n\",\"b\":\"x y\"}"},
        {"a: !!str 1\nb: ! 2\n1: x\n~: z\n", "{\"a\":\"1\",\"b\":\"2\",\"1\":\"x\",\"~\":\"z\"}"},
        {"--- 5\n...\n", "5"},
    };
    static const char *const wrong[][2] = {
        {"a: [", "line 2 column 1: "},
        {"a: b: c", "line 1 column 5: "},
        {"a: *no\n", "line 1 column 4: there is no anchor"},
        {"a: &x [*x]\n", "line 1 column 8: there is no anchor"},
        {"a\n---\nb\n", "line 2 column 1: there is a second document"},
        {"? [a]\n: b\n", "line 1 column 3: a key is a text"},
        {"a: !x 1\n", "line 1 column 4: this tag is not known"},
        {"a: .inf\n", "line 1 column 4: this number cannot be had"},
        {"<<: 1\n", "behind \"<<\" is a map"},
        {"a: \"\\0\"\n", "a text has a NUL"},
        {"\tx: 1\n", "line 1 column 1: "},
        {"a: \xff\n", "invalid"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        autofree char *shown = read_as(cases[i][0], YAML_AS_HCL);

        if (strcmp(shown, cases[i][1]) != 0)
            fail_msg("%s\nis %s\nnot %s", cases[i][0], shown, cases[i][1]);
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        autofree char *shown = read_as(wrong[i][0], YAML_AS_TEMPLATE);

        if (!strstr(shown, wrong[i][1]))
            fail_msg("%s\ngave %s", wrong[i][0], shown);
    }
}

static void test_octal(void **state)
{
    autofree char *hcl = read_as("[010, 0b11]", YAML_AS_HCL);
    autofree char *tmpl = read_as("[010, 0b11]", YAML_AS_TEMPLATE);

    (void)state;
    assert_string_equal(hcl, "[10,\"0b11\"]");
    assert_string_equal(tmpl, "[8,3]");
}

/* Aliases of aliases count as what they stand for; so does depth. */
static void test_limits(void **state)
{
    char text[4096] = "a0: &a0 [x]\n", deep[200];
    autofree char *shown = NULL, *nested = NULL;

    (void)state;
    for (int i = 1; i < 20; i++)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
                       "a%d: &a%d [*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1, i - 1);
    shown = read_as(text, YAML_AS_HCL);
    assert_non_null(strstr(shown, "more than 100000 values"));
    memset(deep, '[', sizeof(deep));
    deep[199] = '\0';
    nested = read_as(deep, YAML_AS_HCL);
    assert_non_null(strstr(nested, "nested deeper than 64"));
}

static void test_write(void **state)
{
    static const char *const cases[][3] = {
        {"{\"a\":[1,\"yes\",null,{\"b\":2.0}],\"c\":{\"d\":\"x\\ny\"}}",
         "a:\n- 1\n- \"yes\"\n- null\n- b: 2\nc:\n  d: |-\n    x\n    y\n",
         "\"a\":\n- 1\n- \"yes\"\n- null\n- \"b\": 2\n\"c\":\n  \"d\": |-\n    x\n    y\n"},
        {"[1e21,1234567.5,0.00001,true,\"\",\"~\",\"010\",\"1:30\",\"<<\",\"2020-01-02\","
         "\"2020-01-02T03:04:05Z\",\"a: b\",\"- a\",\"abc\"]",
         "- 1e+21\n- 1.2345675e+06\n- 1e-05\n- true\n- \"\"\n- \"~\"\n- \"010\"\n- \"1:30\"\n"
         "- \"<<\"\n- \"2020-01-02\"\n- \"2020-01-02T03:04:05Z\"\n- 'a: b'\n- '- a'\n- abc\n",
         "- 1000000000000000000000\n- 1234567.5\n- 0.00001\n- true\n- \"\"\n- \"~\"\n- \"010\"\n"
         "- \"1:30\"\n- \"<<\"\n- \"2020-01-02\"\n- \"2020-01-02T03:04:05Z\"\n- \"a: b\"\n"
         "- \"- a\"\n- \"abc\"\n"},
        {"{\"a10\":1,\"a9\":2,\"B\":3,\"_\":4,\"a\":5,\"a09\":6}",
         "_: 4\nB: 3\na: 5\na9: 2\na09: 6\na10: 1\n",
         "\"B\": 3\n\"_\": 4\n\"a\": 5\n\"a09\": 6\n\"a10\": 1\n\"a9\": 2\n"},
        {"{\"a\":\"\\n\"}", "a: |2+\n\n", NULL},
        {"[[],{}]", "- []\n- {}\n", "- []\n- {}\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_t *json = json_loads(cases[i][0], JSON_DECODE_ANY, NULL);

        for (int as = YAML_AS_HCL; as <= YAML_AS_TEMPLATE; as++) {
            const char *expected = cases[i][as == YAML_AS_TEMPLATE ? 1 : 2];
            autofree char *text = NULL;
            size_t size;

            assert_int_equal(yaml_write(json, (enum yaml_as)as, &text, &size), 0);
            if (expected && strcmp(text, expected) != 0)
                fail_msg("%s is\n%snot\n%s", cases[i][0], text, expected);
            assert_int_equal(size, strlen(text));
        }
        json_decref(json);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_octal),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
