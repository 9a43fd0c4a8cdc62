/* SPDX-License-Identifier: MIT
 *
 * shared/hcl/eval.h: values of expressions, told as JSON; and errors, each at its place.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
        {"coalesce(null, \"\", \"x\")", "\"\""},
        {"coalesce(null, 1, \"x\")", "\"1\""},
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
        {"index([\"a\", \"b\"], 1)", "\"b\""},
        {"index({a = 1}, \"a\")", "1"},
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
        {"parseint(\"-Z\", 62)", "-61"},
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
        /* keys in order, whatever their order in the file */
        {"keys({b = 1, a = 2})", "[\"a\",\"b\"]"},
        {"values({b = 1, a = 2})", "[2,1]"},
        {"[for k, v in {b = 1, a = 2} : \"${k}${v}\"]", "[\"a2\",\"b1\"]"},
        {"\"%{ for k, v in {b = 1, a = 2} }${k}%{ endfor }\"", "\"ab\""},
        {"try(1 / 0, nope.x, [1][3], 7, 8 / 0)", "7"},
        {"try({a = 1}.b, [for x in [1] : x.y], \"${upper({})}\", \"d\")", "\"d\""},
        {"can(1 / 0)", "false"},
        {"can(upper(\"a\"))", "true"},
        {"false ? try(1) : can(x)", "false"},
        {"convert([1, true], list(string))", "[\"1\",\"true\"]"},
        {"convert(\"5\", number) + 1", "6"},
        {"strrev(\"h\u00e4l\")", "\"l\u00e4h\""},
        {"reverse(\"abc\")", "\"cba\""},
        {"upper(\"\u00e4\")", "\"\u00c4\""},
        {"title(\"a-b_c d\")", "\"A-B_c D\""},
        {"split(\"\", \"a\u00e4\")", "[\"a\",\"\u00e4\"]"},
        {"replace(\"ab\", \"\", \"-\")", "\"-a-b-\""},
        {"replace(\"a/b/c\", \"/b/\", \"\")", "\"ac\""},
        {"regex_replace(\"hello\", \"l(.)\", \"<$1>\")", "\"he<l>o\""},
        {"regex_replace(\"ab\", \"(?P<x>a)\", \"$${x}-\")", "\"a-b\""},
        {"jsonencode({a = \"<x>\", b = 0.1, c = 1e20})",
         "\"{\\\"a\\\":\\\"\\\\u003cx\\\\u003e\\\",\\\"b\\\":0.1,"
         "\\\"c\\\":100000000000000000000}\""},
        {"format(\"%q\", 1)", "\"\\\"1\\\"\""},
        {"log(8, 2)", "3"},
        {"signum(-7)", "-1"},
        {"chunklist([1, 2, 3], 2)", "[[1,2],[3]]"},
        {"chunklist([1, 2], 0)", "[[1,2]]"},
        {"setunion([3, 1], [2, 1])", "[1,2,3]"},
        {"setunion([\"b\"], [1])", "[\"1\",\"b\"]"},
        {"setintersection([\"c\", \"a\", \"b\"], [\"b\", \"c\"])", "[\"b\",\"c\"]"},
        {"setproduct([\"a\", \"b\"], [1, 2])", "[[\"a\",1],[\"a\",2],[\"b\",1],[\"b\",2]]"},
        {"md5(\"a\")", "\"0cc175b9c0f1b6a831c399e269772661\""},
        {"sha1(\"a\")", "\"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8\""},
        {"sha256(\"a\")", "\"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\""},
        {"substr(sha512(\"a\"), 0, 16)", "\"1f40fc92da241694\""},
        {"urlencode(\"a b/\u00e4~\")", "\"a+b%2F%C3%A4~\""},
        {"uuidv5(\"dns\", \"hashicorp.com\")", "\"5ba0091c-1ec8-5ba9-ab02-ff8be7499dd9\""},
        {"uuidv5(\"6ba7b811-9dad-11d1-80b4-00c04fd430c8\", \"a\") == uuidv5(\"url\", \"a\")",
         "true"},
        {"regex_replace(uuidv4(), \"[0-9a-f]\", \"x\")",
         "\"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx\""},
        {"substr(bcrypt(\"x\", 4), 0, 7)", "\"$2a$04$\""},
        {"yamlencode({b = [1, \"x\"], a = null})",
         "\"\\\"a\\\": null\\n\\\"b\\\":\\n- 1\\n- \\\"x\\\"\\n\""},
        {"yamldecode(\"a: 1\\nb: [x, yes, ~, 010, 2020-01-02]\")",
         "{\"a\":1,\"b\":[\"x\",true,null,10,\"2020-01-02T00:00:00Z\"]}"},
        {"csvdecode(\"a,b\\n1,\\\"x,\\\"\\\"y\\\"\\n\\n,\\n\")",
         "[{\"a\":\"1\",\"b\":\"x,\\\"y\"},{\"a\":\"\",\"b\":\"\"}]"},
        {"formatdate(\"EEEE, DD-MMM-YY hh:mm:ss ZZZ\", \"2018-01-02T23:12:01Z\")",
         "\"Tuesday, 02-Jan-18 23:12:01 UTC\""},
        {"formatdate(\"H 'o''clock' AA, M/D/YYYY ZZZZZ\", \"2018-01-02T00:12:01-08:00\")",
         "\"12 o'clock AM, 1/2/2018 -08:00\""},
        {"timeadd(\"2017-12-31T23:59:59+01:00\", \"-1h30m1s\")", "\"2017-12-31T22:29:58+01:00\""},
        {"timeadd(\"2017-11-22T00:00:00Z\", \"1.5h\")", "\"2017-11-22T01:30:00Z\""},
        {"cidrhost(\"10.12.127.0/20\", 268)", "\"10.12.113.12\""},
        {"cidrhost(\"10.12.112.0/20\", -1)", "\"10.12.127.255\""},
        {"cidrhost(\"fd00:fd12:3456:7890::/72\", 34)", "\"fd00:fd12:3456:7890::22\""},
        {"cidrnetmask(\"172.16.0.0/12\")", "\"255.240.0.0\""},
        {"cidrsubnet(\"172.16.0.0/12\", 4, 2)", "\"172.18.0.0/16\""},
        {"cidrsubnet(\"fd00:fd12:3456:7890::/56\", 16, 162)", "\"fd00:fd12:3456:7800:a200::/72\""},
        {"cidrsubnets(\"10.1.0.0/16\", 4, 4, 8, 4)",
         "[\"10.1.0.0/20\",\"10.1.16.0/20\",\"10.1.32.0/24\",\"10.1.48.0/20\"]"},
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
        {"x = try(1 / 0, nope.x)\n",
         "nothing in this try() can be had; the last of it: t.hcl:1:16: "
         "\"nope\" is not known"},
        {"x = try(1, 2\n", "a bracket of this expression is never closed"},
        {"x = try(1 2)\n", "expected \",\" or \")\" in the call of \"try\""},
        {"x = try()\n", "try() takes 1 or more arguments"},
        {"x = can(1, 2)\n", "can() takes 1 argument"},
        {"locals {\n a = 1 / 0\n b = try(local.a, 1)\n}\n", "t.hcl:2:8: division by zero"},
        {"x = convert([], number)\n", "a list is no number"},
        {"x = regex_replace(\"a\", \"(?=a)\", \"\")\n", "wrong at byte 1: of groups there are"},
        {"x = yamldecode(\"a: [\")\n", "this is not YAML: line 2 column 1"},
        {"x = csvdecode(\"a,b\\n1\\n\")\n", "line 2 of the CSV has 1 columns, its first line 2"},
        {"x = csvdecode(\"a\\n\\\"1\")\n", "a quote of line 2 of the CSV is not closed"},
        {"x = formatdate(\"YYY\", \"2018-01-02T23:12:01Z\")\n",
         "formatdate() does not know \"YYY\""},
        {"x = formatdate(\"YYYY\", \"2018-02-30T23:12:01Z\")\n", "is no time such as"},
        {"x = timeadd(\"2018-01-02T23:12:01Z\", \"1d\")\n", "\"1d\" is no duration"},
        {"x = cidrhost(\"10.0.0.0/33\", 1)\n", "the prefix of \"10.0.0.0/33\" is 0 to 32 bits"},
        {"x = cidrhost(\"10.0.0.0/24\", 256)\n", "does not fit into 8 bits"},
        {"x = cidrsubnet(\"10.0.0.0/24\", 9, 0)\n", "there are 8 bits behind the prefix"},
        {"x = cidrsubnets(\"10.0.0.0/24\", 1, 1, 1)\n", "there is no room for network 3"},
        {"x = cidrnetmask(\"::/8\")\n", "only IPv4 networks have a netmask"},
        {"x = uuidv5(\"no\", \"a\")\n", "the namespace of uuidv5() is"},
        {"x = bcrypt(\"a\", 15)\n", "the cost of bcrypt() is 4 to 14"},
        {"x = rsadecrypt(\"eA==\", \"x\")\n", "is no RSA key in PEM"},
        {"x = base64decode(\"/w==\")\n", "is no text in UTF-8"},
        {"x = fileset(\".\", \"*\")\n", "the manager reads no files"},
        {"x = setproduct([1])\n", "setproduct() takes two lists or more"},
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

static void add_error(void *arg, const char *text)
{
    char *all = arg;

    (void)snprintf(all + strlen(all), 1024 - strlen(all), "%.*s\n", (int)strcspn(text, "\n"), text);
}

/* Each of them once, in whatever block; the first is what the caller gets. */
static void test_all_errors(void **state)
{
    static const char text[] =
        "a = 1 / 0\nb {\n c = var.no\n d = 2\n e {\n  f = upper()\n }\n}\n"
        "dynamic \"g\" {\n for_each = [1, 2]\n content {\n  h = g.none\n }\n}\n"
        "dynamic \"i\" {\n}\nj = 1\n";
    char all[1024] = "";
    struct hcl_eval_options options = {.on_error = add_error, .arg = all};
    struct hcl_file *file = NULL;
    struct err e = ERR_INIT;
    struct hcl_body *before;

    (void)state;
    assert_int_equal(hcl_parse_expr("t", text, strlen(text), &file, &e), 0);
    before = file->body;
    assert_int_equal(hcl_eval(file, &options, &e), -EINVAL);
    assert_ptr_equal(file->body, before);
    assert_non_null(strstr(e.text, "t:1:7: division by zero"));
    assert_string_equal(all, "t:1:7: division by zero\n"
                             "t:3:6: there is no variable \"no\"; add variable \"NAME\" { }\n"
                             "t:6:7: upper() takes 1 arguments, not 0\n"
                             "t:12:8: there is no \"none\" in this map; see lookup()\n"
                             "t:12:8: there is no \"none\" in this map; see lookup()\n"
                             "t:15:1: write dynamic \"TYPE\" { for_each = LIST, content { } }\n");
    (void)hcl_file_free(file);
    *all = '\0';
    assert_int_equal(
        read_text("a = [for x in range(60000) : range(60000)]\nb = 1 / 0\n", &options, &file, &e),
        -EINVAL);
    assert_non_null(strstr(all, "ask for less"));
    assert_null(strstr(all, "zero"));
    (void)hcl_file_free(file);
}

/* What the key encrypts, rsadecrypt() reads. */
static void test_rsadecrypt(void **state)
{
    const struct hcl_eval_options options = {0}, hasty = {.hasty = true};
    EVP_PKEY *key = EVP_RSA_gen(2048);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    BIO *bio = BIO_new(BIO_s_mem());
    unsigned char sealed[256], base64[400];
    autofree char *text = NULL, *shown = NULL;
    size_t size = sizeof(sealed);
    char *pem;
    long n;

    (void)state;
    assert_true(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
    n = BIO_get_mem_data(bio, &pem);
    assert_int_equal(EVP_PKEY_encrypt_init(context), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING), 1);
    assert_int_equal(EVP_PKEY_encrypt(context, sealed, &size, (const unsigned char *)"geheim", 6),
                     1);
    (void)EVP_EncodeBlock(base64, sealed, (int)size);
    assert_true(asprintf(&text,
                         "locals {\n k = <<EOT\n%.*sEOT\n}\nx = rsadecrypt(\"%s\", local.k)\n",
                         (int)n, pem, base64) > 0);
    check(text, &options, "\"geheim\"");
    shown = value_of(text, &hasty);
    assert_non_null(strstr(shown, "rsadecrypt() takes too long for the manager"));
    BIO_free(bio);
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(key);
}

/* Below `base_dir`: a, sub/b.txt, sub/deep/c.txt, and bytes that are no text. */
static void test_file_functions(void **state)
{
    char dir[] = "/tmp/test_hcl_XXXXXX", path[64];
    struct hcl_eval_options options = {.files = true, .base_dir = dir};
    static const char *const names[] = {"a", "sub/b.txt", "sub/deep/c.txt", "bin"};
    static const char *const dirs[] = {"sub/deep", "sub", "."};

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/sub", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/sub/deep", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        FILE *f;

        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        f = fopen(path, "w");
        assert_non_null(f);
        (void)fputs(i == 3 ? "\xff" : "text", f);
        (void)fclose(f);
    }
    check("x = file(\"a\")\n", &options, "\"text\"");
    check("x = fileexists(\"sub/b.txt\")\n", &options, "true");
    check("x = fileexists(\"sub\")\n", &options, "false");
    check("x = filebase64(\"bin\")\n", &options, "\"/w==\"");
    check("x = fileset(\".\", \"*\")\n", &options, "[\"a\",\"bin\"]");
    check("x = fileset(\".\", \"**/*.txt\")\n", &options, "[\"sub/b.txt\",\"sub/deep/c.txt\"]");
    check("x = fileset(\"sub\", \"**\")\n", &options, "[\"b.txt\",\"deep/c.txt\"]");
    check("x = fileset(\".\", \"s*/?.txt\")\n", &options, "[\"sub/b.txt\"]");
    check("x = fileset(\"none\", \"*\")\n", &options, "[]");
    check("x = abspath(\"/a/./b//../c/\")\n", &options, "\"/a/c\"");
    check("x = abspath(\"/../..\")\n", &options, "\"/\"");
    assert_int_equal(setenv("HOME", "/home/me", 1), 0);
    check("x = pathexpand(\"~/x\")\n", &options, "\"/home/me/x\"");
    check("x = pathexpand(\"x\")\n", &options, "\"x\"");
    {
        autofree char *shown = value_of("x = file(\"bin\")\n", &options);
        autofree char *home = value_of("x = pathexpand(\"~you/x\")\n", &options);

        assert_non_null(strstr(shown, "what file() finds here is no text in UTF-8"));
        assert_non_null(strstr(home, "not another user's home"));
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, i == 2 ? "" : dirs[i]);
        assert_int_equal(rmdir(path), 0);
    }
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
        cmocka_unit_test(test_values),         cmocka_unit_test(test_functions),
        cmocka_unit_test(test_errors),         cmocka_unit_test(test_depth),
        cmocka_unit_test(test_dynamic),        cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_files),          cmocka_unit_test(test_plain_files_stay),
        cmocka_unit_test(test_all_errors),     cmocka_unit_test(test_rsadecrypt),
        cmocka_unit_test(test_file_functions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
