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
#include "shared/job/job.h"

#define SECOND 1000000000LL

/* ---- helpers ---- */

static int read_hcl(const char *text, struct job **ret, struct err *e)
{
    struct hcl_file *file = NULL;
    int r = hcl_parse("t.hcl", text, strlen(text), &file, e);

    if (r == 0)
        r = job_from_hcl(file, ret, e);
    (void)hcl_file_free(file);
    return r;
}

static int read_json(const char *text, struct job **ret, struct err *e)
{
    json_t *json = json_loads(text, 0, NULL);
    int r;

    assert_non_null(json);
    r = job_from_json(json, ret, e);
    json_decref(json);
    return r;
}

static struct job *must_read(int (*read)(const char *, struct job **, struct err *),
                             const char *text)
{
    struct job *job = NULL;
    struct err e = ERR_INIT;

    if (read(text, &job, &e) < 0)
        fail_msg("%s\n%s", text, e.text);
    return job;
}

struct refusal {
    const char *text;
    int code;
    const char *message; /* a part of it, the place included */
};

static void check_refusal(int (*read)(const char *, struct job **, struct err *),
                          const struct refusal *c)
{
    struct job *job = NULL;
    struct err e = ERR_INIT;
    int r = read(c->text, &job, &e);

    if (r != c->code || e.code != c->code || !strstr(e.text, c->message))
        fail_msg("%s\ngave %d: %s", c->text, r, e.text);
    assert_int_equal(read(c->text, &job, NULL), c->code);
    assert_null(job);
}

/* Through JSON and back is the same job. */
static void check_round_trip(const struct job *job)
{
    json_t *first = job_to_json(job), *second;
    struct job *again = NULL;
    struct err e = ERR_INIT;

    if (job_from_json(first, &again, &e) < 0)
        fail_msg("%s", e.text);
    second = job_to_json(again);
    assert_true(json_equal(first, second));
    json_decref(first);
    json_decref(second);
    assert_null(job_free(again));
}

/* ---- jobs that are accepted ---- */

static void test_everything(void **state)
{
    struct job *job =
        must_read(read_hcl, "job \"web\" {\n"
                            "  name = \"Web\"\n  type = \"batch\"\n  region = \"eu\"\n"
                            "  namespace = \"n\"\n  priority = \"70\"\n"
                            "  datacenters = [\"dc1\", \"dc2\"]\n  meta { owner = \"me\" }\n"
                            "  group \"g\" {\n    count = 0\n    meta = { a = 1, b = true }\n"
                            "    restart { attempts = 5, interval = \"10m\", delay = \"1m\" }\n"
                            "    ephemeral_disk { size = 500 }\n"
                            "    task \"t\" {\n      driver = \"exec\"\n"
                            "      config {\n command = \"sh\"\n args = [\"-c\", 1] }\n"
                            "      env {\n PORT = 8080\n \"A.b\" = \"${x}\" }\n"
                            "      user = \"www-data\"\n      kill_signal = \"SIGINT\"\n"
                            "      kill_timeout = \"1m30s\"\n      shutdown_delay = \"2s\"\n"
                            "      logs {\n max_files = 3\n max_file_size = 7\n disabled = true\n"
                            "        max_age = \"48h\"\n compress = \"gzip\"\n"
                            "        compress_after = \"10m\"\n on_full = \"block\" }\n"
                            "      resources {\n cpu = 500\n memory = 64 }\n"
                            "      restart { mode = \"delay\" }\n"
                            "    }\n  }\n"
                            "  task \"alone\" {\n    driver = \"raw_exec\"\n"
                            "    config = { command = \"x\" }\n  }\n}\n");
    const struct job_group *g = job_find_group(job, "g");
    const struct job_task *t = job_group_find_task(g, "t");

    (void)state;
    assert_string_equal(job->id, "web");
    assert_string_equal(job->name, "Web");
    assert_int_equal(job->type, JOB_TYPE_BATCH);
    assert_string_equal(job->region, "eu");
    assert_string_equal(job->namespace_, "n");
    assert_int_equal(job->priority, 70);
    assert_string_equal(job->datacenters[1], "dc2");
    assert_null(job->datacenters[2]);
    assert_int_equal(g->count, 0);
    assert_string_equal(json_string_value(json_object_get(g->meta, "a")), "1");
    assert_string_equal(json_string_value(json_object_get(g->meta, "b")), "true");
    assert_int_equal(g->pos.line, 9);
    assert_string_equal(json_string_value(json_object_get(t->env, "PORT")), "8080");
    assert_string_equal(json_string_value(json_object_get(t->env, "A.b")), "${x}");
    assert_string_equal(t->user, "www-data");
    assert_string_equal(t->kill_signal, "SIGINT");
    assert_int_equal(t->kill_timeout_ns, 90 * SECOND);
    assert_int_equal(t->shutdown_delay_ns, 2 * SECOND);
    assert_int_equal(t->logs.max_files, 3);
    assert_int_equal(t->logs.max_file_size_mb, 7);
    assert_true(t->logs.disabled);
    assert_int_equal(t->logs.max_age_ns, 48 * 3600 * SECOND);
    assert_int_equal(t->logs.compress, JOB_COMPRESS_GZIP);
    assert_int_equal(t->logs.compress_after_ns, 600 * SECOND);
    assert_int_equal(t->logs.on_full, JOB_ON_FULL_BLOCK);
    assert_int_equal(g->disk.size_mb, 500);
    assert_int_equal(t->resources.cpu_mhz, 500);
    assert_int_equal(t->resources.memory_mb, 64);
    assert_true(t->restart.set);
    assert_int_equal(t->restart.attempts, 5);
    assert_int_equal(t->restart.delay_ns, 60 * SECOND);
    assert_string_equal(t->restart.mode, "delay");
    assert_string_equal(g->restart.mode, "fail");
    assert_int_equal(job->n_groups, 2);
    assert_int_equal(job->n_loose_tasks, 0);
    assert_string_equal(job->groups[1].name, "alone");
    assert_int_equal(job->groups[1].count, 1);
    check_round_trip(job);
    assert_null(job_free(job));
}

static void test_defaults(void **state)
{
    static const struct {
        const char *type;
        int64_t attempts, interval_s;
    } cases[] = {{"service", 2, 1800}, {"batch", 3, 86400}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[256];
        struct job *job;
        const struct job_task *task;

        (void)snprintf(text, sizeof(text),
                       "job j { \n type = \"%s\"\n task t { \n driver = \"exec\"\n config { "
                       "command = \"c\" } } }",
                       cases[i].type);
        job = must_read(read_hcl, text);
        task = &job->groups[0].tasks[0];
        assert_string_equal(job->name, "j");
        assert_string_equal(job_type_name(job->type), cases[i].type);
        assert_string_equal(job->region, "global");
        assert_string_equal(job->namespace_, "default");
        assert_string_equal(job->datacenters[0], "*");
        assert_int_equal(job->priority, 50);
        assert_int_equal(task->kill_timeout_ns, 5 * SECOND);
        assert_int_equal(task->shutdown_delay_ns, 0);
        assert_string_equal(task->user, "");
        assert_int_equal(task->logs.max_files, 10);
        assert_int_equal(task->logs.max_file_size_mb, 10);
        assert_int_equal(task->resources.cpu_mhz, 100);
        assert_int_equal(task->resources.memory_mb, 300);
        assert_false(task->restart.set);
        assert_int_equal(task->restart.attempts, cases[i].attempts);
        assert_int_equal(task->restart.interval_ns, cases[i].interval_s * SECOND);
        assert_int_equal(task->restart.delay_ns, 15 * SECOND);
        assert_string_equal(task->restart.mode, "fail");
        check_round_trip(job);
        assert_null(job_free(job));
    }
}

/* As Nomad's own command line sends a minimal job. */
static void test_json_of_nomad(void **state)
{
    struct job *job = must_read(
        read_json,
        "{\"ID\":\"j\",\"Name\":null,\"Type\":\"service\",\"AllAtOnce\":false,\"NodePool\":"
        "\"default\",\"Constraints\":null,\"Periodic\":null,\"Multiregion\":null,\"Stop\":true,"
        "\"Status\":\"running\",\"Version\":7,\"SomethingNew\":null,\"Region\":\"\",\"priority\":"
        "10,"
        "\"Update\":{\"Stagger\":30000000000,\"MaxParallel\":1,\"HealthCheck\":\"checks\","
        "\"AutoRevert\":false,\"Canary\":0},"
        "\"TaskGroups\":[{\"Name\":\"g\",\"Count\":2,\"EphemeralDisk\":{\"SizeMB\":300,"
        "\"Sticky\":false},\"ReschedulePolicy\":{\"Attempts\":0,\"Interval\":0,"
        "\"Delay\":30000000000,\"DelayFunction\":\"exponential\",\"MaxDelay\":3600000000000,"
        "\"Unlimited\":true},\"Migrate\":{\"MaxParallel\":1,\"HealthCheck\":\"checks\","
        "\"MinHealthyTime\":10000000000,\"HealthyDeadline\":300000000000},\"Networks\":[],"
        "\"RestartPolicy\":{\"Attempts\":1,\"Interval\":1800000000000,\"Delay\":\"1s\","
        "\"Mode\":\"fail\",\"RenderTemplates\":false},"
        "\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"exec\",\"Config\":{\"command\":\"/bin/true\","
        "\"args\":[\"a\"]},\"Env\":null,\"Leader\":false,\"Lifecycle\":null,\"Templates\":[],"
        "\"KillTimeout\":7000000000,\"Resources\":{\"CPU\":100,\"MemoryMB\":20,\"DiskMB\":0,"
        "\"Cores\":null,\"NUMA\":null,\"MemoryMaxMB\":0},\"LogConfig\":{\"MaxFiles\":2}}]}]}");

    (void)state;
    assert_string_equal(job->name, "j");
    assert_string_equal(job->region, "global");
    assert_int_equal(job->priority, 10);
    assert_int_equal(job->groups[0].count, 2);
    assert_int_equal(job->groups[0].tasks[0].kill_timeout_ns, 7 * SECOND);
    assert_int_equal(job->groups[0].tasks[0].restart.attempts, 1);
    assert_int_equal(job->groups[0].tasks[0].restart.delay_ns, SECOND);
    assert_int_equal(job->groups[0].tasks[0].logs.max_files, 2);
    assert_int_equal(job->groups[0].tasks[0].logs.max_file_size_mb, 10);
    check_round_trip(job);
    assert_null(job_free(job));
}

static void test_resources(void **state)
{
    struct job *job = must_read(
        read_hcl, "job \"j\" {\n"
                  "  task \"cores\" {\n driver = \"exec\"\n config { command = \"c\" }\n"
                  "    resources {\n cores = 2\n memory = 64\n memory_max = 128\n pids = 9 }\n  }\n"
                  "  task \"free\" {\n driver = \"exec\"\n config { command = \"c\" }\n"
                  "    resources { memory_max = -1 }\n  }\n}\n");
    const struct job_resources *cores = &job->groups[0].tasks[0].resources;
    const struct job_resources *free_ = &job->groups[1].tasks[0].resources;

    (void)state;
    assert_int_equal(cores->cores, 2);
    assert_int_equal(cores->cpu_mhz, 0);
    assert_int_equal(cores->memory_max_mb, 128);
    assert_int_equal(cores->pids, 9);
    assert_int_equal(free_->cpu_mhz, 100);
    assert_int_equal(free_->memory_max_mb, -1);
    check_round_trip(job);
    assert_null(job_free(job));
}

static void test_volumes(void **state)
{
    struct job *job = must_read(
        read_hcl, "job \"j\" {\n  group \"g\" {\n"
                  "    volume \"a\" {\n type = \"host\"\n source = \"x\" }\n"
                  "    volume \"b\" {\n type = \"host\"\n source = \"x\"\n read_only = true }\n"
                  "    task \"t\" {\n driver = \"exec\"\n config { command = \"c\" }\n"
                  "      volume_mount {\n volume = \"b\"\n destination = \"/b..\" }\n"
                  "      volume_mount {\n volume = \"a\"\n destination = \"${NOMAD_TASK_DIR}/a\"\n"
                  "        read_only = true\n propagation_mode = \"host-to-task\" }\n"
                  "    }\n  }\n}\n");
    struct job *of_nomad = must_read(
        read_json,
        "{\"ID\":\"j\",\"TaskGroups\":[{\"Name\":\"g\",\"Volumes\":{\"a\":{\"Name\":\"a\",\"Type\":"
        "\"host\",\"Source\":\"x\",\"ReadOnly\":true,\"AccessMode\":\"\",\"AttachmentMode\":\"\","
        "\"MountOptions\":null,\"PerAlloc\":false},\"b\":{\"Name\":null,\"Type\":\"host\","
        "\"Source\":\"y\"}},"
        "\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"exec\",\"Config\":{\"command\":\"c\"},"
        "\"VolumeMounts\":[{\"Volume\":\"a\",\"Destination\":\"/a\",\"ReadOnly\":false,"
        "\"PropagationMode\":\"\",\"SELinuxLabel\":\"\"}]}]}]}");
    const struct job_group *g = &job->groups[0];
    const struct job_volume_mount *m = g->tasks[0].volume_mounts;

    (void)state;
    assert_int_equal(g->n_volumes, 2);
    assert_ptr_equal(job_group_find_volume(g, "b"), &g->volumes[1]);
    assert_null(job_group_find_volume(g, "x"));
    assert_string_equal(g->volumes[1].source, "x");
    assert_true(g->volumes[1].read_only && !g->volumes[0].read_only);
    assert_int_equal(g->tasks[0].n_volume_mounts, 2);
    assert_true(!m[0].read_only && m[1].read_only);
    assert_int_equal(m[0].propagation, JOB_PROPAGATION_PRIVATE);
    assert_int_equal(m[1].propagation, JOB_PROPAGATION_HOST_TO_TASK);
    check_round_trip(job);
    assert_null(job_free(job));

    g = &of_nomad->groups[0];
    assert_int_equal(g->n_volumes, 2);
    assert_string_equal(job_group_find_volume(g, "b")->source, "y");
    assert_int_equal(g->tasks[0].volume_mounts[0].propagation, JOB_PROPAGATION_PRIVATE);
    check_round_trip(of_nomad);
    assert_null(job_free(of_nomad));
}

static void test_lifecycle(void **state)
{
    struct job *job =
        must_read(read_hcl, "job \"j\" {\n  group \"g\" {\n    shutdown_delay = \"3s\"\n"
                            "    task \"m\" {\n driver = \"exec\"\n config { command = \"c\" }\n"
                            "      leader = true\n    }\n"
                            "    task \"s\" {\n driver = \"exec\"\n config { command = \"c\" }\n"
                            "      lifecycle {\n hook = \"prestart\"\n sidecar = true\n }\n    }\n"
                            "    task \"z\" {\n driver = \"exec\"\n config { command = \"c\" }\n"
                            "      lifecycle {\n hook = \"poststop\"\n }\n    }\n  }\n}\n");
    struct job *of_nomad = must_read(
        read_json, "{\"ID\":\"j\",\"Type\":\"batch\",\"TaskGroups\":[{\"Name\":\"g\","
                   "\"ShutdownDelay\":null,\"Tasks\":[{\"Name\":\"t\",\"Driver\":\"exec\","
                   "\"Config\":{\"command\":\"c\"},\"Leader\":null,"
                   "\"Lifecycle\":{\"Hook\":\"poststart\",\"Sidecar\":true}}]}]}");
    const struct job_group *g = &job->groups[0];
    json_t *json = job_to_json(job), *tasks, *lifecycle;

    (void)state;
    assert_int_equal(g->shutdown_delay_ns, 3 * SECOND);
    assert_true(g->tasks[0].leader && !g->tasks[0].lifecycle.set);
    assert_int_equal(g->tasks[1].lifecycle.hook, JOB_HOOK_PRESTART);
    assert_true(g->tasks[1].lifecycle.sidecar && !g->tasks[1].leader);
    assert_int_equal(g->tasks[2].lifecycle.hook, JOB_HOOK_POSTSTOP);
    assert_true(job_restarts_on_success(JOB_TYPE_SERVICE, &g->tasks[0]));
    assert_false(job_restarts_on_success(JOB_TYPE_BATCH, &g->tasks[0]));
    assert_true(job_restarts_on_success(JOB_TYPE_BATCH, &g->tasks[1]));
    assert_false(job_restarts_on_success(JOB_TYPE_SERVICE, &g->tasks[2]));
    check_round_trip(job);
    tasks = json_object_get(json_array_get(json_object_get(json, "TaskGroups"), 0), "Tasks");
    assert_true(json_is_null(json_object_get(json_array_get(tasks, 0), "Lifecycle")));
    lifecycle = json_object_get(json_array_get(tasks, 2), "Lifecycle");
    assert_string_equal(json_string_value(json_object_get(lifecycle, "Hook")), "poststop");
    assert_true(json_is_false(json_object_get(lifecycle, "Sidecar")));
    json_decref(json);
    assert_null(job_free(job));

    assert_int_equal(of_nomad->groups[0].tasks[0].lifecycle.hook, JOB_HOOK_POSTSTART);
    assert_true(of_nomad->groups[0].tasks[0].lifecycle.sidecar);
    check_round_trip(of_nomad);
    assert_null(job_free(of_nomad));
}

/* ---- jobs that are refused ---- */

#define JOB(body) "job \"j\" {\n" body "\n}"
#define TASK(body) JOB("task \"t\" {\n driver = \"exec\"\n config { command = \"c\" }\n" body "\n}")
#define A_TASK "task \"t\" {\n driver = \"exec\"\n config { command = \"c\" }\n}"
#define LAUNCHED(type, block) JOB("type = \"" type "\"\n" block "\n" A_TASK)
#define GROUP(body)                                                                                \
    JOB("group \"g\" {\n" body                                                                     \
        "\n task \"t\" {\n driver = \"exec\"\n config { command = \"c\" }\n}\n}")

#define MOUNT(path) "volume_mount {\n volume = \"data\"\n destination = \"" path "\" }\n"
#define VOLUME(body)                                                                               \
    JOB("group \"g\" {\n volume \"data\" {\n type = \"host\"\n source = \"d\" }\n"                 \
        "task \"t\" {\n driver = \"exec\"\n config { command = \"c\" }\n" body "}\n}")

#define LEADER(name)                                                                               \
    "task \"" name "\" {\n driver = \"exec\"\n config { command = \"c\" }\n leader = true\n}\n"

static void test_hcl_refusals(void **state)
{
    static const struct refusal cases[] = {
        {"", -EINVAL, "t.hcl:1:1: there is no job in this file"},
        {"task \"x\" {}", -EINVAL, "t.hcl:1:1: unknown block \"task\" in a job file"},
        {"job {}", -EINVAL, "t.hcl:1:1: \"job\" takes exactly one name"},
        {"job a b {}", -EINVAL, "\"job\" takes exactly one name"},
        {"job = 1", -EINVAL, "\"job\" is a block"},
        {"job \"\" {}", -EINVAL, "a job needs a name"},
        {"job \"a b\" {}", -EINVAL, "has a space"},
        {"job a {}", -EINVAL, "has nothing to run"},
        {"job \"a\\tb\" {}", -EINVAL, "control character"},
        {TASK("") "\njob \"k\" {}", -EINVAL, "t.hcl:8:1: a job file holds one job"},
        {"variable \"x\" {}", -ENOTSUP, "\"variable\" is known to Nomad"},
        {JOB("group \"g\" {}"), -EINVAL, "t.hcl:2:1: the group \"g\" has no task"},
        {JOB("tsak \"t\" {}"), -EINVAL,
         "t.hcl:2:1: unknown block \"tsak\" in a job; did you mean "
         "\"task\"?"},
        {TASK("resources { memory_mb = 20 }"), -EINVAL, "did you mean \"memory\""},
        {JOB("priorty = 1"), -EINVAL,
         "unknown attribute \"priorty\" in a job; did you mean \"priority\""},
        {JOB("priority = 101"), -EINVAL,
         "t.hcl:2:12: \"priority\" is more than the most allowed, 100"},
        {JOB("priority = 0"), -EINVAL, "\"priority\" is less than the least allowed, 1"},
        {JOB("priority = 1.5"), -EINVAL, "\"priority\" must be a whole number, not a number"},
        {JOB("priority = \"x\""), -EINVAL, "\"priority\" must be a whole number, not this text"},
        {JOB("priority {}"), -EINVAL, "\"priority\" is an attribute; write priority ="},
        {JOB("type = \"servce\""), -EINVAL,
         "cannot be \"servce\"; write \"service\", \"batch\", \"system\" or \"sysbatch\""},
        {JOB("type = \"system\"\ngroup g {\ncount = 2\n" A_TASK "\n}"), -EINVAL,
         "t.hcl:3:1: the group \"g\" has a count of 2, and those of a system job"},
        {JOB("type = \"sysbatch\"\ngroup g {\ncount = 2\n" A_TASK "\n}"), -EINVAL,
         "remove the count, or make the job a batch job"},
        {JOB("type = 1"), -EINVAL, "\"type\" must be a string, not a number"},
        {JOB("datacenters = \"dc1\""), -EINVAL, "\"datacenters\" must be a list of strings"},
        {JOB("datacenters = []\ntask t { \n driver = \"exec\"\nconfig { command = \"c\" } }"),
         -EINVAL, "list of datacenters is empty"},
        {JOB("datacenters = [[]]"), -EINVAL, "\"datacenters\" must be a list of strings"},
        {JOB("meta = 1"), -EINVAL, "\"meta\" must be a map of strings, not a number"},
        {JOB("meta { a { } }"), -EINVAL, "\"meta\" must be a map of strings"},
        {JOB("meta { a = 1 }\nmeta { b = 1 }"), -EINVAL,
         "t.hcl:3:1: \"meta\" is here already at line 2 column 1"},
        {JOB("meta = { a = 1 }\nmeta { b = 1 }"), -EINVAL, "\"meta\" is set already at line 2"},
        {LAUNCHED("service", "periodic { cron = \"@daily\" }"), -EINVAL,
         "t.hcl:3:1: a periodic job is of the type \"batch\" or \"sysbatch\", not \"service\""},
        {LAUNCHED("system", "parameterized { }"), -EINVAL, "a parameterized job is of the type"},
        {LAUNCHED("batch", "periodic { }"), -EINVAL, "is periodic, but not when"},
        {LAUNCHED("batch", "periodic {\n cron = \"@daily\"\ncrons = [\"@hourly\"] }"), -EINVAL,
         "\"cron\" and \"crons\" both say when"},
        {LAUNCHED("batch", "periodic { cron = \"61 * * * *\" }"), -EINVAL,
         "t.hcl:3:1: \"61 * * * *\" is no cron expression: \"61\" cannot be the minute"},
        {LAUNCHED("batch", "periodic { crons = [\"@daily\", \"* * *\"] }"), -EINVAL, "too few"},
        {LAUNCHED("batch", "periodic {\n cron = \"@daily\"\ntime_zone = \"Mars/Base\" }"), -EINVAL,
         "this host knows no time zone \"Mars/Base\""},
        {LAUNCHED("batch", "periodic {\n cron = \"@daily\"\ntime_zone = \"../../../etc/passwd\" }"),
         -EINVAL, "this host knows no time zone"},
        {LAUNCHED("batch", "parameterized { payload = \"no\" }"), -EINVAL,
         "write \"optional\", \"required\" or \"forbidden\""},
        {LAUNCHED("batch", "parameterized {\n meta_required = [\"a\"]\nmeta_optional = [\"a\"] }"),
         -EINVAL, "\"a\" is in \"meta_required\" and in \"meta_optional\""},
        {TASK("dispatch_payload { file = \"../x\" }"), -EINVAL, "a path below the task's local/"},
        {TASK("dispatch_payload { file = \"/x\" }"), -EINVAL, "a path below the task's local/"},
        {TASK("dispatch_payload { file = \"a/\" }"), -EINVAL, "\"a/\" is a directory"},
        {TASK("dispatch_payload { }"), -EINVAL, "needs \"file\""},
        {JOB("vault { }"), -ENOTSUP, "\"vault\" is known to Nomad"},
        {GROUP("network { port \"http\" {} }"), -ENOTSUP, "\"network\" is known to Nomad"},
        {GROUP("volume \"v\" { }"), -EINVAL, "a volume needs \"type\""},
        {GROUP("volume \"v\" { type = \"host\" }"), -EINVAL, "a volume needs \"source\""},
        {GROUP("volume \"v\" {\n type = \"csi\"\n source = \"x\" }"), -ENOTSUP,
         "the type \"csi\" are not supported by this release"},
        {GROUP("volume \"v\" {\n type = \"nfs\"\n source = \"x\" }"), -EINVAL,
         "there is no type \"nfs\" of volumes"},
        {GROUP("volume \"v\" {\n type = \"host\"\n source = \"x\"\n per_alloc = true }"), -ENOTSUP,
         "\"per_alloc\" is known to Nomad"},
        {GROUP("volume { type = \"host\" }"), -EINVAL, "\"volume\" takes exactly one name"},
        {TASK("volume_mount { destination = \"/x\" }"), -EINVAL, "a volume_mount needs \"volume\""},
        {TASK("volume_mount { volume = \"v\" }"), -EINVAL, "a volume_mount needs \"destination\""},
        {TASK("volume_mount {\n volume = \"v\"\n destination = \"/x\" }"), -EINVAL,
         "t.hcl:5:1: the volume_mount asks for the volume \"v\", which the group \"t\" does not"},
        {VOLUME("volume_mount {\n volume = \"datum\"\n destination = \"/x\" }"), -EINVAL,
         "does not have; did you mean \"data\"? Add volume \"datum\" { … }"},
        {VOLUME(MOUNT("/x") MOUNT("/y") MOUNT("/x")), -EINVAL, "two volumes are to be at \"/x\""},
        {VOLUME(MOUNT("x")), -EINVAL, "an absolute path without \"..\", not \"x\""},
        {VOLUME(MOUNT("/x/../y")), -EINVAL, "without \"..\", not \"/x/../y\""},
        {VOLUME(MOUNT("/..")), -EINVAL, "without \"..\", not \"/..\""},
        {VOLUME(MOUNT("//")), -EINVAL, "cannot be shown at \"/\""},
        {VOLUME(MOUNT("//proc/x")), -EINVAL, "cannot be shown at \"/proc/x\""},
        {VOLUME("volume_mount {\n volume = \"data\"\n destination = \"/x\"\n"
                "propagation_mode = \"shared\" }"),
         -EINVAL, "write \"private\", \"host-to-task\" or \"bidirectional\""},
        {GROUP("service { }"), -ENOTSUP, "\"service\" is known to Nomad"},
        {GROUP("count = -1"), -EINVAL, "\"count\" is less than the least allowed, 0"},
        {GROUP("restart \"x\" { }"), -EINVAL, "\"restart\" takes no name"},
        {GROUP("restart { interval = \"4s\" }"), -EINVAL,
         "t.hcl:3:1: the restart interval is less"},
        {GROUP("restart { attempts = 0, mode = \"delay\" }"), -EINVAL,
         "0 restart attempts with mode"},
        {GROUP("restart { attempts = 9, interval = \"1m\" }"), -EINVAL,
         "9 restart attempts 15s apart do not fit into the interval of 60s"},
        {GROUP("restart { attempts = 9000000000000000 }"), -EINVAL, "do not fit"},
        {GROUP("restart { mode = \"never\" }"), -EINVAL, "\"mode\" is \"fail\" or \"delay\""},
        {GROUP("restart { delay = \"soon\" }"), -EINVAL, "\"delay\" must be a duration"},
        {GROUP("restart { delay = 15 }"), -EINVAL,
         "t.hcl:3:19: \"delay\" is a number without a unit; write \"10s\""},
        {JOB("group \"g\" {}\ngroup \"g\" {}"), -EINVAL,
         "t.hcl:3:1: there is a group \"g\" already"},
        {GROUP("task \"t\" {\n driver = \"exec\"\n config { command = \"c\" }\n}"), -EINVAL,
         "t.hcl:7:2: there is a task \"t\" already"},
        {JOB("group \"t\" {\n task \"t\" {\n driver = \"exec\"\n config { command = \"c\" }\n}\n}\n"
             "task \"t\" {\n driver = \"exec\"\n config { command = \"c\" }\n}"),
         -EINVAL, "t.hcl:8:1: there is a group \"t\" already"},
        {JOB("task \"alloc\" {}"), -EINVAL, "t.hcl:2:1: a task cannot be named \"alloc\""},
        {JOB("task \"a/b\" {}"), -EINVAL, "becomes a directory"},
        {JOB("task \"a\\\\b\" {}"), -EINVAL, "becomes a directory"},
        {JOB("task \"..\" {}"), -EINVAL, "becomes a directory"},
        {JOB("task \"\" {}"), -EINVAL, "a task needs a name"},
        {JOB("task \"t\" {}"), -EINVAL, "t.hcl:2:1: a task needs \"driver\"; add driver = "},
        {JOB("task \"t\" { driver = null }"), -EINVAL, "a task needs \"driver\""},
        {JOB("task \"t\" { driver = \"docker\" }"), -ENOTSUP,
         "t.hcl:2:21: the driver \"docker\" is known to Nomad but not run by this release"},
        {JOB("task \"t\" { driver = \"exce\" }"), -EINVAL,
         "there is no driver \"exce\"; did you mean \"exec\"?"},
        {JOB("task \"t\" { driver = \"podman\" }"), -EINVAL,
         "there is no driver \"podman\". This release runs"},
        {JOB("task \"t\" { driver = \"exec\" }"), -EINVAL,
         "a task needs \"config\"; add config { "},
        {TASK("kill_signal = \"SIGFOO\""), -EINVAL, "t.hcl:5:15: there is no signal \"SIGFOO\""},
        {TASK("kill_timeout = \"5\""), -EINVAL, "\"kill_timeout\" must be a duration"},
        {TASK("kill_timeout = 10"), -EINVAL, "\"kill_timeout\" is a number without a unit"},
        {TASK("env { \"A=B\" = 1 }"), -EINVAL, "cannot be the name of an environment variable"},
        {TASK("env { A = [] }"), -EINVAL, "\"env\" must be a map of strings"},
        {TASK("env { A = { b = 1 } }"), -EINVAL, "\"env\" must be a map of strings"},
        {TASK("resources { memory = 9 }"), -EINVAL,
         "\"memory\" is less than the least allowed, 10"},
        {TASK("resources { cpu = 0 }"), -EINVAL, "\"cpu\" is less than the least allowed, 1"},
        {TASK("resources {\n cores = 2\n cpu = 100 }"), -EINVAL,
         "a task takes \"cores\", which are its own, or \"cpu\""},
        {TASK("resources { memory_max = 200 }"), -EINVAL,
         "\"memory_max\", 200, is less than \"memory\", 300"},
        {TASK("resources { memory_max = -2 }"), -EINVAL, "\"memory_max\" is less than"},
        {TASK("resources { pids = 5000000 }"), -EINVAL, "\"pids\" is more than"},
        {TASK("resources = { cpu = 10 }"), -EINVAL, "\"resources\" is a block; write resources {"},
        {TASK("logs { max_files = 0 }"), -EINVAL,
         "\"max_files\" is less than the least allowed, 1"},
        {TASK("logs { max_file_size = 0 }"), -EINVAL, "\"max_file_size\" is less than"},
        {TASK("logs { enabled = false }"), -ENOTSUP, "use \"disabled = true\""},
        {TASK("logs { disabled = 1 }"), -EINVAL,
         "\"disabled\" must be true or false, not a number"},
        {TASK("logs { compress = \"zip\" }"), -EINVAL, "\"none\" or \"gzip\""},
        {TASK("logs { on_full = \"wait\" }"), -EINVAL, "\"drop\" or \"block\""},
        {TASK("logs { compress_after = \"1m\" }"), -EINVAL, "add compress = \"gzip\""},
        {TASK("logs { max_age = \"10ms\" }"), -EINVAL, "\"max_age\" of log files is less than 1s"},
        {TASK("logs {\n max_age = \"1m\"\n compress = \"gzip\" }"), -EINVAL,
         "before \"compress_after\" comes"},
        {TASK("logs { max_age = \"-1s\" }"), -EINVAL, "\"max_age\" must be a duration"},
        {JOB("group \"g\" { ephemeral_disk { size = 9 } }"), -EINVAL,
         "\"size\" is less than the least allowed, 10"},
        {TASK("resources {\n memory = 20\n secrets = 11 }"), -EINVAL,
         "leaves less than 10 MiB of it to the task"},
        {JOB("group \"g\" { ephemeral_disk { size = -1 } }"), -EINVAL, "\"size\" is less than"},
        {TASK("template { }"), -EINVAL, "\"destination\""},
        {TASK("lifecycle { }"), -EINVAL, "a lifecycle block needs \"hook\"; add hook ="},
        {TASK("lifecycle { hook = \"\" }"), -EINVAL, "a lifecycle block needs \"hook\""},
        {TASK("lifecycle { hook = \"prestop\" }"), -EINVAL,
         "\"hook\" cannot be \"prestop\"; write \"prestart\", \"poststart\" or \"poststop\""},
        {TASK("lifecycle { hook = \"poststop\" }\n leader = true"), -EINVAL,
         "so its end cannot end them"},
        {TASK("leader = \"yes\""), -EINVAL, "\"leader\" must be"},
        {JOB("group \"g\" {\n" LEADER("a") LEADER("b") "}"), -EINVAL,
         "the group \"g\" has a leader already, task \"a\""},
        {GROUP("shutdown_delay = \"-1s\""), -EINVAL, "\"shutdown_delay\" must be a duration"},
        {TASK("artifact { }"), -EINVAL, "\"source\""},
        {TASK("artifact { source = \"example.org/x\" }"), -EINVAL, "begin it with https://"},
        {TASK("artifact { source = \"ftp://x/y\" }"), -EINVAL, "\"ftp://x/y\""},
        {TASK("artifact { source = \"gcs::https://x/y\" }"), -ENOTSUP, "Google Cloud Storage"},
        {TASK("artifact {\n source = \"http://x/y\"\n options { checksum = \"md5:12\" } }"),
         -EINVAL, "has 32 hex digits, not 2"},
        {TASK("artifact {\n source = \"http://${x}/y\"\n options { checksum = \"crc32:12\" } }"),
         -EINVAL, "there is no checksum of the type \"crc32\""},
        {TASK("artifact {\n source = \"http://x/y\"\n options { archive = \"rar\" } }"), -EINVAL,
         "archive = \"rar\" is no kind of archive"},
        {TASK("artifact {\n source = \"git::http://x/y\"\n options { checksum = \"md5:1\" } }"),
         -EINVAL, "a repository has no checksum"},
        {TASK("artifact {\n source = \"http://x/y\"\n mode = \"link\" }"), -EINVAL, "\"mode\""},
        {TASK("artifact {\n source = \"http://x/y\"\n destination = \"local/../../../x\" }"),
         -EINVAL, "leads out of the allocation's directory"},
        {TASK("artifact {\n source = \"http://x/y\"\n headers { \"a b\" = \"c\" } }"), -EINVAL,
         "\"a b\" is no name and value of an HTTP header"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_refusal(read_hcl, &cases[i]);
}

#define JSON_TASK(keys)                                                                            \
    "{\"ID\":\"j\",\"TaskGroups\":[{\"Name\":\"g\",\"Tasks\":[{\"Name\":\"t\",\"Driver\":"         \
    "\"exec\",\"Config\":{\"command\":\"c\"}" keys "}]}]}"

#define JSON_GROUP(body) "{\"ID\":\"j\",\"TaskGroups\":[{\"Name\":\"g\"," body "}]}"

static void test_json_refusals(void **state)
{
    static const struct refusal cases[] = {
        {"[]", -EINVAL, "the job must be a JSON object"},
        {"{}", -EINVAL, "a job needs \"ID\""},
        {"{\"ID\":\"j\"}", -EINVAL, "has nothing to run"},
        {"{\"ID\":1.5,\"Typ\":\"x\"}", -EINVAL,
         "unknown key \"Typ\" in a job; did you mean \"Type\"?"},
        {"{\"ID\":\"j\",\"Bogus\":1}", -EINVAL, "unknown key \"Bogus\" in a job. Correct"},
        {"{\"ID\":\"j\",\"Type\":\"x\"}", -EINVAL, "Type: \"Type\" cannot be \"x\""},
        {"{\"ID\":\"j\",\"Multiregion\":{\"Strategy\":{\"MaxParallel\":1}}}", -ENOTSUP,
         "\"Multiregion\" is known to Nomad but not run by this release; one host is one region"},
        {JSON_TASK(",\"KillTimeout\":-5"), -EINVAL,
         "\"KillTimeout\" is less than the least allowed, 0s"},
        {"{\"ID\":\"j\",\"TaskGroups\":{}}", -EINVAL, "TaskGroups: \"TaskGroups\" must be a list"},
        {JSON_GROUP("\"Volumes\":[]"), -EINVAL,
         "Volumes: \"Volumes\" must be an object of objects"},
        {JSON_GROUP("\"Volumes\":{\"v\":1}"), -EINVAL,
         "Volumes.v: \"Volumes\" must be an object of"},
        {JSON_GROUP("\"Volumes\":{\"v\":{\"Name\":\"w\"}}"), -EINVAL,
         "Volumes.v: \"Name\" of a volume must be its key, \"v\""},
        {JSON_GROUP("\"Volumes\":{\"\":{\"Type\":\"host\"}}"), -EINVAL, "a volume needs \"Name\""},
        {"{\"ID\":\"j\",\"TaskGroups\":[1]}", -EINVAL, "TaskGroups[0]: "},
        {"{\"ID\":\"j\",\"TaskGroups\":[{\"Name\":\"g\"}]}", -EINVAL, "TaskGroups[0]: the group"},
        {"{\"ID\":\"j\",\"TaskGroups\":[{\"Name\":\"a\"},{\"Count\":1}]}", -EINVAL,
         "TaskGroups[1]: a group needs \"Name\""},
        {JSON_TASK(",\"Name\":\"a/b\""), -EINVAL, "TaskGroups[0].Tasks[0].Name: the task's name"},
        {JSON_TASK(",\"KillTimeout\":\"x\""), -EINVAL, "TaskGroups[0].Tasks[0].KillTimeout: "},
        {JSON_TASK(",\"RestartPolicy\":{\"Attempts\":999}"), -EINVAL,
         "TaskGroups[0].Tasks[0].RestartPolicy: 999 restart attempts"},
        {JSON_TASK(",\"Templates\":[{\"EmbeddedTmpl\":\"x\"}]"), -EINVAL,
         "TaskGroups[0].Tasks[0].Templates[0]: a template needs \"DestPath\""},
        {JSON_TASK(",\"Resources\":{\"Networks\":[{\"MBits\":10}]}"), -ENOTSUP,
         "TaskGroups[0].Tasks[0].Resources: \"Networks\" is known"},
        {JSON_TASK(",\"Config\":{\"comand\":\"c\"}"), -EINVAL,
         "TaskGroups[0].Tasks[0].Config: unknown key \"comand\""},
        {JSON_TASK(",\"Config\":[]"), -EINVAL, "Config: \"Config\" must be a map, not a list"},
        {JSON_TASK(",\"Resources\":7"), -EINVAL, "Resources: \"Resources\" must be an object"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_refusal(read_json, &cases[i]);
}

static void test_json_depth(void **state)
{
    json_t *value = json_array(), *job;
    struct job *parsed = NULL;
    struct err e = ERR_INIT;

    (void)state;
    for (int i = 0; i < 10000; i++)
        value = json_pack("[o]", value);
    job = json_pack("{s:s, s:o}", "ID", "j", "Whatever", value);
    assert_int_equal(job_from_json(job, &parsed, &e), -EINVAL);
    json_object_set(job, "Meta", value);
    assert_int_equal(job_from_json(job, &parsed, &e), -EINVAL);
    json_decref(job);
}

/* What came after the first release is left out unless it is asked for; then its block has all. */
static void test_what_older_releases_lack(void **state)
{
    static const char *const sparse[] = {"MaxAge", "CompressAfter", "Compress", "OnFull"};
    static const char text[] =
        "{\"ID\": \"j\", \"Name\": \"j\", \"Datacenters\": [\"dc1\"], \"TaskGroups\": [{\"Name\":"
        " \"g\", \"Tasks\": [{\"Name\": \"t\", \"Driver\": \"exec\", \"Config\": {\"command\":"
        " \"/x\"}, \"LogConfig\": {%s}}]}]}";
    static const char *const configs[] = {"", "\"Compress\": \"gzip\", \"CompressAfter\": 0"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
        char json[512], *encoded;
        struct job *job;
        json_t *object;

        (void)snprintf(json, sizeof(json), text, configs[i]);
        job = must_read(read_json, json);
        check_round_trip(job);
        object = job_to_json(job);
        encoded = json_dumps(object, 0);
        for (size_t k = 0; k < ARRAY_LEN(sparse); k++)
            assert_int_equal(!strstr(encoded, sparse[k]), i == 0);
        assert_null(strstr(encoded, "Volume"));
        free(encoded);
        json_decref(object);
        job_free(job);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything),    cmocka_unit_test(test_resources),
        cmocka_unit_test(test_volumes),       cmocka_unit_test(test_lifecycle),
        cmocka_unit_test(test_defaults),      cmocka_unit_test(test_json_of_nomad),
        cmocka_unit_test(test_hcl_refusals),  cmocka_unit_test(test_what_older_releases_lack),
        cmocka_unit_test(test_json_refusals), cmocka_unit_test(test_json_depth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
