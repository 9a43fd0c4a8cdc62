/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cap-ng.h>
#include <cmocka.h>

#include "executor/isolation/privileges.h"

static int resolve(char *name, uint64_t *ret_caps)
{
    struct exec_spec spec = {.caps = (char *[]){name, NULL}};
    struct plan plan = {.spec = &spec};
    struct err e = ERR_INIT;
    int r = privileges_resolve(&plan, &e);

    *ret_caps = plan.caps;
    return r;
}

/* The executor has a table of its own: it says what libcap-ng, which the manager uses, says. */
static void test_names(void **state)
{
    int known = 0;

    (void)state;
    for (unsigned int cap = 0; cap <= CAP_LAST_CAP; cap++) {
        const char *name = capng_capability_to_name(cap);
        char text[64];
        uint64_t caps;

        if (!name) /* newer than the library */
            continue;
        known++;
        (void)snprintf(text, sizeof(text), "%s", name);
        assert_int_equal(resolve(text, &caps), 0);
        assert_int_equal(caps, 1ULL << cap);
        (void)snprintf(text, sizeof(text), "CAP_%s", name);
        assert_int_equal(resolve(text, &caps), 0);
        assert_int_equal(caps, 1ULL << cap);
    }
    assert_in_range(known, 38, CAP_LAST_CAP + 1);
}

static void test_unknown(void **state)
{
    uint64_t caps;

    (void)state;
    assert_int_equal(resolve("", &caps), -EINVAL);
    assert_int_equal(resolve("cap_", &caps), -EINVAL);
    assert_int_equal(resolve("chow", &caps), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_unknown)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
