/* SPDX-License-Identifier: MIT
 *
 * manager/alloc/stages: what is to become of each task, by what all of them are. A group is written
 * as words of two letters: what the task is (p prestart, s its sidecar, m main, l the leader, a
 * poststart, b its sidecar, z poststop) and how it is (q not started, r running, w being restarted
 * by its executor, x lost and to be started again, d done, k dead because it was told to stop, f
 * failed, F failed before all others). What follows is a letter for each: '+' is started, '-'
 * stopped, '.' stays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "manager/alloc/stages.h"
#include "shared/cleanup.h"

enum {
    TASKS_MAX = 8
};

struct group {
    struct job_task defs[TASKS_MAX];
    struct task tasks[TASKS_MAX];
    size_t n;
};

static void add(struct group *g, char kind, char how)
{
    static const char kinds[] = "psmlabz";
    static const struct job_lifecycle lifecycles[] = {
        {true, JOB_HOOK_PRESTART, false},
        {true, JOB_HOOK_PRESTART, true},
        {0},
        {0},
        {true, JOB_HOOK_POSTSTART, false},
        {true, JOB_HOOK_POSTSTART, true},
        {true, JOB_HOOK_POSTSTOP, false},
    };
    struct task *task = &g->tasks[g->n];
    struct job_task *def = &g->defs[g->n++];

    def->lifecycle = lifecycles[strchr(kinds, kind) - kinds];
    def->leader = kind == 'l';
    task->def = def;
    task->status.state = strchr("dkfF", how) ? TASK_STATE_DEAD
                         : how == 'r'        ? TASK_STATE_RUNNING
                                             : TASK_STATE_PENDING;
    task->status.failed = how == 'f' || how == 'F';
    task->status.finished_ns = how == 'F' ? 1 : 2;
    task->status.started_ns = how != 'q';
    task->status.exit_signal = how == 'k' ? 2 : 0;
    task->machine.phase = strchr("rw", how)   ? TASK_PHASE_SUPERVISED
                          : strchr("qx", how) ? TASK_PHASE_QUEUED
                                              : TASK_PHASE_DONE;
}

static struct group group_of(const char *words)
{
    struct group g = {0};

    for (; *words; words += words[2] ? 3 : 2)
        add(&g, words[0], words[1]);
    return g;
}

static void check(const char *words, bool asked, bool delayed, enum stop_cause cause,
                  const char *expected)
{
    static const char signs[] = {'.', '+', '-'};
    struct group g = group_of(words);
    struct stages stages = stages_look(g.tasks, g.n, asked);
    char follows[TASKS_MAX + 1] = "";

    stages.delayed = delayed;
    for (size_t i = 0; i < g.n; i++)
        follows[i] = signs[stages_wish(&stages, &g.tasks[i])];
    if (strcmp(follows, expected) != 0 || stages.cause != cause)
        fail_msg("%s: %s, cause %d, instead of %s, cause %d", words, follows, stages.cause,
                 expected, cause);
}

static void test_starting(void **state)
{
    static const char *const cases[][2] = {
        {"mq mq", "++"},
        {"pq mq", "+."},
        {"pr mq", "+."},
        {"pw mq", "+."},
        {"pd mq", ".+"},
        {"pd pr mq", ".+."},
        {"sq mq", "+."},
        {"sr mq", "++"},
        {"sw mq", "++"}, /* it crashes, but has been there */
        {"sx mr", "+."},
        {"sx mx", "+."}, /* after a reboot: in order again */
        {"sd mq", ".+"}, /* of a batch job, say */
        {"pq sq mq aq bq zq", "++...."},
        {"pd sr mq aq bq zq", ".++..."},
        {"pd sr mr aq bq zq", ".++++."},
        {"mr mq aq", "++."},
        {"mr mw aq", "+++"},
        {"md mr aq", ".++"},
        {"md aq", ".+"},
        {"pq aq", "+."},
        {"pd aq", ".+"},
        {"zq", "+"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check(cases[i][0], false, false, STOP_NONE, cases[i][1]);
}

static void test_stopping(void **state)
{
    static const struct {
        const char *words;
        bool asked;
        enum stop_cause cause;
        const char *expected;
    } cases[] = {
        {"mr mr", true, STOP_ASKED, "--"},           {"mr mq zq", true, STOP_ASKED, "--."},
        {"md mr zq", true, STOP_ASKED, ".-."},       {"md md zq", true, STOP_ASKED, "..+"},
        {"md zr", true, STOP_ASKED, ".+"},           {"md zd", true, STOP_ASKED, ".."},
        {"pr mq zq", true, STOP_ASKED, "--."},       {"sr mr br zq", true, STOP_ASKED, ".-.."},
        {"sr md br zq", true, STOP_ASKED, "-.-."},   {"sd md bd zq", true, STOP_ASKED, "...+"},
        {"lr mr sr", true, STOP_ASKED, "-.."},       {"lq mr", true, STOP_ASKED, "-."},
        {"ld mr sr", true, STOP_ASKED, ".-."},       {"lf md sr", true, STOP_ASKED, "..-"},
        {"mf mr", false, STOP_SIBLING, ".-"},        {"pf mq zq", false, STOP_SIBLING, ".-."},
        {"pf md zq", false, STOP_SIBLING, "..+"},    {"sf mr", false, STOP_SIBLING, ".-"},
        {"mf lr mr", false, STOP_SIBLING, ".-."},    {"md zf", false, STOP_NONE, ".."},
        {"mr zf", false, STOP_NONE, "+."},           {"ld mr sr zq", false, STOP_LEADER, ".-.."},
        {"ld md sr zq", false, STOP_LEADER, "..-."}, {"mf ld mr", false, STOP_LEADER, "..-"},
        {"lf mr", false, STOP_SIBLING, ".-"},        {"md sr br", false, STOP_MAIN, ".--"},
        {"md sr bq", false, STOP_MAIN, ".--"},       {"md sr aq", false, STOP_NONE, ".++"},
        {"md sd", false, STOP_NONE, ".."},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check(cases[i].words, cases[i].asked, false, cases[i].cause, cases[i].expected);
    check("mr sr mq zq", true, true, STOP_ASKED, "....");
    check("md zq", true, true, STOP_ASKED, ".+");
}

static void test_the_first_to_fail_is_to_blame(void **state)
{
    struct group g = group_of("mf mF mf"), h = group_of("mf ld mF");

    (void)state;
    assert_ptr_equal(stages_look(g.tasks, g.n, false).culprit, &g.tasks[1]);
    assert_ptr_equal(stages_look(h.tasks, h.n, false).culprit, &h.tasks[1]);
    assert_null(stages_look(g.tasks, g.n, true).culprit);
}

/* Whatever a group is made of: tasks that end well when they are told to, or by themselves, come to
 * their end, each started and stopped at most once, and in order. */
static void walk(unsigned int seed)
{
    struct group g = {0};
    bool asked = false, started[TASKS_MAX] = {0};

    srand(seed);
    for (int n = 1 + rand() % TASKS_MAX, leaders = 0; n > 0; n--) {
        char kind = "psmlabz"[rand() % 7];

        add(&g, kind == 'l' && leaders++ ? 'm' : kind, 'q');
    }
    for (int step = 0; step < 400; step++) {
        size_t i = (size_t)rand() % g.n;
        struct task *task = &g.tasks[i];
        struct stages stages = stages_look(g.tasks, g.n, asked);
        enum stage_wish wish = stages_wish(&stages, task);
        bool sidecar = task->def->lifecycle.sidecar;

        asked |= rand() % 100 == 0;
        if (task->status.state == TASK_STATE_DEAD) {
            assert_int_equal(wish, STAGE_KEEP);
        } else if (wish == STAGE_STOP || (task->status.state == TASK_STATE_RUNNING && !sidecar)) {
            assert_true(wish != STAGE_STOP || task->def->lifecycle.hook != JOB_HOOK_POSTSTOP);
            task->status.state = TASK_STATE_DEAD;
        } else if (wish == STAGE_START && !started[i]) {
            assert_true(task->def->lifecycle.hook != JOB_HOOK_POSTSTOP || !stages.any_lives);
            started[i] = true;
            task->status.started_ns = 1;
            task->status.state = TASK_STATE_RUNNING;
        }
    }
    for (size_t i = 0; i < g.n; i++)
        if (g.tasks[i].status.state != TASK_STATE_DEAD)
            fail_msg("seed %u: task %zu does not end", seed, i);
}

static void test_every_group_ends(void **state)
{
    (void)state;
    for (unsigned int seed = 0; seed < 10000; seed++)
        walk(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starting),
        cmocka_unit_test(test_stopping),
        cmocka_unit_test(test_the_first_to_fail_is_to_blame),
        cmocka_unit_test(test_every_group_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
