/* SPDX-License-Identifier: MIT
 *
 * shared/hcl/eval.h: values of expressions, told as JSON; and errors, each at its place.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/cleanup.h"
#include "shared/hcl/inputs.h"
#include "shared/hcl/json.h"

static int read_text(const char *text, const struct hcl_eval_options *options,
                     struct hcl_file **ret, struct err *e)
{
    int r = hcl_parse_expr("t.hcl", text, strlen(text), ret, e);

    return r < 0 ? r : hcl_eval(*ret, options, e);
}

/* The value of the attribute "x" of the file, as JSON; or the error. */
static char *value_of(const char *text, const struct hcl_eval_options *options)
{
    struct hcl_file *file = NULL;
    struct err e = ERR_INIT;
    char *shown;

    if (read_text(text, options, &file, &e) < 0) {
        shown = strdup(e.text);
    } else {
        json_t *json = hcl_to_json(&file->body->attrs[file->body->n_attrs - 1].value);

        shown = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
        json_decref(json);
    }
    (void)hcl_file_free(file);
    return shown;
}

static void check(const char *text, const struct hcl_eval_options *options, const char *expected)
{
    autofree char *shown = value_of(text, options);

    if (strcmp(shown, expected) != 0)
        fail_msg("%s\nis %s\nnot %s", text, shown, expected);
}

static const char head[] = "variable \"s\" {\n default = \"web\"\n}\n"
                           "variable \"n\" {\n type = number\n default = 3\n}\n"
                           "variable \"l\" {\n type = list(string)\n default = [\"a\", \"b\"]\n}\n"
                           "variable \"m\" {\n default = {\n  k = \"v\"\n  o = { p = 1 }\n }\n}\n"
                           "locals {\n twice = \"${var.s}${var.s}\"\n next = local.twice\n}\n";

static void test_values(void **state)
{
    static const char *const cases[][2] = {
        {"1", "1"},
        {"var.s", "\"web\""},
        {"\"${var.s}\"", "\"web\""},
        {"\"a ${var.n} b\"", "\"a 3 b\""},
        {"\"${var.n}\"", "3"},
        {"\"${var.l}\"", "[\"a\",\"b\"]"},
        {"local.next", "\"webweb\""},
        {"var.m.k", "\"v\""},
        {"var.m[\"k\"]", "\"v\""},
        {"var.m.o.p + 1", "2"},
        {"var.l[1]", "\"b\""},
        {"var.l.0", "\"a\""},
        {"[var.s, 1, [var.n]]", "[\"web\",1,[3]]"},
        {"{ a = var.s, \"b-${var.n}\" = 2 }", "{\"a\":\"web\",\"b-3\":2}"},
        /* operators */
        {"1 + 2 * 3 - 4 / 2", "5"},
        {"(1 + 2) * 3", "9"},
        {"7 % 4", "3"},
        {"-var.n + 1", "-2"},
        {"!true || false && true", "false"},
        {"1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3", "true"},
        {"1 == 1 && \"a\" != \"b\" && [1] == [1] && {a = 1} == {a = 1}", "true"},
        {"var.n > 2 ? \"many\" : \"few\"", "\"many\""},
        {"false ? local.none[upper(7, 7)] : 2", "2"},
        {"true || var.l[99] == \"\"", "true"},
        {"var.n > 5 ? 1 : var.n > 2 ? 2 : 3", "2"},
        /* for, splat */
        {"[for x in var.l : upper(x)]", "[\"A\",\"B\"]"},
        {"[for i, x in var.l : \"${i}${x}\" if i > 0]", "[\"1b\"]"},
        {"{for k, v in {a = 1, b = 2} : k => v * 2}", "{\"a\":2,\"b\":4}"},
        {"{for x in [\"aa\", \"ab\", \"b\"] : substr(x, 0, 1) => x...}",
         "{\"a\":[\"aa\",\"ab\"],\"b\":[\"b\"]}"},
        {"[for x in [[1, 2], [3]] : [for y in x : y + 1]]", "[[2,3],[4]]"},
        {"[{n = 1}, {n = 2}][*].n", "[1,2]"},
        {"[{n = {m = 1}}].*.n.m", "[1]"},
        {"[for x in [] : x]", "[]"},
        /* templates */
        {"\"%{ if var.n > 1 }yes%{ else }no%{ endif }\"", "\"yes\""},
        {"\"%{ if false }yes%{ endif }.\"", "\".\""},
        {"\"%{ for x in var.l }<${x}>%{ endfor }\"", "\"<a><b>\""},
        {"\"%{ for k, v in {a = 1} }${k}=${v};%{ endfor }\"", "\"a=1;\""},
        {"<<EOT\nx ${var.s}\n%{ for x in var.l ~}\n- ${x}\n%{ endfor ~}\nEOT\n",
         "\"x web\\n- a\\n- b\\n\""},
        {"\"${format(\"%s-%03d\", var.s, var.n)}\"", "\"web-003\""},
        {"format(\"a\\\"b\\n%s\", \"c${var.n}\")", "\"a\\\"b\\nc3\""},
        /* what is for others stays */
        {"\"${attr.kernel.name} ${NOMAD_TASK_DIR} ${env[\"X\"]} ${meta.x} $${var.s}\"",
         "\"${attr.kernel.name} ${NOMAD_TASK_DIR} ${env[\\\"X\\\"]} ${meta.x} $${var.s}\""},
        {"\"${HOME:-x} ${#a} ${x%%.*} %{http_code} ${!y}\"",
         "\"${HOME:-x} ${#a} ${x%%.*} %{http_code} ${!y}\""},
        {"\"${NOMAD_ALLOC_ID}-${var.s}\"", "\"${NOMAD_ALLOC_ID}-web\""},
        {"\"${variable} ${locals}\"", "\"${variable} ${locals}\""},
        {"null", "null"},
    };
    const struct hcl_eval_options options = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        autofree char *text = NULL;

        assert_true(asprintf(&text, "%sx = %s\n", head, cases[i][0]) > 0);
        check(text, &options, cases[i][1]);
    }
}

static void test_functions(void **state)
{
    static const char *const cases[][2] = {
        {"abs(-2)", "2"},
        {"base64encode(\"hällo\")", "\"aMOkbGxv\""},
        {"base64decode(base64encode(\"a\"))", "\"a\""},
        {"basename(\"/a/b.c\")", "\"b.c\""},
        {"ceil(1.2)", "2"},
        {"chomp(\"a\\n\\r\\n\")", "\"a\""},
        {"coalesce(null, \"\", \"x\", \"y\")", "\"x\""},
        {"coalescelist([], [1])", "[1]"},
        {"compact([\"a\", \"\", null])", "[\"a\"]"},
        {"concat([1], [], [2, 3])", "[1,2,3]"},
        {"contains([\"a\"], \"a\")", "true"},
        {"dirname(\"/a/b.c\")", "\"/a\""},
        {"distinct([1, 2, 1])", "[1,2]"},
        {"element([\"a\", \"b\"], 3)", "\"b\""},
        {"endswith(\"abc\", \"bc\")", "true"},
        {"flatten([1, [2, [3]], []])", "[1,2,3]"},
        {"floor(1.8)", "1"},
        {"format(\"%s %d %5.2f %t %v %q %% %05d|%-3s|\", \"a\", 7, 1.5, true, [1], \"q\", 42, "
         "\"z\")",
         "\"a 7  1.50 true [1] \\\"q\\\" % 00042|z  |\""},
        {"formatlist(\"%s-%s\", [\"a\", \"b\"], \"c\")", "[\"a-c\",\"b-c\"]"},
        {"indent(2, \"a\\nb\")", "\"a\\n  b\""},
        {"index([\"a\", \"b\"], \"b\")", "1"},
        {"join(\", \", [\"a\", 1, true])", "\"a, 1, true\""},
        {"jsondecode(\"{\\\"a\\\":[1,null,true]}\")", "{\"a\":[1,null,true]}"},
        {"jsonencode({b = [1, \"x\"], a = null})", "\"{\\\"a\\\":null,\\\"b\\\":[1,\\\"x\\\"]}\""},
        {"keys({a = 1, b = 2})", "[\"a\",\"b\"]"},
        {"length([1, 2])", "2"},
        {"length(\"hällo\")", "5"},
        {"length({a = 1})", "1"},
        {"lookup({a = 1}, \"b\", 2)", "2"},
        {"lower(\"AbC\")", "\"abc\""},
        {"max(1, 3, 2)", "3"},
        {"max([4, 5]...)", "5"},
        {"merge({a = 1, b = 1}, {b = 2})", "{\"a\":1,\"b\":2}"},
        {"min(2, 1)", "1"},
        {"parseint(\"ff\", 16)", "255"},
        {"pow(2, 10)", "1024"},
        {"range(3)", "[0,1,2]"},
        {"range(1, 7, 2)", "[1,3,5]"},
        {"range(2, 0)", "[2,1]"},
        {"replace(\"a.b.c\", \".\", \"-\")", "\"a-b-c\""},
        {"reverse([1, 2])", "[2,1]"},
        {"slice([1, 2, 3], 1, 3)", "[2,3]"},
        {"sort([\"b\", \"a\"])", "[\"a\",\"b\"]"},
        {"split(\",\", \"a,b,\")", "[\"a\",\"b\",\"\"]"},
        {"startswith(\"abc\", \"b\")", "false"},
        {"strlen(\"ä\")", "1"},
        {"substr(\"hällo\", 1, 2)", "\"äl\""},
        {"substr(\"abc\", -2, -1)", "\"bc\""},
        {"title(\"a bc\")", "\"A Bc\""},
        {"tobool(\"true\")", "true"},
        {"tonumber(\"1.5\")", "1.5"},
        {"tostring(80)", "\"80\""},
        {"tolist([1])", "[1]"},
        {"tomap({a = 1})", "{\"a\":1}"},
        {"toset([1, 1])", "[1]"},
        {"trim(\"xxaxx\", \"x\")", "\"a\""},
        {"trimprefix(\"abc\", \"a\")", "\"bc\""},
        {"trimsuffix(\"abc\", \"c\")", "\"ab\""},
        {"trimspace(\" a\\n\")", "\"a\""},
        {"upper(\"a\")", "\"A\""},
        {"values({a = 1, b = 2})", "[1,2]"},
        {"zipmap([\"a\"], [1])", "{\"a\":1}"},
    };
    const struct hcl_eval_options options = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        autofree char *text = NULL;

        assert_true(asprintf(&text, "x = %s\n", cases[i][0]) > 0);
        check(text, &options, cases[i][1]);
    }
}

static void test_errors(void **state)
{
    static const char *const cases[][2] = {
        {"x = var.no\n", "t.hcl:1:5: there is no variable \"no\""},
        {"x = local.no\n", "t.hcl:1:5: there is no local \"no\""},
        {"x = \"a ${local.no}\"\n", "t.hcl:1:5: there is no local \"no\""},
        {"x = [1,\n  upper(var.no)]\n", "t.hcl:2:9: there is no variable"},
        {"x = attr.kernel.name\n", "t.hcl:1:5: \"attr\" is not known while a job file is read"},
        {"x = nope(1)\n", "t.hcl:1:5: there is no function \"nope\""},
        {"x = upper()\n", "t.hcl:1:5: upper() takes 1 arguments, not 0"},
        {"x = 1 +\n", "a value is missing here"},
        {"x = 1 + \"a\"\n", "a number is wanted here, not a string"},
        {"x = 1 / 0\n", "t.hcl:1:7: division by zero"},
        {"x = (1\n", "a bracket of this expression is never closed"},
        {"x = [1][5]\n", "the list has 1 elements"},
        {"x = {a = 1}.b\n", "there is no \"b\" in this map"},
        {"x = \"a\" ? 1 : 2\n", "true or false is wanted here"},
        {"x = [for y in 5 : y]\n", "\"for\" goes through a list or a map, not a number"},
        {"x = [for y in [1] y]\n", "expected \":\" here"},
        {"x = {for y in [1, 2] : \"k\" => y}\n", "two elements have the key \"k\""},
        {"x = range(99999999)\n", "range() of more than 65536"},
        {"x = [for a in range(60000) : [for b in range(60000) : b]]\n", "ask for less"},
        {"x = format(\"%d\")\n", "format() has no value for %d"},
        {"x = format(\"%d\", 1, 2)\n", "format() has 2 values and uses 1"},
        {"x = file(\"/etc/hostname\")\n", "the manager reads no files"},
        {"x = try(1)\n", "\"try\" is not supported"},
        {"x = \"%{ if true }a\"\n", "a \"%{ endif }\" is missing"},
        {"locals {\n a = local.b\n b = local.a\n}\n", "t.hcl:2:2: the local \"a\" needs itself"},
        {"locals {\n a = 1\n}\nlocals {\n a = 2\n}\n", "t.hcl:5:2: \"a\" is there already"},
        {"variable \"v\" { }\n", "t.hcl:1:1: the variable \"v\" has no value"},
        {"variable \"v\" {\n type = number\n default = \"x\"\n}\n", "a string is no number"},
        {"variable \"v\" {\n type = numer\n default = 1\n}\n", "there is no type \"numer\""},
        {"variable \"v\" {\n typ = number\n}\n", "t.hcl:2:2: unknown attribute \"typ\""},
        {"variable \"v\" {\n default = 1\n validation {\n  condition = var.v > 1\n"
         "  error_message = \"too small\"\n }\n}\n",
         "t.hcl:4:3: the variable \"v\": too small"},
        {"dynamic \"a\" {\n}\n", "t.hcl:1:1: write dynamic \"TYPE\""},
        {"x = 1 2\n", "behind a value"},
        {"x = upper(\"a\") 2\n", "this does not belong behind the value"},
        {"x = @\n", "t.hcl:1:5: expected a value here"},
        {"@ = 1\n", "expected the name of an attribute or block"},
    };
    const struct hcl_eval_options options = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        autofree char *shown = value_of(cases[i][0], &options);

        if (!strstr(shown, cases[i][1]))
            fail_msg("%s\ngave %s", cases[i][0], shown);
    }
}

static void test_depth(void **state)
{
    const struct hcl_eval_options options = {0};
    char text[8192] = "x = ";

    (void)state;
    memset(text + 4, '(', 4000);
    text[4004] = '1';
    memset(text + 4005, ')', 4000);
    strcpy(text + 8005, "\n");
    {
        autofree char *shown = value_of(text, &options);

        assert_non_null(strstr(shown, "nested deeper than"));
    }
}

static void test_dynamic(void **state)
{
    static const char text[] =
        "variable \"ports\" {\n default = { http = 80, ssh = 22 }\n}\n"
        "group {\n"
        "  dynamic \"port\" {\n    for_each = var.ports\n    labels   = [port.key]\n"
        "    content {\n      static = port.value\n      whole  = port\n    }\n  }\n"
        "  dynamic \"env\" {\n    for_each = [1, 2]\n    iterator = it\n"
        "    content { n = \"${it.key}:${it.value}\" }\n  }\n"
        "}\n";
    const struct hcl_eval_options options = {0};
    struct hcl_file *file = NULL;
    struct err e = ERR_INIT;
    const struct hcl_body *group;

    (void)state;
    if (read_text(text, &options, &file, &e))
        fail_msg("%s", e.text);
    assert_int_equal(file->body->n_blocks, 1);
    group = file->body->blocks[0].body;
    assert_int_equal(group->n_blocks, 4);
    assert_string_equal(group->blocks[0].type, "port");
    assert_string_equal(group->blocks[0].labels[0], "http");
    assert_int_equal(group->blocks[1].body->attrs[0].value.number, 22);
    assert_string_equal(group->blocks[1].body->attrs[1].value.items[0].string, "ssh");
    assert_string_equal(group->blocks[3].body->attrs[0].value.string, "1:2");
    assert_int_equal(group->blocks[0].pos.line, 5);
    (void)hcl_file_free(file);
}

static void test_inputs(void **state)
{
    static const char text[] = "variable \"s\" {\n type = string\n}\n"
                               "variable \"n\" {\n type = number\n default = 1\n}\n"
                               "variable \"l\" {\n type = list(number)\n default = []\n}\n"
                               "x = [var.s, var.n, var.l]\n";
    static char *const environment[] = {"NOMAD_VAR_s=env", "NOMAD_VAR_n=5", "NOMAD_VAR_other=1",
                                        "PATH=/bin", NULL};
    static const char values[] = "s = upper(\"file\")\nl = [7]\n";
    struct hcl_inputs inputs = {0};
    struct hcl_eval_options options = {0};
    struct hcl_file *file = NULL;
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(hcl_inputs_add_environment(&inputs, environment, &e), 0);
    options.inputs = inputs.list;
    options.n_inputs = inputs.n;
    check(text, &options, "[\"env\",5,[]]");
    assert_int_equal(hcl_parse_expr("v", values, strlen(values), &file, &e), 0);
    assert_int_equal(hcl_inputs_add_file(&inputs, file, false, "-var-file", &e), 0);
    options.inputs = inputs.list;
    options.n_inputs = inputs.n;
    check(text, &options, "[\"FILE\",5,[7]]");
    assert_int_equal(hcl_inputs_add(&inputs, "s=a=b", &e), 0);
    assert_int_equal(hcl_inputs_add(&inputs, "l=[1, 2 + 1]", &e), 0);
    options.inputs = inputs.list;
    options.n_inputs = inputs.n;
    check(text, &options, "[\"a=b\",5,[1,3]]");
    assert_int_equal(hcl_inputs_add(&inputs, "n=many", &e), 0);
    options.inputs = inputs.list;
    options.n_inputs = inputs.n;
    {
        autofree char *shown = value_of(text, &options);

        assert_non_null(strstr(shown, "-var \"n\": t.hcl:4:1: a string is no number"));
    }
    assert_int_equal(hcl_inputs_add(&inputs, "none=1", &e), 0);
    options.inputs = inputs.list;
    options.n_inputs = inputs.n - 2;
    check(text, &options, "[\"a=b\",5,[1,3]]");
    options.inputs = inputs.list + inputs.n - 1;
    options.n_inputs = 1;
    {
        autofree char *shown = value_of("x = 1\n", &options);

        assert_non_null(strstr(shown, "-var \"none\": the file t.hcl has no variable"));
    }
    assert_int_equal(hcl_inputs_add(&inputs, "no equals", &e), -EINVAL);
    hcl_inputs_deinit(&inputs);
}

static void test_files(void **state)
{
    const struct hcl_eval_options options = {.files = true};

    (void)state;
    check("x = fileexists(\"/nonexistent/x\")\n", &options, "false");
    check("x = length(file(\"/proc/self/comm\")) >= 0\n", &options, "true");
    {
        autofree char *shown = value_of("x = file(\"/nonexistent/x\")\n", &options);

        assert_non_null(strstr(shown, "t.hcl:1:5: /nonexistent/x: No such file"));
    }
}

/* A file without any of this is what it was. */
static void test_plain_files_stay(void **state)
{
    static const char text[] = "job \"j\" {\n a = \"x\"\n b = [1, true, null, {c = \"${d}\"}]\n"
                               " e {\n  f = -1.5\n }\n g \"h\" \"i\" { }\n}\n";
    const struct hcl_eval_options options = {0};
    struct hcl_file *plain = NULL, *evaluated = NULL;
    struct err e = ERR_INIT;
    const struct hcl_body *a, *b;

    (void)state;
    assert_int_equal(hcl_parse("t.hcl", text, strlen(text), &plain, &e), 0);
    assert_int_equal(read_text(text, &options, &evaluated, &e), 0);
    a = plain->body->blocks[0].body;
    b = evaluated->body->blocks[0].body;
    assert_int_equal(a->n_attrs, b->n_attrs);
    assert_int_equal(a->n_blocks, b->n_blocks);
    for (size_t i = 0; i < a->n_attrs; i++) {
        json_t *x = hcl_to_json(&a->attrs[i].value), *y = hcl_to_json(&b->attrs[i].value);

        assert_true(json_equal(x, y));
        assert_int_equal(a->attrs[i].value.pos.line, b->attrs[i].value.pos.line);
        assert_int_equal(a->attrs[i].value.pos.col, b->attrs[i].value.pos.col);
        json_decref(x);
        json_decref(y);
    }
    (void)hcl_file_free(plain);
    (void)hcl_file_free(evaluated);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),  cmocka_unit_test(test_functions),
        cmocka_unit_test(test_errors),  cmocka_unit_test(test_depth),
        cmocka_unit_test(test_dynamic), cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_files),   cmocka_unit_test(test_plain_files_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
