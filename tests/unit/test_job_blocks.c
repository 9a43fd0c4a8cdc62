/* SPDX-License-Identifier: MIT
 *
 * What becomes of each block and attribute of Nomad's that is not simply run: kept without effect,
 * with a warning, or refused with the place and what to do. And that all that is wrong with a file
 * is said at once, each at its line.
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
#include "shared/job/job.h"
#include "shared/job/schema.h"
#include "shared/job/value.h"

enum place {
    JOB,
    GROUP,
    TASK,
    RESOURCES,
    PLACE_N
};

static const char *const heads[PLACE_N] = {
    [JOB] = "job \"j\" {\n",
    [GROUP] = "job \"j\" {\n group \"g\" {\n",
    [TASK] = "job \"j\" {\n group \"g\" {\n  task \"t\" {\n",
    [RESOURCES] = "job \"j\" {\n group \"g\" {\n  task \"t\" {\n   resources {\n",
};

#define TASK_END " driver = \"exec\"\n config { command = \"c\" }\n }\n"

static const char *const tails[PLACE_N] = {
    [JOB] = "\n group \"g\" {\n task \"t\" {\n" TASK_END "}\n}\n",
    [GROUP] = "\n task \"t\" {\n" TASK_END "}\n}\n",
    [TASK] = "\n" TASK_END "}\n}\n",
    [RESOURCES] = "\n }\n" TASK_END "}\n}\n",
};

static int read_text(const char *text, struct job **ret, struct schema_problems *problems,
                     struct err *e)
{
    struct hcl_file *file = NULL;
    int r = hcl_parse("t.hcl", text, strlen(text), &file, e);

    if (r == 0)
        r = job_from_hcl_all(file, ret, problems, e);
    (void)hcl_file_free(file);
    return r;
}

static int read_at(enum place place, const char *text, struct job **ret, struct err *e)
{
    autofree char *whole = NULL;

    assert_true(asprintf(&whole, "%s%s%s", heads[place], text, tails[place]) > 0);
    return read_text(whole, ret, NULL, e);
}

static void note(void *arg, const char *owner, const char *name, const char *why)
{
    char line[256];

    (void)snprintf(line, sizeof(line), "%s: %s: %s;", owner, name, why);
    assert_true(strlen(arg) + strlen(line) < 1024);
    strcat(arg, line);
}

/* ---- kept, without effect ---- */

static const struct {
    enum place place;
    const char *text;
    const char *said; /* "": nothing */
    const char *json; /* of what holds it, the key and the value */
} inert[] = {
    {JOB, "affinity {\n attribute = \"${attr.arch}\"\n value = \"x\"\n}",
     "Job: affinity: there is no second host;",
     "{\"Affinities\":[{\"LTarget\":\"${attr.arch}\",\"RTarget\":\"x\",\"Operand\":\"=\","
     "\"Weight\":50}]}"},
    {GROUP, "affinity {\n weight = -10\n}\naffinity {\n weight = 20\n}",
     "Group \"g\": affinity: there is no second host;",
     "{\"Affinities\":[{\"LTarget\":\"\",\"RTarget\":\"\",\"Operand\":\"=\",\"Weight\":-10},"
     "{\"LTarget\":\"\",\"RTarget\":\"\",\"Operand\":\"=\",\"Weight\":20}]}"},
    {TASK, "affinity {\n weight = 1\n}", "Task \"t\": affinity: there is no second host;",
     "{\"Affinities\":[{\"LTarget\":\"\",\"RTarget\":\"\",\"Operand\":\"=\",\"Weight\":1}]}"},
    {JOB, "all_at_once = true", "Job: all_at_once: a job is placed whole or not at all;",
     "{\"AllAtOnce\":true}"},
    {JOB, "all_at_once = false", "", "{}"},
    {JOB, "migrate {\n max_parallel = 3\n}", "Job: migrate: there is no second host;",
     "{\"Migrate\":{\"MaxParallel\":3,\"HealthCheck\":\"checks\",\"MinHealthyTime\":10000000000,"
     "\"HealthyDeadline\":300000000000}}"},
    {GROUP, "migrate { }", "", "{}"},
    {JOB, "reschedule {\n attempts = 0\n unlimited = false\n}", "", "{}"},
    {GROUP, "reschedule {\n attempts = 3\n interval = \"1h\"\n delay_function = \"constant\"\n}",
     "Group \"g\": reschedule: there is no second host, the restart policy is all there is;",
     "{\"ReschedulePolicy\":{\"Attempts\":3,\"Interval\":3600000000000,\"Delay\":30000000000,"
     "\"DelayFunction\":\"constant\",\"MaxDelay\":3600000000000,\"Unlimited\":false}}"},
    {JOB, "spread {\n attribute = \"a\"\n target \"dc1\" {\n percent = 70\n }\n}",
     "Job: spread: there is no second host;",
     "{\"Spreads\":[{\"Attribute\":\"a\",\"Weight\":50,\"SpreadTarget\":[{\"Value\":\"dc1\","
     "\"Percent\":70}]}]}"},
    {GROUP, "spread {\n attribute = \"a\"\n}", "Group \"g\": spread: there is no second host;",
     "{\"Spreads\":[{\"Attribute\":\"a\",\"Weight\":50,\"SpreadTarget\":[]}]}"},
    {JOB, "ui {\n description = \"d\"\n link {\n label = \"l\"\n url = \"u\"\n }\n}",
     "Job: ui: it is for Nomad's own pages;",
     "{\"UI\":{\"Description\":\"d\",\"Links\":[{\"Label\":\"l\",\"URL\":\"u\"}]}}"},
    {GROUP, "disconnect {\n lost_after = \"6h\"\n}",
     "Group \"g\": disconnect: there is no server to lose the connection to;",
     "{\"Disconnect\":{\"LostAfter\":21600000000000,\"StopOnClientAfter\":0,\"Replace\":false,"
     "\"Reconcile\":\"best_score\"}}"},
    {GROUP, "max_client_disconnect = \"1h\"",
     "Group \"g\": max_client_disconnect: there is no server to lose the connection to;",
     "{\"MaxClientDisconnect\":3600000000000}"},
    {GROUP, "stop_after_client_disconnect = \"2s\"",
     "Group \"g\": stop_after_client_disconnect: there is no server to lose the connection to;",
     "{\"StopAfterClientDisconnect\":2000000000}"},
    {GROUP, "prevent_reschedule_on_lost = true",
     "Group \"g\": prevent_reschedule_on_lost: there is no server to lose the connection to;",
     "{\"PreventRescheduleOnLost\":true}"},
    {GROUP, "scaling {\n min = 1\n max = 4\n policy { cooldown = \"1m\" }\n}",
     "Group \"g\": scaling: there is no autoscaler;",
     "{\"Scaling\":{\"Enabled\":true,\"Min\":1,\"Max\":4,\"Policy\":{\"cooldown\":\"1m\"}}}"},
    {TASK, "scaling \"cpu\" {\n max = 500\n}", "Task \"t\": scaling: there is no autoscaler;",
     "{\"ScalingPolicies\":[{\"Type\":\"cpu\",\"Enabled\":true,\"Min\":0,\"Max\":500,"
     "\"Policy\":{}}]}"},
    {TASK, "action \"dump\" {\n command = \"/bin/d\"\n args = [\"x\"]\n}",
     "Task \"t\": action: start its command with \"cleat alloc exec\";",
     "{\"Actions\":[{\"Name\":\"dump\",\"Command\":\"/bin/d\",\"Args\":[\"x\"]}]}"},
    {RESOURCES, "disk = 500", "Task \"t\": disk: \"ephemeral_disk\" of the group has it;",
     "{\"DiskMB\":500}"},
    {RESOURCES, "disk = 300", "", "{}"},
    {RESOURCES, "iops = 5", "Task \"t\": iops: \"io_weight\" in the driver's config has;",
     "{\"IOPS\":5}"},
};

static json_t *holder(enum place place, const json_t *job)
{
    json_t *group = json_array_get(json_object_get(job, "TaskGroups"), 0);
    json_t *task = json_array_get(json_object_get(group, "Tasks"), 0);

    if (place == JOB)
        return (json_t *)job;
    if (place == RESOURCES)
        return json_object_get(task, "Resources");
    return place == GROUP ? group : task;
}

static void test_inert(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(inert); i++) {
        autojson json_t *expected = json_loads(inert[i].json, 0, NULL), *json = NULL,
                        *second = NULL;
        char said[1024] = "", again_said[1024] = "";
        struct job *job = NULL, *again = NULL;
        struct err e = ERR_INIT;
        const char *key;
        json_t *value;

        assert_non_null(expected);
        if (read_at(inert[i].place, inert[i].text, &job, &e))
            fail_msg("%s\n%s", inert[i].text, e.text);
        job_each_inert(job, note, said);
        assert_string_equal(said, inert[i].said);
        json = job_to_json(job);
        json_object_foreach(expected, key, value)
        {
            json_t *is = json_object_get(holder(inert[i].place, json), key);
            autofree char *text = json_dumps(is, JSON_COMPACT);

            if (!json_equal(is, value))
                fail_msg("%s\nbecame %s", inert[i].text, text);
        }
        if (job_from_json(json, &again, &e))
            fail_msg("%s", e.text);
        job_each_inert(again, note, again_said);
        assert_string_equal(again_said, said);
        second = job_to_json(again);
        assert_true(json_equal(json, second));
        job_free(job);
        job_free(again);
    }
}

/* ---- refused, and why ---- */

static const struct {
    enum place place;
    const char *text;
    const char *message;
} refused[] = {
    {JOB, "multiregion { }", "one host is one region; remove it"},
    {JOB, "vault { }", "read Vault with a template's \"secret\" instead"},
    {JOB, "vault_token = \"x\"", "read Vault with a template's \"secret\" instead"},
    {JOB, "consul_token = \"x\"", "there is no Consul here; remove it"},
    {GROUP, "network {\n port \"http\" { }\n}", "no ports are given out; remove it"},
    {GROUP, "service {\n name = \"x\"\n}", "no services are registered; remove it"},
    {GROUP, "consul { }", "there is no Consul here; remove it"},
    {GROUP, "vault { }", "read Vault with a template's \"secret\" instead"},
    {TASK, "service {\n port = \"http\"\n check { type = \"tcp\" }\n}",
     "no services are registered; remove it"},
    {TASK, "vault {\n policies = [\"x\"]\n}", "read Vault with a template's \"secret\" instead"},
    {TASK, "consul { }", "there is no Consul here; remove it"},
    {TASK, "identity {\n env = true\n}", "there are no servers to sign one"},
    {TASK, "schedule { }", "use \"periodic\" of the job"},
    {TASK, "secret \"x\" { }", "write it with a template into secrets/"},
    {TASK, "kind = \"connect-proxy:x\"", "there is no Consul here"},
    {TASK, "csi_plugin { }", "there are host volumes only"},
    {RESOURCES, "device \"nvidia/gpu\" { }", "there are no device plugins; name the host's nodes"},
    {RESOURCES, "numa {\n affinity = \"require\"\n}", "use \"cores\""},
    {RESOURCES, "network {\n mbits = 10\n}", "no ports are given out; remove it"},
};

static void test_refused(void **state)
{
    static const char *const lines[PLACE_N] = {[JOB] = "t.hcl:2:1: ",
                                               [GROUP] = "t.hcl:3:1: ",
                                               [TASK] = "t.hcl:4:1: ",
                                               [RESOURCES] = "t.hcl:5:1: "};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct job *job = NULL;
        struct err e = ERR_INIT;
        int r = read_at(refused[i].place, refused[i].text, &job, &e);

        if (r != -ENOTSUP || !strstr(e.text, refused[i].message) ||
            strncmp(e.text, lines[refused[i].place], strlen(lines[refused[i].place])) != 0)
            fail_msg("%s\ngave %d: %s", refused[i].text, r, e.text);
    }
}

static void test_inert_are_checked(void **state)
{
    static const struct {
        enum place place;
        const char *text;
        const char *message;
    } cases[] = {
        {GROUP, "reschedule {\n atempts = 1\n}", "did you mean \"attempts\"?"},
        {GROUP, "update {\n max_parallel = \"many\"\n}", "\"max_parallel\" must be a whole number"},
        {GROUP, "update { }\nupdate { }", "\"update\" is here already"},
        {GROUP, "update = { canary = 1 }", "\"update\" is a block; write update {"},
        {GROUP, "max_client_disconnect { }", "\"max_client_disconnect\" is an attribute"},
        {GROUP, "max_client_disconnect = 5", "\"max_client_disconnect\" must be a duration"},
        {TASK, "scaling {\n}", "\"scaling\" takes exactly one name"},
        {JOB, "affinity {\n weight = 101\n}", "\"weight\" is more than the most allowed, 100"},
        {JOB, "all_at_once { }", "\"all_at_once\" is an attribute"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct job *job = NULL;
        struct err e = ERR_INIT;
        int r = read_at(cases[i].place, cases[i].text, &job, &e);

        if (r != -EINVAL || !strstr(e.text, cases[i].message))
            fail_msg("%s\ngave %d: %s", cases[i].text, r, e.text);
    }
}

/* ---- all of it, each at its place ---- */

static void check_problems(const char *text, const char *const *expected, size_t n)
{
    struct schema_problems problems = {0};
    struct job *job = NULL;
    struct err e = ERR_INIT;

    assert_int_not_equal(read_text(text, &job, &problems, &e), 0);
    for (size_t i = 0; i < n && i < problems.n; i++)
        if (!strstr(problems.texts[i], expected[i]))
            fail_msg("%zu: %s", i, problems.texts[i]);
    assert_int_equal(problems.n, n);
    assert_string_equal(e.text, problems.texts[0]);
    schema_problems_deinit(&problems);
    assert_int_equal(problems.n, 0);
}

static void test_all_problems(void **state)
{
    static const char text[] = "job \"j\" {\n"                      /* 1 */
                               "  typ = \"batch\"\n"                /* 2 */
                               "  priority = 1000\n"                /* 3 */
                               "  group \"a\" {\n"                  /* 4 */
                               "    network { }\n"                  /* 5 */
                               "    task \"t\" {\n"                 /* 6 */
                               "      driver = \"exce\"\n"          /* 7 */
                               "      config { command = \"c\" }\n" /* 8 */
                               "      resources {\n"                /* 9 */
                               "        cpu        = 0\n"           /* 10 */
                               "        memory_max = 200\n"         /* 11 */
                               "        secrets    = 295\n"         /* 12 */
                               "      }\n"                          /* 13 */
                               "      logs {\n"                     /* 14 */
                               "        max_age        = \"1ms\"\n" /* 15 */
                               "        compress_after = \"1m\"\n"  /* 16 */
                               "      }\n"                          /* 17 */
                               "      resources = 5\n"              /* 18 */
                               "    }\n"
                               "  }\n"
                               "  group \"b\" {\n" /* 21 */
                               "    task \"t\" {\n"
                               "      driver = \"exec\"\n"
                               "      config { comand = \"c\" }\n" /* 24 */
                               "      user { }\n"                  /* 25 */
                               "    }\n"
                               "  }\n"
                               "}\n";
    static const char *const expected[] = {
        "t.hcl:2:3: unknown attribute \"typ\"",
        "t.hcl:3:14: \"priority\" is more than",
        "t.hcl:5:5: \"network\" is known to Nomad",
        "t.hcl:18:7: \"resources\" is a block",
        "t.hcl:7:16: there is no driver \"exce\"",
        "t.hcl:15:26: \"max_age\" of log files is less than 1s",
        "t.hcl:16:26: \"compress_after\" says when",
        "t.hcl:9:7: \"resources\" is set already at line 18",
        "t.hcl:25:7: \"user\" is an attribute",
        "t.hcl:24:16: unknown attribute \"comand\"",
        "t.hcl:24:7: a config block of the driver exec needs \"command\"",
    };

    (void)state;
    check_problems(text, expected, ARRAY_LEN(expected));
}

static void test_places_of_resources(void **state)
{
    static const char text[] = "job \"j\" {\n task \"a\" {\n driver = \"exec\"\n"
                               " config { command = \"c\" }\n resources {\n  cpu = 0\n"
                               "  memory_max = 200\n  secrets = 295\n }\n"
                               " restart {\n  attempts = 0\n  mode = \"delay\"\n }\n"
                               " }\n task \"b\" {\n"
                               " driver = \"exec\"\n config { command = \"c\" }\n resources {\n"
                               "  cores = 1\n  cpu = 100\n }\n }\n}\n";
    static const char *const expected[] = {
        "t.hcl:6:9: \"cpu\" is less than the least allowed",
        "t.hcl:7:16: \"memory_max\", 200, is less than \"memory\", 300",
        "t.hcl:8:13: \"secrets\", 295, is taken from \"memory\", 300",
        "t.hcl:20:9: a task takes \"cores\"",
    };
    static const char later[] = "job \"j\" {\n task \"a\" {\n driver = \"exec\"\n"
                                " config { command = \"c\" }\n"
                                " restart {\n  attempts = 0\n  mode = \"delay\"\n }\n"
                                " }\n task \"b\" {\n driver = \"exec\"\n"
                                " config { command = \"c\" }\n"
                                " logs {\n  compress = \"gzip\"\n  max_age = \"1m\"\n }\n }\n}\n";
    static const char *const between[] = {
        "t.hcl:5:2: 0 restart attempts",
        "t.hcl:13:2: log files are removed at \"max_age\"",
    };

    (void)state;
    check_problems(text, expected, ARRAY_LEN(expected));
    check_problems(later, between, ARRAY_LEN(between));
}

static void test_many_problems(void **state)
{
    struct schema_problems problems = {0};
    autofree char *text = NULL;
    struct job *job = NULL;
    struct err e = ERR_INIT;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    (void)fputs("job \"j\" {\n", out);
    for (int i = 0; i < 100; i++)
        (void)fprintf(out, " wrong%d = 1\n", i);
    (void)fputs("}\n", out);
    (void)fclose(out);
    assert_int_equal(read_text(text, &job, &problems, &e), -EINVAL);
    assert_int_equal(problems.n, SCHEMA_PROBLEMS_MAX);
    assert_non_null(strstr(problems.texts[19], "\"wrong19\""));
    schema_problems_deinit(&problems);
}

static void test_all_problems_of_json(void **state)
{
    autojson json_t *json = json_loads(
        "{\"ID\":\"j\",\"Bogus\":1,\"Priority\":0,\"TaskGroups\":[{\"Name\":\"g\",\"Count\":-1,"
        "\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"exec\",\"Config\":{\"command\":\"c\"},"
        "\"Resources\":{\"CPU\":0}}]},7]}",
        0, NULL);
    static const char *const expected[] = {
        "unknown key \"Bogus\"", "Priority: ", "TaskGroups[0].Count: ",
        "TaskGroups[0].Tasks[0].Resources.CPU: \"cpu\" is less", "TaskGroups[1]: "};
    struct schema_problems problems = {0};
    struct job *job = NULL;
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(job_from_json_all(json, &job, &problems, &e), -EINVAL);
    for (size_t i = 0; i < ARRAY_LEN(expected) && i < problems.n; i++)
        if (!strstr(problems.texts[i], expected[i]))
            fail_msg("%zu: %s", i, problems.texts[i]);
    assert_int_equal(problems.n, ARRAY_LEN(expected));
    schema_problems_deinit(&problems);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inert),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_inert_are_checked),
        cmocka_unit_test(test_all_problems),
        cmocka_unit_test(test_places_of_resources),
        cmocka_unit_test(test_many_problems),
        cmocka_unit_test(test_all_problems_of_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
