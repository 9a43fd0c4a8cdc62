/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/job/diff.h"
#include "shared/job/value.h"

/* "+Name=new", "-Name=old", "~Name=old>new", "Name=old"; objects in braces. */
static void describe(FILE *out, const json_t *diff)
{
    json_t *field, *object;
    size_t i;

    json_array_foreach(json_object_get(diff, "Fields"), i, field)
    {
        const char *type = json_string_value(json_object_get(field, "Type"));
        const char *mark = *type == 'A' ? "+" : *type == 'D' ? "-" : *type == 'E' ? "~" : "";

        (void)fprintf(out, " %s%s=%s%s%s", mark, json_string_value(json_object_get(field, "Name")),
                      json_string_value(json_object_get(field, "Old")), *type == 'E' ? ">" : "",
                      *type == 'N' ? "" : json_string_value(json_object_get(field, "New")));
    }
    json_array_foreach(json_object_get(diff, "Objects"), i, object)
    {
        (void)fprintf(out, " %c%s{", *json_string_value(json_object_get(object, "Type")),
                      json_string_value(json_object_get(object, "Name")));
        describe(out, object);
        (void)fputs(" }", out);
    }
}

static const struct {
    const char *from, *to, *wanted;
} cases[] = {
    {"{\"Priority\": 50}", "{\"Priority\": 50}", ""},
    {"{\"Priority\": 50}", "{\"Priority\": 60}", " ~Priority=50>60"},
    {"{\"User\": \"\"}", "{\"User\": \"me\"}", " +User=me"},
    {"{\"User\": \"me\"}", "{\"User\": \"\"}", " -User=me"},
    {"{\"User\": null}", "{\"User\": \"\"}", ""},
    {"{\"On\": false}", "{\"On\": true}", " ~On=false>true"},
    {"{\"B\": 1, \"A\": 1}", "{\"B\": 2, \"A\": 2}", " ~A=1>2 ~B=1>2"},
    {"{\"Meta\": {\"a\": \"1\", \"b\": \"2\"}}", "{\"Meta\": {\"a\": \"3\", \"c\": \"4\"}}",
     " ~Meta[a]=1>3 -Meta[b]=2 +Meta[c]=4"},
    {"{\"Env\": {}}", "{\"Env\": {\"X\": \"y\"}}", " +Env[X]=y"},
    {"{\"Config\": {\"command\": \"c\", \"args\": [\"a\", \"b\"]}}",
     "{\"Config\": {\"command\": \"c\", \"args\": [\"a\", \"x\"]}}",
     " EConfig{ args[0]=a ~args[1]=b>x command=c }"},
    {"{\"Config\": {\"m\": [{\"k\": {\"d\": 1}}]}}", "{\"Config\": {}}",
     " EConfig{ -m[0][k][d]=1 }"},
    {"{\"Resources\": {\"CPU\": 1, \"MemoryMB\": 9}}",
     "{\"Resources\": {\"CPU\": 2, \"MemoryMB\": 9}}", " EResources{ ~CPU=1>2 MemoryMB=9 }"},
    {"{}", "{\"Periodic\": {\"Spec\": \"* *\"}}", " APeriodic{ +Spec=* * }"},
    {"{\"Periodic\": {\"Spec\": \"* *\"}}", "{\"Periodic\": null}", " DPeriodic{ -Spec=* * }"},
    {"{\"Datacenters\": [\"a\", \"b\"]}", "{\"Datacenters\": [\"b\", \"a\"]}", ""},
    {"{\"Datacenters\": [\"a\", \"b\"]}", "{\"Datacenters\": [\"a\", \"c\"]}",
     " EDatacenters{ Datacenters=a -Datacenters=b +Datacenters=c }"},
    {"{\"Datacenters\": []}", "{\"Datacenters\": [\"c\"]}", " ADatacenters{ +Datacenters=c }"},
    {"{\"Constraints\": [{\"L\": \"x\"}]}", "{\"Constraints\": [{\"L\": \"y\"}]}",
     " DConstraint{ -L=x } AConstraint{ +L=y }"},
    {"{\"Affinities\": []}", "{\"Affinities\": [{\"L\": \"y\"}]}", " AAffinity{ +L=y }"},
    {"{\"Services\": [{\"Name\": \"s\", \"Port\": 1}]}",
     "{\"Services\": [{\"Name\": \"s\", \"Port\": 2}]}", " EService{ Name=s ~Port=1>2 }"},
    {"{\"Volumes\": {\"v\": {\"Source\": \"a\"}}}", "{\"Volumes\": {\"v\": {\"Source\": \"b\"}}}",
     " EVolume{ ~Source=a>b }"},
};

static void test_fields_and_objects(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        autojson json_t *from = json_loads(cases[i].from, 0, NULL);
        autojson json_t *to = json_loads(cases[i].to, 0, NULL);
        autojson json_t *diff = job_diff(from, to);
        autofree char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        describe(out, diff);
        assert_int_equal(fclose(out), 0);
        assert_string_equal(text, cases[i].wanted);
        assert_string_equal(json_string_value(json_object_get(diff, "Type")),
                            *cases[i].wanted ? "Edited" : "None");
    }
}

static const char *type_at(const json_t *diff, const char *list, size_t i)
{
    return json_string_value(
        json_object_get(json_array_get(json_object_get(diff, list), i), "Type"));
}

static void test_groups_and_tasks(void **state)
{
    autojson json_t *from = json_loads(
        "{\"ID\": \"j\", \"TaskGroups\": [{\"Name\": \"gone\"}, {\"Name\": \"same\"}, {\"Name\": "
        "\"g\", \"Tasks\": [{\"Name\": \"t\", \"User\": \"a\"}, {\"Name\": \"u\"}]}]}",
        0, NULL);
    autojson json_t *to = json_loads(
        "{\"ID\": \"j\", \"TaskGroups\": [{\"Name\": \"g\", \"Tasks\": [{\"Name\": \"t\", "
        "\"User\": \"b\"}, {\"Name\": \"v\"}]}, {\"Name\": \"same\"}, {\"Name\": \"new\"}]}",
        0, NULL);
    autojson json_t *diff = job_diff(from, to), *added = job_diff(NULL, to);
    const json_t *g = json_array_get(json_object_get(diff, "TaskGroups"), 0);

    (void)state;
    assert_string_equal(type_at(diff, "TaskGroups", 0), "Edited");
    assert_string_equal(type_at(diff, "TaskGroups", 1), "None");
    assert_string_equal(type_at(diff, "TaskGroups", 2), "Added");
    assert_string_equal(type_at(diff, "TaskGroups", 3), "Deleted");
    assert_string_equal(type_at(g, "Tasks", 0), "Edited");
    assert_string_equal(type_at(g, "Tasks", 1), "Added");
    assert_string_equal(type_at(g, "Tasks", 2), "Deleted");
    assert_string_equal(json_string_value(json_object_get(added, "Type")), "Added");
    assert_string_equal(json_string_value(json_object_get(added, "ID")), "j");
    assert_string_equal(type_at(added, "TaskGroups", 1), "Added");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_and_objects),
        cmocka_unit_test(test_groups_and_tasks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
