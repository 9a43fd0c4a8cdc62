/* SPDX-License-Identifier: MIT
 *
 * Filter expressions: what they say of one object, and what is refused, and where.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "manager/api/filter.h"
#include "shared/cleanup.h"

static const char web[] =
    "{\"ID\": \"web-1\", \"Status\": \"running\", \"Stop\": false, \"Version\": 3, \"Load\": 0.5,"
    " \"Datacenters\": [\"dc1\", \"dc2\"], \"Meta\": {\"team\": \"a b\", \"a.b\": \"x\"},"
    " \"ParentID\": \"\", \"Periodic\": null, \"None\": {}, \"Deep\": [{\"Name\": \"g\"}],"
    " \"Long\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\"}";

static int match(const char *text, struct err *e)
{
    json_t *object = json_loads(web, 0, NULL);
    struct filter *f = NULL;
    int r = filter_parse(text, &f, e);

    if (!r)
        r = filter_match(f, object, e);
    filter_free(f);
    json_decref(object);
    return r;
}

static void test_matches(void **state)
{
    static const struct {
        const char *text;
        bool matches;
    } cases[] = {
        {"Status == running", true},
        {"Status == \"running\"", true},
        {"Status==`running`", true},
        {"Status != running", false},
        {"Status != \"dead\"", true},
        {"Stop == false", true},
        {"Stop == true", false},
        {"Version == 3", true},
        {"Version == 3.0", true},
        {"Version == 3x", false},
        {"Version == \"\"", false},
        {"Load == 0.5", true},
        {"\"dc1\" in Datacenters", true},
        {"dc3 in Datacenters", false},
        {"dc3 not in Datacenters", true},
        {"Datacenters contains dc2", true},
        {"Datacenters not contains dc2", false},
        {"\"eb\" in ID", true},
        {"ID contains \"-1\"", true},
        {"team in Meta", true},
        {"Meta.team == \"a b\"", true},
        {"Meta[\"a.b\"] == x", true},
        {"Meta.none == x", false},
        {"Meta.none != x", true},
        {"Meta.none is empty", true},
        {"ParentID is empty", true},
        {"ParentID is not empty", false},
        {"Periodic is empty", true},
        {"None is empty", true},
        {"Datacenters is not empty", true},
        {"Version is empty", false},
        {"ID matches \"^web-[0-9]+$\"", true},
        {"ID not matches `^db`", true},
        {"Version matches \"3\"", false},
        {"Long matches `^a+!$`", true},
        {"Deep.0.Name == g", true},
        {"Deep[\"0\"].Name == g", true},
        {"Stop == true or Version == 3", true},
        {"Stop == true and Version == 3", false},
        {"not Stop == true and Version == 3", true},
        {"not (Stop == true and Version == 3)", true},
        {"not not Version == 3", true},
        /* "and" binds more than "or" */
        {"Version == 3 or Version == 4 and Stop == true", true},
        {"(Version == 3 or Version == 4) and Stop == true", false},
        {"  ( Version == 3 )  ", true},
        {"ParentID == \"\"", true},
        {"Meta.team == \"a\\u b\"", false},
        {"ID == \"web\\-1\"", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        int r = match(cases[i].text, &e);

        if (r != cases[i].matches)
            fail_msg("%s: %d %s", cases[i].text, r, e.text);
    }
}

static void test_refusals(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "character 1: the name of a field"},
        {"Status", "character 7: an operator"},
        {"Status ==", "character 10: a value"},
        {"Status = running", "character 8: neither"},
        {"Status is running", "character 11: \"empty\""},
        {"\"running\" == Status", "character 1: the name of a field must be here, without"},
        {"x in", "character 5: the name of a field is missing"},
        {"x in \"Status\"", "character 6: the name of a field is missing"},
        {"Status == \"run", "character 11: a quote that does not end"},
        {"(Status == a", "character 13: a closing"},
        {"Status == a b", "character 13: \"and\""},
        {"Status == a)", "character 12: \"and\""},
        {"Status == a and", "character 16: the name"},
        {"Status not == a", "character 12: an operator"},
        {"Meta[team] == a", "character 5: brackets"},
        {"Meta[\"team\" == a", "character 5: brackets"},
        {"Status == a & b", "character 13: neither"},
        {"Staus == running", "there is no field \"Staus\""},
        {"ID matches \"(\"", "character 12: the regular expression is wrong near byte 2"},
        {"ID matches `(?=w)`", "character 12: the regular expression is wrong at byte 1"},
        {"Long matches `(a+)+$`", "the filter's \"(a+)+$\": the regular expression takes too long"},
        {"not Long matches `(a+)+$` and ID == x", "takes too long"},
    };
    struct err e = ERR_INIT;
    char deep[4096] = "";

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int r = match(cases[i].text, &e);

        if (r != -EINVAL || !strstr(e.text, cases[i].why))
            fail_msg("%s: %d %s", cases[i].text, r, e.text);
    }
    memset(deep, '(', 100);
    assert_int_equal(match(deep, &e), -EINVAL);
    assert_non_null(strstr(e.text, "nested too deeply"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
