/* SPDX-License-Identifier: MIT
 *
 * shared/text/regex.h: what is replaced, as Go's regexp does it; and what is refused.
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
#include "shared/text/regex.h"

static int step(void *context, const char *bytes, size_t size)
{
    (void)context;
    (void)bytes;
    (void)size;
    return 0;
}

static int sink(void *context, const char *bytes, size_t size)
{
    assert_int_equal(fwrite(bytes, 1, size, context), size);
    return 0;
}

static char *replaced(const char *pattern, const char *text, const char *to)
{
    struct err e = ERR_INIT;
    struct regex *re;
    char *made = NULL;
    size_t size;
    FILE *out;

    if (regex_new(pattern, strlen(pattern), REGEX_STEPS, &re, &e) < 0)
        return strdup(e.text);
    out = open_memstream(&made, &size);
    assert_int_equal(regex_replace(re, text, strlen(text), to, strlen(to), step, sink, out), 0);
    assert_int_equal(fclose(out), 0);
    (void)regex_free(re);
    return made;
}

static void test_replace(void **state)
{
    static const char *const cases[][4] = {
        {"a+", "baaac", "<$0>", "b<aaa>c"},
        {"a*", "baac", "x", "xbxcx"},
        {"(a)(b)?", "abac", "[$1$2]", "[ab][a]c"},
        {"(?P<n>a)", "ab", "$n-${n}-$nx-$$-$", "a-a--$-$b"},
        {"(?<n>a)", "ab", "${n}!", "a!b"},
        {"b$", "b\n", "x", "b\n"},
        {"(?m)^", "a\nb\n", ">", ">a\n>b\n>"},
        {"(?m)b$", "b\r\nb\n", "x", "b\r\nx\n"},
        {".", "a\r\nb", "x", "xx\nx"},
        {"(?s).", "a\nb", "x", "xxx"},
        {"\\s", "a\v\tb", "_", "a\v_b"},
        {"[\\s]", "a\v\tb", "_", "a\v_b"},
        {"\\S", "\v \t", "x", "x \t"},
        {"[\\S]", "\v \t", "x", "x \t"},
        {"\\v", "\v\n", "x", "x\n"},
        {"[]a]+", "a]b", "x", "xb"},
        {"[^]]", "a]", "x", "x]"},
        {"[[:alpha:]]", "a1", "x", "x1"},
        {"[[.a]", "[.a", "x", "xxx"},
        {"a{,2}", "aa{,2}", "x", "ax"},
        {"(?i-s:A.)", "ab", "x", "x"},
        {"\\pL\\x41\\x{42}\\Q.*\\E", "\303\244AB.*", "x", "x"},
        {"\\p{Greek}", "\316\261b", "x", "xb"},
        {"(?U)a+", "aa", "x", "xx"},
        {"\\_\\-", "_-", "x", "x"},
        {"\\bb\\b", "b ab b", "x", "x ab x"},
        {"\\d",
         "\331\241"
         "1",
         "x", "\331\241x"},
        {"a??b", "ab", "x", "x"},
        {"", "\303\244", "-", "-\303\244-"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        autofree char *made = replaced(cases[i][0], cases[i][1], cases[i][2]);

        if (strcmp(made, cases[i][3]) != 0)
            fail_msg("%s on \"%s\" is \"%s\", not \"%s\"", cases[i][0], cases[i][1], made,
                     cases[i][3]);
    }
}

static void test_refused(void **state)
{
    static const char *const cases[][2] = {
        {"a(?=b)", "byte 2: of groups there are"},
        {"(?!b)", "byte 1: of groups there are"},
        {"(?<=b)", "byte 1: of groups there are"},
        {"(?<!b)", "byte 1: of groups there are"},
        {"(?>b)", "byte 1: of groups there are"},
        {"(?P=n)", "byte 1: of groups there are"},
        {"(?#c)", "byte 1: of groups there are"},
        {"(?R)", "byte 1: of groups there are"},
        {"(?x)", "byte 1: of groups there are"},
        {"(a)\\1", "byte 4: there are no references back"},
        {"\\k<n>", "byte 1: this escape is not known"},
        {"\\h", "byte 1: this escape is not known"},
        {"\\R", "byte 1: this escape is not known"},
        {"\\K", "byte 1: this escape is not known"},
        {"\\Z", "byte 1: this escape is not known"},
        {"[\\b]", "byte 2: this escape is not known"},
        {"\\", "byte 1: this escape is not known"},
        {"\\x1", "byte 1: write two hexadecimal digits"},
        {"a++", "byte 3: a repetition is repeated"},
        {"a**", "byte 3: a repetition is repeated"},
        {"a{2}{3}", "byte 5: a repetition is repeated"},
        {"*a", "byte 1: there is nothing to repeat"},
        {"(*ACCEPT)", "byte 1: there is nothing to repeat"},
        {"(+)", "byte 2: there is nothing to repeat"},
        {"a{1001}", "byte 2: at most 1000 repetitions"},
        {"(", "near byte 2"},
        {"[a", "near byte"},
        {"\\pX", "near byte"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        autofree char *made = replaced(cases[i][0], "", "");

        if (!strstr(made, cases[i][1]))
            fail_msg("%s gave %s", cases[i][0], made);
    }
}

/* What takes too long is told, and not waited for; so is what a text has that is no UTF-8. */
static void test_limits(void **state)
{
    enum {
        LONG = 30000
    };
    char text[64], pattern[REGEX_MAX_BYTES + 2], *long_text;
    struct err e = ERR_INIT;
    struct regex *re;

    (void)state;
    memset(text, 'a', sizeof(text));
    assert_int_equal(regex_new("(a+)+$", 6, 10000, &re, NULL), 0);
    text[63] = '!';
    assert_int_equal(regex_match(re, text, sizeof(text), 0), -ETIME);
    text[63] = 'a';
    assert_int_equal(regex_match(re, text, sizeof(text), 0), 1);
    assert_int_equal(regex_match(re, "\xff", 1, 0), 0);
    (void)regex_free(re);
    long_text = malloc(LONG);
    memset(long_text, 'a', LONG);
    assert_int_equal(regex_new("(?:(a)|b)+$", 11, REGEX_STEPS - 1, &re, NULL), 0);
    assert_int_equal(regex_match(re, long_text, LONG / 10, 0), 1);
    assert_int_equal(regex_match(re, long_text, LONG, 0), -ETIME); /* too much memory */
    (void)regex_free(re);
    assert_int_equal(regex_new("(?:(a)|b)+$", 11, REGEX_STEPS, &re, NULL), 0);
    assert_int_equal(regex_match(re, long_text, LONG, 0), 1);
    (void)regex_free(re);
    free(long_text);
    memset(pattern, 'a', sizeof(pattern));
    assert_int_equal(regex_new(pattern, REGEX_MAX_BYTES + 1, 1, &re, &e), -EINVAL);
    assert_non_null(strstr(e.text, "longer than 16384"));
    memset(pattern, 's', sizeof(pattern));
    for (size_t i = 0; i < REGEX_MAX_BYTES; i += 2)
        pattern[i] = '\\';
    assert_int_equal(regex_new(pattern, REGEX_MAX_BYTES / 16, 1, &re, &e), 0);
    (void)regex_free(re);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
