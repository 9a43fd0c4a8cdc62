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

#include "shared/cleanup.h"
#include "shared/hcl/hcl.h"
#include "shared/job/job.h"
#include "shared/job/version.h"

static void test_versions(void **state)
{
    static const struct {
        const char *version, *demands;
        int lenient, semver; /* whether it is met; -1: that is no demand */
    } rows[] = {
        {"1.2.3", "~> 1.0", 1, -1},
        {"2.0.1", "~> 1.0", 0, -1},
        {"1", "~> 1.0", 1, -1},
        {"1.2.9", "~> 1.2.3", 1, -1},
        {"1.2.2", "~> 1.2.3", 0, -1},
        {"1.3.0", "~> 1.2.3", 0, -1},
        {"9", "~> 1", 1, -1},
        {"1.2.3-beta", "~> 1.2", 0, -1},
        {"1.2.3", "~> 1.2.3-beta", 0, -1},
        {"1.2.3-rc1", "~> 1.2.3-beta", 1, -1},
        {"1.2.3", ">= 1.0, < 1.4", 1, 1},
        {"1.4", ">= 1.0, < 1.4", 0, 0},
        {"v1.2", "1.2.0", 1, 1},
        {"1.2", "=v1.2.0.0", 1, 1},
        {"1.2.0.1", "> 1.2", 1, 1},
        {"1.2", "!= 1.2", 0, 0},
        {"1.10", "> 1.9", 1, 1},
        {"18446744073709551616", "> 1", 0, 0},
        {"1.2.x", "> 1", 0, 0},
        {"", "> 1", 0, 0},
        {"linux", "!= 1", 0, 0},
        /* pre-releases */
        {"1.3.0-beta1", ">= 0.6.1", 0, 1},
        {"1.7.0-alpha1", ">= 1.6.0-beta1", 0, 1},
        {"1.7.0-beta", ">= 1.7.0", 0, 0},
        {"1.7.0", ">= 1.7.0-dev", 1, 1},
        {"1.7.0-beta.1", ">= 1.7.0-a", 1, 1},
        {"1.3.0-beta1+ent", "= 1.3.0-beta1", 1, 1},
        {"1.3.0-rc.10", "> 1.3.0-rc.9", 1, 1},
        {"1.3.0-rc.x", "> 1.3.0-rc.9", 1, 1},
        {"1.3.0-rc", "< 1.3.0-rc.1", 1, 1},
        {"1.3.0-5", "< 1.3.0-a", 1, 1},
        {"1.2beta", "= 1.2-beta", 1, 1},
        {"1.2", "< 1.2beta", 0, -1},
        /* none */
        {"1", "", -1, -1},
        {"1", ">", -1, -1},
        {"1", "> 1,", -1, -1},
        {"1", "=> 1", -1, -1},
        {"1", "> 1.", -1, -1},
        {"1", "> 1-", -1, -1},
        {"1", "> 1+", -1, -1},
        {"1", "> 1.2 3", -1, -1},
        {"1", "> 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0", -1, -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const int expected[] = {rows[i].lenient, rows[i].semver};

        for (enum version_rules rules = VERSION_LENIENT; rules <= VERSION_SEMVER; rules++) {
            int got = version_demands_valid(rows[i].demands, rules)
                          ? version_meets(rows[i].version, rows[i].demands, rules)
                          : -1;

            if (got != expected[rules])
                fail_msg("\"%s\" and \"%s\" (%d): %d", rows[i].version, rows[i].demands, rules,
                         got);
        }
    }
}

static int read_block(const char *block, struct job **ret_job, struct err *e)
{
    struct hcl_file *file = NULL;
    char text[1024];
    int r;

    (void)snprintf(text, sizeof(text),
                   "job \"j\" {\n%s\ntask \"t\" {\ndriver = \"exec\"\nconfig { command = \"c\" }\n}"
                   "\n}",
                   block);
    r = hcl_parse("t.hcl", text, strlen(text), &file, e);
    if (!r)
        r = job_from_hcl(file, ret_job, e);
    hcl_file_free(file);
    return r;
}

static void test_operators(void **state)
{
    static const struct {
        const char *op, *left, *right;
        bool met;
    } rows[] = {
        {"=", "a", "a", true},
        {"==", "a", "b", false},
        {"is", "a", "a", true},
        {"is", NULL, "a", false},
        {"!=", "a", "b", true},
        {"not", "a", "a", false},
        {"not", NULL, "a", true},
        {"<", "9", "10", true},
        {"<", "9.5", "10", true},
        {"<", "9x", "10", false}, /* texts */
        {"<", "a", "b", true},
        {"<", NULL, "b", false},
        {"<=", "10", "10.0", true},
        {"<=", "-1", "-2", false},
        {">", "18446744073709551616", "3", true},
        {">", "b", "a", true},
        {">=", "1e3", "1000", true},
        {">=", "nan", "inf", true}, /* no numbers */
        {"regexp", "linux", "^lin", true},
        {"regexp", "linux", "^x", false},
        {"regexp", "Linux", "(?i)^LINUX$", true},
        {"regexp", "a-12", "[a-z]-\\d+?$", true},
        {"regexp", "linux\n", "^linux$", false},
        {"regexp", "\xff", "^\\d", false},
        {"set_contains", "a, b,c", "c,a", true},
        {"set_contains", "a,b", "a,d", false},
        {"set_contains_all", "a,b", " b ", true},
        {"set_contains_any", "a,b", "x,b", true},
        {"set_contains_any", "a,b", "x,ab", false},
        {"set_contains", "", "a", false},
        {"version", "1.2.3", ">= 1.2", true},
        {"version", "1.3.0-beta1", ">= 0.6.1", false},
        {"semver", "1.3.0-beta1", ">= 0.6.1", true},
        {"is_set", "", "", true},
        {"is_set", NULL, "", false},
        {"is_not_set", NULL, "", true},
        {"is_not_set", "a", "", false},
        {"distinct_hosts", "", "true", true},
        {"distinct_property", "a", "1", true},
        {"distinct_property", NULL, "1", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct job_constraint c = {.op = (char *)rows[i].op, .right = (char *)rows[i].right};

        if (constraint_met(&c, rows[i].left, rows[i].right, NULL) != rows[i].met)
            fail_msg("%s %s %s", rows[i].left, rows[i].op, rows[i].right);
    }
}

/* A bad pattern takes a bounded time, and that is said. */
static void test_patterns_that_backtrack(void **state)
{
    struct job_constraint c = {.op = (char *)"regexp",
                               .right = (char *)"^(([a-z])+.)+[A-Z]([a-z])+$"};
    struct err e = ERR_INIT;
    clock_t begin = clock();
    char text[2048];

    (void)state;
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(constraint_met(&c, text, c.right, &e), -ETIME);
    assert_non_null(strstr(e.text, "takes too long"));
    assert_true(clock() - begin < CLOCKS_PER_SEC / 2);
    assert_int_equal(constraint_met(&c, text, "a(b", &e), -EINVAL);
    assert_non_null(strstr(e.text, "wrong near byte 4"));
}

static void test_short_forms(void **state)
{
    static const struct {
        const char *block, *left, *op, *right;
        int limit;
    } rows[] = {
        {"attribute = \"${attr.a}\"\nvalue = \"b\"", "${attr.a}", "=", "b", -1},
        {"attribute = \"${attr.a}\"\noperator = \"!=\"\nvalue = 7", "${attr.a}", "!=", "7", -1},
        {"attribute = \"${attr.a}\"\nversion = \">= 1\"", "${attr.a}", "version", ">= 1", -1},
        {"attribute = \"${attr.a}\"\noperator = \">\"\nversion = \"1.2\"", "${attr.a}", "version",
         "> 1.2", -1},
        {"attribute = \"${attr.a}\"\nsemver = \"1.2\"", "${attr.a}", "semver", "1.2", -1},
        {"attribute = \"${meta.a}\"\nregexp = \"x+\"", "${meta.a}", "regexp", "x+", -1},
        {"attribute = \"${meta.a}\"\nset_contains = \"x,y\"", "${meta.a}", "set_contains", "x,y",
         -1},
        {"attribute = \"${meta.a}\"\nset_contains_any = \"x\"", "${meta.a}", "set_contains_any",
         "x", -1},
        {"attribute = \"${meta.a}\"\noperator = \"is_set\"", "${meta.a}", "is_set", "", -1},
        {"distinct_hosts = true", "", "distinct_hosts", "true", 1},
        {"distinct_hosts = false", "", "distinct_hosts", "false", -1},
        {"operator = \"distinct_hosts\"", "", "distinct_hosts", "", 1},
        {"distinct_property = \"${meta.rack}\"", "${meta.rack}", "distinct_property", "", 1},
        {"distinct_property = \"${meta.rack}\"\nvalue = 3", "${meta.rack}", "distinct_property",
         "3", 3},
        {"attribute = \"${env[\"X\"]}\"\nvalue = \"${node.unique.name}\"", "${env[\"X\"]}", "=",
         "${node.unique.name}", -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char block[256];
        struct err e = ERR_INIT;
        struct job *job = NULL, *again = NULL;
        json_t *json;

        (void)snprintf(block, sizeof(block), "constraint {\n%s\n}", rows[i].block);
        if (read_block(block, &job, &e))
            fail_msg("%s\n%s", rows[i].block, e.text);
        assert_int_equal(job->n_constraints, 1);
        json = job_to_json(job);
        if (job_from_json(json, &again, &e)) /* as Nomad's API has it */
            fail_msg("%s", e.text);
        for (struct job *read = job; read; read = read == job ? again : NULL) {
            const struct job_constraint *c = &read->constraints[0];

            assert_string_equal(c->left, rows[i].left);
            assert_string_equal(c->op, rows[i].op);
            assert_string_equal(c->right, rows[i].right);
            assert_int_equal(constraint_limit(c), rows[i].limit);
        }
        json_decref(json);
        job_free(again);
        job_free(job);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *block, *text;
    } rows[] = {
        {"constraint { }",
         "t.hcl:2:1: a constraint with the operator \"=\" needs an \"attribute\""},
        {"constraint { attribute = \"${attr.a}\" }", "the operator \"=\" needs a \"value\""},
        {"constraint {\n attribute = \"${attr.a}\"\noperator = \"~\"\nvalue = 1 }",
         "there is no operator \"~\""},
        {"constraint {\n attribute = \"$attr.a\"\nvalue = 1 }", "cannot speak of \"$attr.a\""},
        {"constraint {\n attribute = \"${attr}\"\nvalue = 1 }", "cannot speak of \"${attr}\""},
        {"constraint {\n attribute = \"${node.color}\"\nvalue = 1 }", "cannot speak of"},
        {"constraint {\n attribute = \"${NOMAD_JOB_ID}\"\nvalue = 1 }", "cannot speak of"},
        {"constraint {\n attribute = \"x\"\nvalue = \"${attr}\" }", "cannot speak of \"${attr}\""},
        {"constraint {\n attribute = \"x\"\noperator = \"is_set\"\nvalue = 1 }",
         "takes no \"value\""},
        {"constraint {\n attribute = \"x\"\nregexp = \"a(b\" }",
         "\"a(b\": the regular expression is wrong near byte 4: missing closing parenthesis"},
        {"constraint {\n attribute = \"x\"\nregexp = \"(?=a)\" }",
         "\"(?=a)\": the regular expression is wrong at byte 1: of groups there are"},
        {"constraint {\n attribute = \"x\"\nversion = \"new\" }",
         "\"new\" is no demand on a version"},
        {"constraint {\n attribute = \"x\"\nsemver = \"~> 1.2\" }", "\"~> 1.2\" is no demand"},
        {"constraint {\n attribute = \"x\"\nversion = \"1\"\nregexp = \"1\" }",
         "\"regexp\" and \"version\" say two things"},
        {"constraint {\n attribute = \"x\"\nversion = \"1\"\nvalue = \"2\" }",
         "\"version\" and \"value\" say two things"},
        {"constraint { distinct_hosts = 3 }", "\"distinct_hosts\" is true or false, not \"3\""},
        {"constraint {\n distinct_property = \"${meta.a}\"\nvalue = 0 }",
         "a number from 1 on, not \"0\""},
        {"constraint {\n attribute = \"x\"\ncolour = 1 }", "unknown attribute \"colour\""},
        {"group \"g\" {\ntask \"t\" {\ndriver = \"exec\"\nconfig { command = \"c\" }\n"
         "constraint { distinct_hosts = true }\n}\n}",
         "t.hcl:6:1: \"distinct_hosts\" is for a job or a group, not for a task"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = ERR_INIT;
        struct job *job = NULL;

        if (read_block(rows[i].block, &job, &e) != -EINVAL || !strstr(e.text, rows[i].text))
            fail_msg("%s\ngave %s", rows[i].block, e.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_operators),
        cmocka_unit_test(test_patterns_that_backtrack),
        cmocka_unit_test(test_short_forms),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
