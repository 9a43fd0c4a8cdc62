/* SPDX-License-Identifier: MIT
 *
 * The API over real sockets with a fake manager. Server and client (libcurl) take turns on one
 * thread: neither ever waits, so nothing here depends on time but the tests of time-outs.
 */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_manager.h"
#include "manager/api/api.h"
#include "manager/api/listen.h"
#include "shared/cleanup.h"
#include "shared/log.h"

#define ALLOC_ID "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"

struct world {
    char dir[64];
    char socket[80], address[96];
    char *addresses[2];
    struct config config;
    struct job *job;
    struct job_record record;
    struct task task;
    struct alloc alloc;
    struct manager manager;
    struct ev_loop *loop;
    struct api *api;
    CURLM *multi;
};

/* One request under way. */
struct client {
    struct world *w;
    CURL *curl;
    char *body;
    size_t size;
    long status;
    bool done;
};

static size_t on_data(char *data, size_t unit, size_t n, void *arg)
{
    struct client *c = arg;

    c->body = realloc(c->body, c->size + unit * n + 1);
    memcpy(c->body + c->size, data, unit * n);
    c->size += unit * n;
    c->body[c->size] = '\0';
    return unit * n;
}

static void turn(struct world *w)
{
    CURLMsg *message;
    int n;

    assert_int_equal(curl_multi_perform(w->multi, &n), CURLM_OK);
    ev_run(w->loop, EVRUN_NOWAIT);
    while ((message = curl_multi_info_read(w->multi, &n))) {
        struct client *c;

        assert_int_equal(curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &c), CURLE_OK);
        (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &c->status);
        if (message->data.result != CURLE_OK)
            c->status = -1;
        c->done = true;
    }
}

static void client_start(struct client *c, struct world *w, const char *method, const char *path,
                         const char *body, size_t body_size)
{
    char url[512];

    *c = (struct client){.w = w, .curl = curl_easy_init()};
    (void)snprintf(url, sizeof(url), "http://localhost/v1/%s", path);
    curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, w->socket);
    curl_easy_setopt(c->curl, CURLOPT_URL, url);
    curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(c->curl, CURLOPT_PRIVATE, c);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT, 30L);
    if (body) {
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE, (long)body_size);
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body);
    }
    assert_int_equal(curl_multi_add_handle(w->multi, c->curl), CURLM_OK);
}

static void client_end(struct client *c)
{
    curl_multi_remove_handle(c->w->multi, c->curl);
    curl_easy_cleanup(c->curl);
    free(c->body);
}

static void finish(struct client *c)
{
    while (!c->done)
        turn(c->w);
}

/* Until the server has had every chance to answer. */
static void let_it_work(struct world *w)
{
    for (int i = 0; i < 200; i++)
        turn(w);
}

static void expect(struct world *w, const char *method, const char *path, const char *body,
                   long status, const char *words)
{
    struct client c;

    client_start(&c, w, method, path, body, body ? strlen(body) : 0);
    finish(&c);
    if (c.status != status || (words && !strstr(c.body ? c.body : "", words)))
        fail_msg("%s %s: %ld \"%s\"", method, path, c.status, c.body ? c.body : "");
    client_end(&c);
}

static void get(struct world *w, const char *path, long status, const char *words)
{
    expect(w, "GET", path, NULL, status, words);
}

static void write_file(const struct world *w, const char *name, const char *text)
{
    autofree char *path = NULL;

    assert_true(asprintf(&path, "%s/%s", w->alloc.dir, name) > 0);
    autofd int fd = open(path, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0644);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static struct job *make_job(void)
{
    struct job *job = NULL;
    struct err e = ERR_INIT;
    json_t *json = json_pack("{s:s,s:s,s:[s],s:[{s:s,s:[{s:s,s:s,s:{s:s}}]}]}", "ID", "a/b", "Type",
                             "service", "Datacenters", "dc1", "TaskGroups", "Name", "g", "Tasks",
                             "Name", "web", "Driver", "raw_exec", "Config", "command", "/bin/true");

    if (job_from_json(json, &job, &e))
        fail_msg("%s", e.text);
    json_decref(json);
    return job;
}

static int set_up(void **state)
{
    static const char *const dirs[] = {"alloc", "alloc/alloc", "alloc/alloc/logs", "alloc/web"};
    struct world *w = calloc(1, sizeof(*w));
    struct err e = ERR_INIT;

    log_set_level(LOG_LEVEL_WARN);
    (void)strcpy(w->dir, "/tmp/cleat-test-api.XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        autofree char *path = NULL;

        assert_true(asprintf(&path, "%s/%s", w->dir, dirs[i]) > 0);
        assert_int_equal(mkdir(path, 0755), 0);
    }
    (void)snprintf(w->socket, sizeof(w->socket), "%s/sock", w->dir);
    (void)snprintf(w->address, sizeof(w->address), "unix://%s", w->socket);
    w->addresses[0] = w->address;
    w->config = (struct config){.addresses = w->addresses,
                                .name = (char *)"host",
                                .data_dir = w->dir,
                                .datacenter = (char *)"dc1",
                                .region = (char *)"global",
                                .telemetry = {true, true, true}};
    w->job = make_job();
    w->record = (struct job_record){.job = w->job, .modify_index = 3};
    w->task = (struct task){.alloc = &w->alloc,
                            .def = &w->job->groups[0].tasks[0],
                            .status = {.state = TASK_STATE_RUNNING, .started_ns = 1, .pid = 42}};
    w->alloc = (struct alloc){.manager = &w->manager,
                              .id = ALLOC_ID,
                              .name = (char *)"a/b.g[0]",
                              .job = &w->record,
                              .group = &w->job->groups[0],
                              .client = CLIENT_RUNNING,
                              .modify_index = 7,
                              .tasks = &w->task};
    assert_true(asprintf(&w->alloc.dir, "%s/alloc", w->dir) > 0);
    w->manager = (struct manager){.config = &w->config, .jobs = &w->record, .allocs = &w->alloc};
    w->loop = ev_loop_new(EVFLAG_AUTO);
    w->multi = curl_multi_init();
    if (api_new(w->loop, &w->manager, &w->config, &w->api, &e))
        fail_msg("%s", e.text);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    autofree char *command = NULL;

    curl_multi_cleanup(w->multi);
    api_free(w->api);
    assert_int_equal(access(w->socket, F_OK), -1);
    ev_loop_destroy(w->loop);
    assert_true(asprintf(&command, "rm -rf %s", w->dir) > 0);
    assert_int_equal(system(command), 0);
    job_free(w->manager.registered);
    job_free(w->job);
    free(w->alloc.dir);
    free(w);
    return 0;
}

static void test_reading(void **state)
{
    struct world *w = *state;

    get(w, "agent/health", 200, "\"ok\":true");
    get(w, "agent/health?type=server", 500, "no server");
    get(w, "agent/health?type=x", 400, "\"x\"");
    get(w, "agent/self", 200, "\"DataDir\"");
    get(w, "nodes", 200, "\"ready\"");
    get(w, "node/11111111-2222-3333-4444-555555555555", 200, "\"kernel.name\"");
    get(w, "node/none", 404, "none");
    get(w, "jobs", 200, "\"ID\":\"a/b\"");
    get(w, "jobs", 200, "\"Summary\":{\"g\":{\"Queued\":0,\"Starting\":0,\"Running\":1,");
    get(w, "jobs?prefix=b", 200, "[]");
    get(w, "job/a%2Fb", 200, "\"TaskGroups\"");
    get(w, "job/a%2Fb/allocations", 200, ALLOC_ID);
    get(w, "job/none", 404, "job not found");
    get(w, "job/a%2Fb/stable", 404, "/v1/job/a/b/stable is not served by this release");
    get(w, "job/a%2Fb/summary", 200, "\"Summary\":{\"g\":{\"Queued\":0");
    get(w, "job/a%2Fb/versions", 200, "\"Diffs\":null");
    get(w, "job/none/versions", 404, "none");
    get(w, "job/a%2Fb/deployment", 200, "null");
    get(w, "evaluation/none", 404, "eval not found");
    expect(w, "DELETE", "job/a%2Fb/scale", NULL, 405, "Invalid method");
    expect(w, "DELETE", "job/a%2Fb/dispatch", NULL, 405, "Invalid method");
    expect(w, "POST", "job/a%2Fb/periodic/force", NULL, 200, "\"JobID\":\"a/b\"");
    expect(w, "POST", "job/none/periodic/force", NULL, 404, "job not found: none");
    get(w, "allocations?prefix=aaaa", 200, ALLOC_ID);
    get(w, "allocations?prefix=b", 200, "[]");
    get(w, "allocation/" ALLOC_ID, 200, "\"Pid\":42");
    get(w, "allocation/aaaa", 404, "36 characters");
    get(w, "none", 404, "none");
    expect(w, "DELETE", "jobs", NULL, 405, "Invalid method");
    expect(w, "PATCH", "jobs", NULL, 405, "Invalid method");
    get(w, "jobs?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q", 400, "too many");
}

static void test_dispatching(void **state)
{
    struct world *w = *state;

    expect(w, "POST", "job/a%2Fb/dispatch?idempotency_token=tok",
           "{\"Meta\": {\"k\": \"v\"}, \"Payload\": \"cGF5\", \"Priority\": 7}", 200,
           "\"DispatchedJobID\":\"a/b\"");
    expect(w, "POST", "job/a%2Fb/dispatch",
           "{\"Meta\": {\"k\": \"v\"}, \"Payload\": \"cGF5\", \"Priority\": 7,"
           " \"IdempotencyToken\": \"tok\"}",
           200, "\"JobCreateIndex\":");
    expect(w, "PUT", "job/a%2Fb/dispatch", "{}", 400, "with something else");
    expect(w, "PUT", "job/a%2Fb/dispatch", "{\"JobID\": \"c\"}", 400, "is not the path's");
    expect(w, "PUT", "job/a%2Fb/dispatch", "{\"Payload\": 1}", 400, "\"Payload\" must be a string");
    expect(w, "PUT", "job/a%2Fb/dispatch", "{\"Meta\": []}", 400, "\"Meta\" must be an object");
    expect(w, "PUT", "job/a%2Fb/dispatch", "[", 400, "");
    expect(w, "PUT", "job/none/dispatch", "{}", 404, "job not found: none");
}

static void test_registering(void **state)
{
    struct world *w = *state;
    json_t *wrapped = json_pack("{s:o}", "Job", job_to_json(w->job));
    autofree char *body = json_dumps(wrapped, 0);

    expect(w, "PUT", "jobs", body, 200, "\"JobModifyIndex\":3");
    assert_string_equal(w->manager.registered->id, "a/b");
    expect(w, "POST", "job/a%2Fb", body, 200, "\"EvalID\":\"11111111-");
    expect(w, "PUT", "job/other", body, 400, "\"other\"");
    (void)json_object_set_new(json_object_get(wrapped, "Job"), "ID", json_string("a/b/plan"));
    autofree char *plan = json_dumps(wrapped, 0);
    json_decref(wrapped);
    expect(w, "POST", "job/a%2Fb/plan", plan, 400, "is not the path's");
    get(w, "job/a%2Fb/plan", 405, "Invalid method");
    expect(w, "PUT", "job/a%2Fb/revert", "{}", 400, "JobVersion");
    expect(w, "PUT", "job/a%2Fb/scale", "{\"Count\":1}", 400, "Target");
    expect(w, "PUT", "jobs", plan, 400, "rename the job"); /* nothing could stop it */
    assert_string_equal(w->manager.registered->id, "a/b");
    expect(w, "PUT", "validate/job", body, 200, "\"ValidationErrors\":[]");
    expect(w, "PUT", "jobs", "{\"Job\":{\"ID\":\"x\"}}", 400, NULL);
    expect(w, "PUT", "jobs", "{\"Job\":1}", 400, "Job");
    expect(w, "PUT", "jobs", "{", 400, "line 1");
    expect(w, "PUT", "jobs", NULL, 400, "no body");
    expect(w, "PUT", "jobs/parse", "{\"JobHCL\":\"job \\\"x\\\" {\"}", 400, "JobHCL:1:");
    w->manager.register_result = -ENOSPC;
    expect(w, "PUT", "jobs", body, 507, "refuses");
    w->manager.register_result = -EINVAL;
    expect(w, "PUT", "jobs", body, 400, "refuses");
    expect(w, "DELETE", "job/a%2Fb?purge=perhaps", NULL, 400, "purge");
    expect(w, "DELETE", "job/a%2Fb", NULL, 200, "JobModifyIndex");
    assert_true(w->record.stop);
    expect(w, "DELETE", "job/none", NULL, 404, "none");
}

static void test_enforced_index(void **state)
{
    struct world *w = *state;
    json_t *wrapped = json_pack("{s:o,s:b,s:i}", "Job", job_to_json(w->job), "EnforceIndex", true,
                                "JobModifyIndex", 2);
    autofree char *stale = json_dumps(wrapped, 0);

    expect(w, "PUT", "jobs", stale, 409, "Enforcing job modify index 2");
    assert_null(w->manager.registered);
    (void)json_object_set_new(wrapped, "JobModifyIndex", json_integer(3));
    autofree char *current = json_dumps(wrapped, 0);
    json_decref(wrapped);
    expect(w, "PUT", "jobs", current, 200, NULL);
}

/* Thousands of tasks are read a few at a time, and others are served meanwhile. */
static void test_metrics_of_many(void **state)
{
    enum {
        N = 2000
    };
    struct world *w = *state;
    struct alloc *allocs = calloc(N, sizeof(*allocs));
    struct task *tasks = calloc(N, sizeof(*tasks));
    struct client c;
    int before;

    assert_true(allocs && tasks);
    for (int i = 0; i < N; i++) {
        allocs[i] = w->alloc;
        allocs[i].tasks = &tasks[i];
        allocs[i].next = i + 1 < N ? &allocs[i + 1] : NULL;
        (void)snprintf(allocs[i].id, sizeof(allocs[i].id), "%08d-0000-4000-8000-000000000000", i);
        tasks[i] = w->task;
        tasks[i].alloc = &allocs[i];
    }
    w->manager.allocs = allocs;
    client_start(&c, w, "GET", "metrics?format=prometheus", NULL, 0);
    while (w->manager.n_tasks_read < N / 2) {
        before = w->manager.n_tasks_read;
        turn(w);
        assert_in_range(w->manager.n_tasks_read, before, before + 8);
    }
    get(w, "agent/health", 200, "\"ok\":true");
    assert_false(c.done);
    allocs[N - 2].next = NULL; /* the last one is removed */
    finish(&c);
    assert_int_equal(c.status, 200);
    assert_int_equal(w->manager.n_tasks_read, N - 1);
    assert_non_null(strstr(c.body, "nomad_client_allocations_running{"));
    assert_non_null(strstr(c.body, "alloc_id=\"00001998-"));
    assert_null(strstr(c.body, "alloc_id=\"00001999-"));
    assert_string_equal(strrchr(c.body, ','), ",stream=\"stderr\"} 0\n");
    client_end(&c);
    w->manager.allocs = &w->alloc;
    free(tasks);
    free(allocs);
}

static void test_large_bodies(void **state)
{
    struct world *w = *state;
    size_t size = (1 << 20) + 1;
    autofree char *body = calloc(1, size);
    struct client c;

    memset(body, ' ', size);
    client_start(&c, w, "PUT", "jobs", body, size);
    finish(&c);
    assert_int_equal(c.status, 413);
    client_end(&c);
    client_start(&c, w, "PUT", "jobs", body, size - 1);
    finish(&c);
    assert_int_equal(c.status, 400); /* read whole, and no JSON */
    client_end(&c);
}

static void test_blocking_query(void **state)
{
    struct world *w = *state;
    struct client c;

    client_start(&c, w, "GET", "allocation/" ALLOC_ID "?index=7", NULL, 0);
    let_it_work(w);
    assert_false(c.done);
    w->manager.on_change(w->manager.on_change_arg, &w->alloc); /* not of this one's index */
    let_it_work(w);
    assert_false(c.done);
    w->alloc.modify_index = 8;
    w->manager.on_change(w->manager.on_change_arg, &w->alloc);
    finish(&c);
    assert_int_equal(c.status, 200);
    assert_non_null(strstr(c.body, "\"ModifyIndex\":8"));
    client_end(&c);
    get(w, "allocation/" ALLOC_ID "?index=100&wait=20ms", 200, "\"ModifyIndex\":8");
    get(w, "allocation/" ALLOC_ID "?index=x", 400, "index");
    get(w, "allocation/" ALLOC_ID "?index=1&wait=x", 400, "wait");
}

static void test_a_client_leaves_while_blocked(void **state)
{
    struct world *w = *state;
    struct client c;

    client_start(&c, w, "GET", "jobs?index=1000", NULL, 0);
    let_it_work(w);
    client_end(&c);
    let_it_work(w);
    w->manager.on_change(w->manager.on_change_arg, &w->alloc);
    let_it_work(w);
    get(w, "agent/health", 200, "ok");
}

static int raw_client(const struct world *w, const char *request)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)strcpy(to.sun_path, w->socket);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    return fd;
}

/* Reads until the server has closed the connection. */
static void expect_end(struct world *w, int fd)
{
    char buf[4096];
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) != 0) {
        assert_true(n > 0 || errno == EAGAIN || errno == ECONNRESET);
        if (n < 0 && errno == ECONNRESET)
            return;
        turn(w);
    }
}

static void test_clients_of_pending_replies_are_watched(void **state)
{
    static const char *const requests[] = {
        "GET /v1/jobs?index=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /v1/client/fs/logs/" ALLOC_ID "?task=web&type=stdout&follow=true&plain=true "
        "HTTP/1.1\r\nHost: localhost\r\n\r\n"};
    struct world *w = *state;

    write_file(w, "alloc/logs/web.stdout.0", "one\n");
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        autofd int half = raw_client(w, requests[i]);
        autofd int eager = raw_client(w, requests[i]);

        let_it_work(w);
        assert_int_equal(shutdown(half, SHUT_WR), 0);
        expect_end(w, half);
        assert_int_equal(write(eager, "G", 1), 1); /* of a request that has to wait */
        let_it_work(w);
        assert_int_equal(shutdown(eager, SHUT_WR), 0);
        expect_end(w, eager);
    }
}

static void test_stop_all(void **state)
{
    struct world *w = *state;
    struct client one, two;

    client_start(&one, w, "PUT", "system/stop-all", "", 0);
    let_it_work(w);
    client_start(&two, w, "PUT", "system/stop-all", "", 0);
    let_it_work(w);
    assert_false(one.done || two.done);
    w->manager.stop_done(w->manager.stop_done_arg);
    finish(&one);
    finish(&two);
    assert_int_equal(one.status, 200);
    assert_int_equal(two.status, 200);
    client_end(&one);
    client_end(&two);
}

static void test_files(void **state)
{
    struct world *w = *state;
    struct client c;
    size_t size = 300000;
    autofree char *large = malloc(size + 1);

    for (size_t i = 0; i < size; i++)
        large[i] = (char)('a' + i % 23);
    large[size] = '\0';
    write_file(w, "web/large", large);
    client_start(&c, w, "GET", "client/fs/cat/" ALLOC_ID "?path=web/large", NULL, 0);
    finish(&c);
    assert_int_equal(c.size, size);
    assert_string_equal(c.body, large);
    client_end(&c);
    client_start(&c, w, "GET", "client/fs/cat/" ALLOC_ID "?path=web/large", NULL, 0);
    curl_easy_setopt(c.curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_0); /* no chunks */
    finish(&c);
    assert_string_equal(c.body, large);
    client_end(&c);
    get(w, "client/fs/readat/" ALLOC_ID "?path=web/large&offset=1&limit=3", 200, "bcd");
    get(w, "client/fs/readat/" ALLOC_ID "?path=web/large&offset=1", 400, "limit");
    get(w, "client/fs/stream/" ALLOC_ID "?path=web/large&offset=2&limit=3&follow=false", 200,
        "{\"Offset\":2,\"Data\":\"Y2Rl\"");
    get(w, "client/fs/ls/" ALLOC_ID "?path=web", 200, "\"Name\":\"large\",\"IsDir\":false");
    get(w, "client/fs/ls/" ALLOC_ID, 200, "\"Name\":\"alloc\",\"IsDir\":true");
    get(w, "client/fs/stat/" ALLOC_ID "?path=web/large", 200, "\"Size\":300000");
    get(w, "client/fs/stat/" ALLOC_ID, 400, "path");
    get(w, "client/fs/cat/" ALLOC_ID "?path=web", 400, "is a directory");
    get(w, "client/fs/cat/" ALLOC_ID "?path=../x", 400, "escapes");
    get(w, "client/fs/cat/none?path=x", 404, "alloc not found");
}

static void test_logs(void **state)
{
    struct world *w = *state;
    static const char base[] = "client/fs/logs/" ALLOC_ID "?task=web&type=stdout&plain=true";
    char path[256];

    get(w, base, 200, NULL);
    write_file(w, "alloc/logs/web.stdout.0", "one\ntwo\n");
    write_file(w, "alloc/logs/web.stdout.1", "three\n");
    get(w, base, 200, "one\ntwo\nthree\n");
    (void)snprintf(path, sizeof(path), "%s&lines=2", base);
    get(w, path, 200, "two\nthree\n");
    (void)snprintf(path, sizeof(path), "%s&origin=end&offset=4", base);
    get(w, path, 200, "ree\n");
    (void)snprintf(path, sizeof(path), "%s&origin=x", base);
    get(w, path, 400, "origin");
    get(w, "client/fs/logs/" ALLOC_ID "?task=web", 400, "type");
    get(w, "client/fs/logs/" ALLOC_ID "?task=x&type=stdout", 400, "\"x\"");
    get(w, "client/fs/logs/" ALLOC_ID "?task=web&type=stdout", 200,
        "{\"Data\":\"b25lCnR3bwo=\",\"File\":\"alloc/logs/web.stdout.0\"}"
        "{\"Data\":\"dGhyZWUK\",\"File\":\"alloc/logs/web.stdout.1\"}");
    w->task.status.started_ns = 0;
    get(w, base, 404, "not started");
}

static void test_following_ends_with_the_task(void **state)
{
    struct world *w = *state;
    struct client c;

    w->task.status.started_ns = 0; /* it waits for the start, too */
    client_start(&c, w, "GET",
                 "client/fs/logs/" ALLOC_ID "?task=web&type=stdout&plain=true&follow=true", NULL,
                 0);
    let_it_work(w);
    assert_false(c.done);
    w->task.status.started_ns = 1;
    w->manager.on_change(w->manager.on_change_arg, &w->alloc);
    let_it_work(w);
    write_file(w, "alloc/logs/web.stdout.0", "one\n");
    while (c.size < 4)
        turn(w);
    write_file(w, "alloc/logs/web.stdout.1", "two\n");
    while (c.size < 8)
        turn(w);
    assert_false(c.done);
    write_file(w, "alloc/logs/web.stdout.1", "last words");
    w->task.status.state = TASK_STATE_DEAD;
    w->manager.on_change(w->manager.on_change_arg, &w->alloc);
    finish(&c);
    assert_string_equal(c.body, "one\ntwo\nlast words");
    client_end(&c);
}

static void test_followers_may_leave(void **state)
{
    struct world *w = *state;
    struct client c[3];

    write_file(w, "web/file", "x");
    for (size_t i = 0; i < 3; i++)
        client_start(&c[i], w, "GET", "client/fs/stream/" ALLOC_ID "?path=web/file", NULL, 0);
    let_it_work(w);
    client_end(&c[1]);
    let_it_work(w);
    size_t before = c[0].size;
    write_file(w, "web/file", "y");
    while (c[0].size <= before || c[2].size <= before)
        turn(w);
    client_end(&c[0]);
    let_it_work(w);
    assert_non_null(strstr(c[2].body, "\"Offset\":1,\"Data\":\"eQ==\""));
    client_end(&c[2]);
}

static void test_stream_events(void **state)
{
    struct world *w = *state;
    struct client c;
    autofree char *path = NULL;

    assert_true(asprintf(&path, "%s/web/file", w->alloc.dir) > 0);
    write_file(w, "web/file", "abc");
    client_start(&c, w, "GET", "client/fs/stream/" ALLOC_ID "?path=web/file", NULL, 0);
    let_it_work(w);
    assert_int_equal(truncate(path, 0), 0);
    while (!strstr(c.body, "file truncated"))
        turn(w);
    assert_int_equal(unlink(path), 0);
    finish(&c);
    assert_non_null(strstr(c.body, "file deleted"));
    client_end(&c);
}

static void test_socket_files(void **state)
{
    struct world *w = *state;
    struct listener l = LISTENER_INIT;
    struct err e = ERR_INIT;
    struct stat st;
    char pid[16];

    assert_int_equal(stat(w->socket, &st), 0);
    assert_int_equal(st.st_mode, S_IFSOCK | 0600);
    assert_int_equal(listener_open(&l, w->address, &e), -EADDRINUSE);
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    assert_non_null(strstr(e.text, pid));

    /* of a manager that is dead */
    char stale[96], address[112];
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    (void)snprintf(stale, sizeof(stale), "%s/stale", w->dir);
    (void)snprintf(address, sizeof(address), "unix://%s", stale);
    (void)strcpy(un.sun_path, stale);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    (void)close(fd);
    assert_int_equal(listener_open(&l, address, &e), 0);
    listener_close(&l);
    assert_int_equal(access(stale, F_OK), -1);

    fd = open(stale, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    (void)close(fd);
    assert_int_equal(listener_open(&l, address, &e), -EEXIST);
    assert_int_equal(access(stale, F_OK), 0);
}

static void test_addresses(void **state)
{
    static const char *const refused[] = {
        "unix://relative",    "http://0.0.0.0:80",
        "http://10.0.0.1:80", "http://[::]:80",
        "http://127.0.0.1",   "http://127.0.0.1:x",
        "http://:80",         "https://127.0.0.1:80",
        "http://example:80",  "http://127.0.0.1:99999999",
    };
    struct listener l = LISTENER_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct err e = ERR_INIT;

        if (listener_open(&l, refused[i], &e) != -EINVAL)
            fail_msg("%s: %s", refused[i], e.text);
        assert_non_null(strstr(e.text, refused[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reading, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dispatching, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_registering, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_enforced_index, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_metrics_of_many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large_bodies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_blocking_query, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_client_leaves_while_blocked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_clients_of_pending_replies_are_watched, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_stop_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_logs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_following_ends_with_the_task, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_followers_may_leave, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stream_events, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_socket_files, set_up, tear_down),
        cmocka_unit_test(test_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
