/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/cleanup.h"
#include "shared/hcl/hcl.h"

static struct hcl_file *parse(const char *text)
{
    struct hcl_file *file = NULL;
    struct err e = ERR_INIT;

    if (hcl_parse("t.hcl", text, strlen(text), &file, &e) < 0)
        fail_msg("%s\n%s", text, e.text);
    return file;
}

static void test_structure(void **state)
{
    struct hcl_file *file = parse("# one\n"
                                  "job \"a\" {\n"
                                  "  task web second { driver = \"exec\" } // bare labels\n"
                                  "  \"quoted key\" = 1\n"
                                  "  list = [1, \"two\", [true],\n null,\n]\n"
                                  "  map = { a = 1, b : \"x\"\n \"c d\" = [] }\n"
                                  "  /* a = 2\n */\n"
                                  "  one = 1, two = 2\n"
                                  "}\n"
                                  "empty {}");
    const struct hcl_body *job = file->body->blocks[0].body;

    (void)state;
    assert_int_equal(file->body->n_blocks, 2);
    assert_string_equal(file->body->blocks[0].labels[0], "a");
    assert_int_equal(job->n_blocks, 1);
    assert_int_equal(job->blocks[0].n_labels, 2);
    assert_string_equal(job->blocks[0].labels[1], "second");
    assert_int_equal(job->blocks[0].pos.line, 3);
    assert_int_equal(job->blocks[0].pos.col, 3);
    assert_string_equal(job->blocks[0].body->attrs[0].value.string, "exec");
    assert_int_equal(job->n_attrs, 5);
    assert_string_equal(job->attrs[0].name, "quoted key");
    assert_int_equal(job->attrs[1].value.n_items, 4);
    assert_int_equal(job->attrs[1].value.items[2].kind, HCL_LIST);
    assert_int_equal(job->attrs[1].value.items[3].kind, HCL_NULL);
    assert_int_equal(job->attrs[2].value.n_items, 3);
    assert_string_equal(job->attrs[2].value.keys[2], "c d");
    assert_string_equal(job->attrs[4].name, "two");
    assert_null(hcl_file_free(file));
}

static void test_strings(void **state)
{
    static const struct {
        const char *text;
        const char *value;
    } cases[] = {
        {"\"\"", ""},
        {"\"a\\n\\t\\r\\\"\\\\b\"", "a\n\t\r\"\\b"},
        {"\"\\u00e9\\U0001F600\"", "\u00e9\U0001F600"},
        {"\"${NOMAD_PORT_http}\"", "${NOMAD_PORT_http}"},
        {"\"a ${env[\"X\"]} b\"", "a ${env[\"X\"]} b"},
        {"\"${f(\"}\", { a = \"${x}\" })}!\"", "${f(\"}\", { a = \"${x}\" })}!"},
        {"\"${\"a\\\"b\"}\"", "${\"a\\\"b\"}"},
        {"\"$${not} $$ % $\"", "$${not} $$ % $"},
        {"\"%{ if x }y%{ endif }\"", "%{ if x }y%{ endif }"},
        {"\"$HOME\"", "$HOME"},
        {"<<EOT\n  a\n\"${b\nEOT", "  a\n\"${b\n"},
        {"<<EOT\nEOT", ""},
        {"<<-EOT\n    a\n      b\n\n    c\n  EOT", "a\n  b\n\nc\n"},
        {"<<EOT\r\na\r\nEOT\r\n", "a\r\n"},
        {"<<EOT\n EOTX\n  EOT\n", " EOTX\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[256];
        struct hcl_file *file;

        (void)snprintf(text, sizeof(text), "a = %s\nb = 1\n", cases[i].text);
        file = parse(text);
        assert_int_equal(file->body->n_attrs, 2);
        assert_string_equal(file->body->attrs[0].value.string, cases[i].value);
        (void)hcl_file_free(file);
    }
}

/* Blocks in one line, and what may go on over several nevertheless. */
static void test_one_line(void **state)
{
    static const char *const cases[] = {
        "a { b = 1 }\n",
        "a {}\n",
        "a { b = 1, c = 2 }\nd = 1\n",
        "a { \"/x\" = \"/y\" }\n",
        "a { b = {\n c = 1\n } }\n",
        "a { b = [\n1,\n2] }\n",
        "a { b { c = 1 } }\n",
        "a {\n b { c = 1 }\n d = 2\n}\n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        (void)hcl_file_free(parse(cases[i]));
}

static void test_numbers(void **state)
{
    struct hcl_file *file = parse("a = [0, -1, 2.5, 1e3, 1.5E-1]");
    static const double expected[] = {0, -1, 2.5, 1000, 0.15};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_true(file->body->attrs[0].value.items[i].number == expected[i]);
    (void)hcl_file_free(file);
}

static void test_errors(void **state)
{
    static const struct {
        const char *text;
        const char *place; /* "line:col" */
        const char *message;
    } cases[] = {
        {"a = 1\nb = 2\na = 3\n", "3:1", "\"a\" is set already at line 1 column 1"},
        {"a { b = 1\n}\n", "1:10",
         "a block that begins on the line of its \"{\" ends on that line"},
        {"a { b = 1,\n c = 2 }\n", "1:11", "ends on that line"},
        {"a { b = { c = 1\n d = 2 }\n}\n", "2:9", "ends on that line"},
        {"a { b {\n c = 1\n }\n}\n", "3:3", "ends on that line"},
        {"a { b = 1 # c\n}\n", "1:14", "ends on that line"},
        {"a = { x = 1, x = 2 }", "1:14", "\"x\" is in this map already"},
        {"a = \"x\nb = 1", "1:5", "string is not closed"},
        {"a = \"${x\"", "1:6", "interpolation is not closed"},
        {"a = \"\\q\"", "1:6", "unknown escape"},
        {"a = \"\\u00zz\"", "1:6", "this is no character"},
        {"a = \"\\ud800\"", "1:6", "this is no character"},
        {"a = \"\\u0000\"", "1:6", "this is no character"},
        {"a = 012", "1:5", "not a decimal number"},
        {"a = 1.", "1:5", "not a decimal number"},
        {"a = 1e999", "1:5", "not a decimal number"},
        {"a = 0x10", "1:5", "not a decimal number"},
        {"a = -", "1:5", "not a decimal number"},
        {"a = var.x", "1:5", "\"var.x\" is no value"},
        {"a = 'x'", "1:5", "unexpected character"},
        {"a = [1 2]", "1:8", "expected \",\" or \"]\""},
        {"a = [1,\n", "1:5", "list is never closed"},
        {"a = [1", "1:5", "list is never closed"},
        {"a = {", "1:5", "map is never closed"},
        {"a = { 1 = 2 }", "1:7", "expected a key"},
        {"a = { b 2 }", "1:9", "expected \"=\" behind the key"},
        {"a = 1 b = 2", "1:7", "line of its own"},
        {"a =\n1", "1:4", "expected a value, not the end of the line"},
        {"job \"x\" {", "1:1", "\"job\" is never closed"},
        {"job \"x\"\n{ }", "1:8", "expected \"=\" and a value, or \"{\""},
        {"}", "1:1", "expected the name"},
        {"a = <<EOT\nx\n", "1:5", "heredoc is never closed"},
        {"a = << EOT\nx\nEOT\n", "1:5", "a heredoc starts with"},
        {"/* x", "1:1", "comment is never closed"},
        {"a = \"\xff\"", "1:6", "not UTF-8"},
        {"a = \"\xc0\x80\"", "1:6", "not UTF-8"},
        {"\t\u00e9\u00e9 = ?", "1:9", "unexpected character"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct hcl_file *file = NULL;
        struct err e = ERR_INIT;
        char place[32];

        (void)snprintf(place, sizeof(place), "t.hcl:%s: ", cases[i].place);
        assert_int_equal(hcl_parse("t.hcl", cases[i].text, strlen(cases[i].text), &file, &e),
                         -EINVAL);
        assert_null(file);
        if (strncmp(e.text, place, strlen(place)) != 0 || !strstr(e.text, cases[i].message))
            fail_msg("%s\ngave: %s", cases[i].text, e.text);
    }
}

static void test_error_shows_line(void **state)
{
    static const char text[] = "x = 1\n\t\u00e9 = ?\n";
    struct hcl_file *file;
    struct err e = ERR_INIT;
    const char *excerpt;
    char *wide;

    (void)state;
    assert_int_equal(hcl_parse("t.hcl", text, strlen(text), &file, &e), -EINVAL);
    excerpt = strchr(e.text, '\n');
    assert_string_equal(excerpt, "\n     2 |  \u00e9 = ?\n       |      ^");

    wide = strdup("a = \"0123456789012345678901234567890123456789012345678901234567890123456789"
                  "0123456789012345678901234567890123456789\" ? \"0123456789012345678901234567\"");
    assert_int_equal(hcl_parse("t.hcl", wide, strlen(wide), &file, &e), -EINVAL);
    excerpt = strrchr(e.text, '|');
    assert_int_equal(strchr(excerpt, '^')[1], '\0');
    assert_int_equal(excerpt[strlen(excerpt) - 1], '^');
    assert_int_equal(*(strchr(e.text, '\n') + 10 + (strchr(excerpt, '^') - excerpt - 2)), '?');
    free(wide);
}

/* `n` times `open`: never a crash, and a message once it is too deep. */
static void check_depth(const char *head, const char *open, size_t n)
{
    size_t len = strlen(open), at = strlen(head);
    autofree char *text = malloc(at + n * len + 1);
    struct hcl_file *file = NULL;
    struct err e = ERR_INIT;

    strcpy(text, head);
    for (size_t i = 0; i < n; i++, at += len)
        strcpy(text + at, open);
    assert_int_equal(hcl_parse("t.hcl", text, at, &file, &e), -EINVAL);
    assert_null(file);
}

static void test_limits(void **state)
{
    autofree char *big = calloc(1, HCL_MAX_BYTES + 1);
    struct hcl_file *file = NULL;
    struct err e = ERR_INIT;

    (void)state;
    check_depth("a = ", "[", 100000);
    check_depth("a = ", "{b=", 100000);
    check_depth("", "a {\n", 100000);
    check_depth("a = \"", "${\"", 100000);
    check_depth("a = \"${", "{", 100000);
    check_depth("a = [", "0,", HCL_MAX_ITEMS + 1);
    memset(big, '\n', HCL_MAX_BYTES + 1);
    assert_int_equal(hcl_parse("t.hcl", big, HCL_MAX_BYTES + 1, &file, &e), -E2BIG);
    assert_int_equal(hcl_parse("t.hcl", big, HCL_MAX_BYTES, &file, &e), 0);
    (void)hcl_file_free(file);
    assert_int_equal(hcl_parse("t.hcl", "a\0b", 3, &file, &e), -EINVAL);
}

static void test_file(void **state)
{
    char path[] = "/tmp/cleat-hcl-XXXXXX";
    autofd int fd = mkstemp(path);
    struct hcl_file *file = NULL;
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(write(fd, "a = 1\n", 6), 6);
    assert_int_equal(hcl_parse_file(path, false, &file, &e), 0);
    assert_string_equal(file->name, path);
    assert_int_equal(file->body->n_attrs, 1);
    (void)hcl_file_free(file);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(hcl_parse_file(path, false, &file, &e), -ENOENT);
    assert_non_null(strstr(e.text, path));
    assert_int_equal(hcl_parse_file("/", false, &file, &e), -EISDIR);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_structure), cmocka_unit_test(test_strings),
        cmocka_unit_test(test_one_line),  cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_errors),    cmocka_unit_test(test_error_shows_line),
        cmocka_unit_test(test_limits),    cmocka_unit_test(test_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
