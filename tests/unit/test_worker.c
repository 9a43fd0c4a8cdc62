/* SPDX-License-Identifier: MIT
 *
 * manager/worker.h, with this program as the helper: what it does hangs on "do" in its order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manager/task/spawn.h"
#include "manager/worker.h"
#include "shared/cleanup.h"
#include "shared/helper.h"

#define LIMIT_S 20.

struct seen {
    struct ev_loop *loop;
    struct worker *worker;
    bool free_at_message;
    int messages;
    json_int_t sum;
    bool ended;
    struct worker_end end;
};

/* ---- the helper ---- */

static int help_with(const char *what)
{
    char text[32] = "";

    if (strcmp(what, "count") == 0) {
        for (json_int_t i = 0; i < 20000; i++)
            helper_say(json_pack("{s:I}", "n", i));
        (void)fprintf(stderr, "first\nthe \x01last\n");
        return 3;
    }
    if (strcmp(what, "read") == 0) {
        (void)!pread(3, text, sizeof(text) - 1, 0);
        (void)fprintf(stderr, "%s, %s", text, getenv("PATH") ? "a PATH" : "no PATH");
        return 0;
    }
    if (strcmp(what, "long") == 0)
        for (int i = 0; i < 100000; i++)
            (void)!write(STDOUT_FILENO, "xxxxxxxxxx", 10);
    if (strcmp(what, "garbage") == 0)
        (void)!write(STDOUT_FILENO, "[1]\n", 4);
    helper_say(json_pack("{s:i}", "n", 1));
    for (;;)
        (void)pause();
}

static int help(void)
{
    struct err e = ERR_INIT;
    json_t *order;
    int code;

    helper_die_with_parent();
    if (helper_read_order(&order, &e)) {
        (void)fprintf(stderr, "%s\n", e.text);
        return HELPER_EXIT_ORDER;
    }
    code = help_with(json_string_value(json_object_get(order, "do")));
    json_decref(order);
    return code;
}

/* ---- the manager's side ---- */

static void on_message(void *arg, const json_t *message)
{
    struct seen *seen = arg;

    seen->messages++;
    seen->sum += json_integer_value(json_object_get(message, "n"));
    if (seen->free_at_message) {
        seen->worker = worker_free(seen->worker);
        ev_break(seen->loop, EVBREAK_ALL);
    }
}

static void on_end(void *arg, const struct worker_end *end)
{
    struct seen *seen = arg;

    assert_false(seen->ended);
    seen->ended = true;
    seen->end = *end;
    ev_break(seen->loop, EVBREAK_ALL);
}

static void on_limit(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop;
    (void)timer;
    (void)revents;
    fail_msg("nothing happened in time");
}

static int begin(struct seen *seen, const char *what, struct worker_plan plan, struct err *e)
{
    json_t *order = json_pack("{s:s}", "do", what);
    int r;

    plan.name = "test";
    if (!plan.program)
        plan.program = "/proc/self/exe";
    plan.order = order;
    if (!plan.lock)
        plan.lock = -1;
    plan.on_message = on_message;
    plan.on_end = on_end;
    plan.arg = seen;
    r = worker_new(seen->loop, &plan, &seen->worker, e);
    json_decref(order);
    return r;
}

static void run(struct seen *seen)
{
    ev_timer limit;

    ev_timer_init(&limit, on_limit, LIMIT_S, 0);
    ev_now_update(seen->loop);
    ev_timer_start(seen->loop, &limit);
    ev_run(seen->loop, 0);
    ev_timer_stop(seen->loop, &limit);
}

static struct seen whole(const char *what, struct worker_plan plan)
{
    struct seen seen = {.loop = ev_loop_new(0)};
    struct err e = ERR_INIT;

    assert_int_equal(begin(&seen, what, plan, &e), 0);
    run(&seen);
    ev_loop_destroy(seen.loop);
    return seen;
}

/* The helper gets the marker that it is one in its environment. */
static char *const as_helper[] = {(char *)"TEST_WORKER_HELPS=1", NULL};

static void test_messages(void **state)
{
    struct seen seen = whole("count", (struct worker_plan){.env = as_helper});

    (void)state;
    assert_int_equal(seen.messages, 20000);
    assert_int_equal(seen.sum, 20000 * 19999 / 2);
    assert_true(seen.ended);
    assert_int_equal(seen.end.code, 3);
    assert_string_equal(seen.end.text, "the ?last");
}

static void test_descriptors(void **state)
{
    autofd int fd = memfd_create("given", MFD_CLOEXEC);
    struct seen seen;

    (void)state;
    assert_int_equal(write(fd, "hello", 5), 5);
    seen = whole("read", (struct worker_plan){.env = as_helper, .fds = &fd, .n_fds = 1});
    assert_int_equal(seen.end.code, 0);
    assert_string_equal(seen.end.text, "hello, no PATH");
}

static void test_bad_messages(void **state)
{
    struct seen seen = whole("long", (struct worker_plan){.env = as_helper});

    (void)state;
    assert_int_equal(seen.end.signal, SIGKILL);
    assert_string_equal(seen.end.text, "its message was too long");
    seen = whole("garbage", (struct worker_plan){.env = as_helper});
    assert_int_equal(seen.end.signal, SIGKILL);
    assert_string_equal(seen.end.text, "its message was no JSON object");
    assert_int_equal(seen.messages, 0);
}

static void test_time_limit(void **state)
{
    struct seen seen = whole("wait", (struct worker_plan){.env = as_helper, .timeout_s = 0.3});

    (void)state;
    assert_int_equal(seen.end.signal, SIGKILL);
    assert_string_equal(seen.end.text, "it took longer than 0 s");
}

static void test_no_program(void **state)
{
    struct seen seen = {.loop = ev_loop_new(0)};
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(begin(&seen, "wait", (struct worker_plan){.program = "/nonexistent/x"}, &e),
                     -ENOENT);
    assert_non_null(strstr(e.text, "/nonexistent/x"));
    ev_loop_destroy(seen.loop);
}

/* The lock is free again once the helper is dead, whoever it was killed by. */
static void wait_for_lock(const char *path)
{
    autofd int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
}

static void make_lock(char *path)
{
    int fd;

    (void)strcpy(path, "/tmp/cleat-worker-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
}

static void test_free_and_lock(void **state)
{
    struct seen first = {.loop = ev_loop_new(0), .free_at_message = true}, second = first;
    struct err e = ERR_INIT;
    char path[64];

    (void)state;
    make_lock(path);
    for (int i = 0; i < 2; i++) { /* the second has to wait until the first is dead */
        struct seen *seen = i ? &second : &first;
        autofd int fd = open(path, O_RDWR | O_CLOEXEC);

        assert_int_equal(
            begin(seen, "wait", (struct worker_plan){.env = as_helper, .lock = fd}, &e), 0);
        close_fd(&fd);
    }
    second.free_at_message = true;
    run(&first);
    assert_int_equal(first.messages, 1);
    assert_int_equal(second.messages, 0);
    run(&second);
    assert_int_equal(second.messages, 1);
    assert_false(first.ended || second.ended);
    worker_forget_all(first.loop);
    wait_for_lock(path);
    ev_loop_destroy(first.loop);
    (void)unlink(path);
}

/* One that waits for its lock can be freed as well. */
static void test_free_waiting(void **state)
{
    struct seen seen = {.loop = ev_loop_new(0)};
    struct err e = ERR_INIT;
    autofd int held = -1, fd = -1;
    char path[64];

    (void)state;
    make_lock(path);
    held = open(path, O_RDWR | O_CLOEXEC);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(held, LOCK_EX), 0);
    assert_int_equal(begin(&seen, "wait", (struct worker_plan){.env = as_helper, .lock = fd}, &e),
                     0);
    seen.worker = worker_free(seen.worker);
    ev_loop_destroy(seen.loop);
    (void)unlink(path);
}

static void test_dies_with_manager(void **state)
{
    char path[64];
    pid_t pid;
    int status;

    (void)state;
    make_lock(path);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct seen seen = {.loop = ev_loop_new(0), .free_at_message = false};
        struct err e = ERR_INIT;
        int fd = open(path, O_RDWR | O_CLOEXEC);

        if (begin(&seen, "wait", (struct worker_plan){.env = as_helper, .lock = fd}, &e))
            _exit(1);
        (void)close(fd);
        while (!seen.messages)
            ev_run(seen.loop, EVRUN_ONCE);
        (void)kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    wait_for_lock(path);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),     cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_bad_messages), cmocka_unit_test(test_time_limit),
        cmocka_unit_test(test_no_program),   cmocka_unit_test(test_free_and_lock),
        cmocka_unit_test(test_free_waiting), cmocka_unit_test(test_dies_with_manager),
    };

    if (getenv("TEST_WORKER_HELPS"))
        return help();
    spawn_raise_limit();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
