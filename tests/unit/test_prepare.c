/* SPDX-License-Identifier: MIT
 *
 * manager/task/prepare with steps of the test's own: the order, failures, cancelling.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "manager/state.h"

static char story[64]; /* one letter for everything that happened */
static char waits[8];  /* the steps that are not done at once */
static int fails;      /* what step "b" fails with */
static bool b_is_wanted;
static struct prepare_failure told;

static void happens(char c)
{
    size_t n = strlen(story);

    assert_true(n + 1 < sizeof(story));
    story[n] = c;
}

static int start(char c, struct task *task)
{
    happens(c);
    assert_null(task->prepare.data);
    task->prepare.data = story;
    return strchr(waits, c) ? PREPARE_STARTED : 0;
}

static bool always(const struct task *task)
{
    (void)task;
    return true;
}

static bool is_b_wanted(const struct task *task)
{
    (void)task;
    return b_is_wanted;
}

static int start_a(struct task *task, struct err *e)
{
    (void)e;
    return start('a', task);
}

static int start_b(struct task *task, struct err *e)
{
    int r = start('b', task);

    return fails ? err_sys(e, fails, "write b") : r;
}

static int start_c(struct task *task, struct err *e)
{
    (void)e;
    return start('c', task);
}

static void cancel(struct task *task)
{
    assert_ptr_equal(task->prepare.data, story);
    happens('x');
}

static const struct prepare_step a = {"a", always, start_a, cancel},
                                 b = {"b", is_b_wanted, start_b, cancel},
                                 c = {"c", always, start_c, cancel};
static const struct prepare_step *const steps[] = {&a, &b, &c, NULL};

static void on_done(struct task *task, const struct prepare_failure *failure)
{
    assert_null(task->prepare.at);
    told = failure ? *failure : (struct prepare_failure){0};
    happens(failure ? 'F' : '.');
}

static struct alloc alloc;
static struct job_task def = {.name = (char *)"t"};
static struct task task = {.alloc = &alloc, .def = &def};

static int set_up(void **state)
{
    (void)state;
    memset(story, 0, sizeof(story));
    memset(waits, 0, sizeof(waits));
    fails = 0;
    b_is_wanted = true;
    memset(&task.prepare, 0, sizeof(task.prepare));
    return 0;
}

static void test_all_at_once(void **state)
{
    static const struct prepare_step *const none[] = {NULL};

    (void)state;
    prepare_start(&task, steps, on_done);
    assert_string_equal(story, "abc.");
    b_is_wanted = false;
    prepare_start(&task, steps, on_done);
    assert_string_equal(story, "abc.ac.");
    prepare_start(&task, none, on_done);
    assert_string_equal(story, "abc.ac..");
}

static void test_one_after_the_other(void **state)
{
    (void)state;
    strcpy(waits, "bc");
    prepare_start(&task, steps, on_done);
    assert_string_equal(story, "ab");
    prepare_done(&task, NULL);
    assert_string_equal(story, "abc");
    prepare_done(&task, NULL);
    assert_string_equal(story, "abc.");
    strcpy(waits, "abc");
    prepare_start(&task, steps, on_done);
    for (int i = 0; i < 3; i++)
        prepare_done(&task, NULL);
    assert_string_equal(story, "abc.abc.");
}

static void test_a_failure_ends_it(void **state)
{
    (void)state;
    fails = -ENOSPC;
    prepare_start(&task, steps, on_done);
    assert_string_equal(story, "abF");
    assert_int_equal(told.type, TASK_EVENT_SETUP_FAILURE);
    assert_true(told.may_pass);
    fails = -EINVAL;
    prepare_start(&task, steps, on_done);
    assert_string_equal(story, "abFabF");
    assert_false(told.may_pass);
    strcpy(waits, "a");
    prepare_start(&task, steps, on_done);
    prepare_done(&task,
                 &(struct prepare_failure){TASK_EVENT_DRIVER_FAILURE, true, "no such artifact"});
    assert_string_equal(story, "abFabFaF");
    assert_int_equal(told.type, TASK_EVENT_DRIVER_FAILURE);
    assert_string_equal(told.text, "no such artifact");
}

static void test_cancelling(void **state)
{
    (void)state;
    prepare_cancel(&task);
    assert_string_equal(story, "");
    strcpy(waits, "b");
    prepare_start(&task, steps, on_done);
    prepare_cancel(&task);
    assert_string_equal(story, "abx");
    prepare_cancel(&task);
    assert_null(task.prepare.data);
    waits[0] = '\0';
    prepare_start(&task, steps, on_done);
    assert_string_equal(story, "abxabc.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_all_at_once, set_up),
        cmocka_unit_test_setup(test_one_after_the_other, set_up),
        cmocka_unit_test_setup(test_a_failure_ends_it, set_up),
        cmocka_unit_test_setup(test_cancelling, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
