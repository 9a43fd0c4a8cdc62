/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>

#include <cmocka.h>

#include "manager/config/capabilities.h"
#include "shared/cleanup.h"

#define DEFAULT_SET 0xa80405fbULL
#define NET_BIND_SERVICE 0x400ULL
#define SYS_TIME (1ULL << 25)

static char *const none[] = {NULL};
static char *const all[] = {"ALL", NULL};

struct names {
    char *names[4];
};

static uint64_t held(uint64_t set)
{
    for (int cap = 0; cap < 64; cap++)
        if ((set >> cap & 1) && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) != 1)
            set &= ~(1ULL << cap);
    return set;
}

static void test_rule(void **state)
{
    static const struct {
        struct names allow, add, drop; /* allow: empty for the defaults */
        uint64_t want;
    } cases[] = {
        {{{0}}, {{0}}, {{0}}, DEFAULT_SET},
        {{{0}}, {{0}}, {{"all"}}, 0},
        {{{0}}, {{"net_bind_service"}}, {{"all"}}, NET_BIND_SERVICE},
        {{{0}}, {{"CAP_NET_Bind_Service"}}, {{"All"}}, NET_BIND_SERVICE},
        {{{0}}, {{0}}, {{"Cap_net_bind_service"}}, DEFAULT_SET & ~NET_BIND_SERVICE},
        {{{"net_bind_service", "sys_time"}}, {{0}}, {{0}}, NET_BIND_SERVICE},
        {{{"net_bind_service", "sys_time"}}, {{"sys_time"}}, {{0}}, NET_BIND_SERVICE | SYS_TIME},
        {{{"all"}}, {{"sys_time"}}, {{0}}, DEFAULT_SET | SYS_TIME},
        {{{"all"}}, {{"all"}}, {{0}}, ~0ULL},
        {{{0}}, {{"chown"}}, {{"chown"}}, DEFAULT_SET},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *const *allow = cases[i].allow.names[0] ? cases[i].allow.names : capabilities_default;
        struct err e = ERR_INIT;
        uint64_t got = 0;

        if (capabilities_resolve(allow, cases[i].add.names, cases[i].drop.names, &got, &e))
            fail_msg("case %zu: %s", i, e.text);
        assert_true(got == held(cases[i].want));
    }
}

static void test_refusals(void **state)
{
    static char *const outside[] = {"sys_admin", "chown", "CAP_SYS_TIME", NULL};
    static char *const unknown[] = {"chown", "fly", NULL};
    static char *const empty[] = {"", NULL};
    struct err e = ERR_INIT;
    uint64_t set = 7;

    (void)state;
    assert_int_equal(capabilities_resolve(capabilities_default, outside, none, &set, &e), -EINVAL);
    assert_non_null(strstr(e.text, "does not allow: sys_admin, sys_time;"));
    assert_int_equal(capabilities_resolve(capabilities_default, unknown, none, &set, &e), -EINVAL);
    assert_string_equal(e.text, "cap_add: there is no capability \"fly\"; capabilities(7) has the "
                                "names, such as \"net_bind_service\"");
    assert_int_equal(capabilities_resolve(all, none, unknown, &set, &e), -EINVAL);
    assert_non_null(strstr(e.text, "cap_drop: there is no capability \"fly\""));
    assert_int_equal(capabilities_resolve(all, empty, none, &set, NULL), -EINVAL);
    assert_int_equal(capabilities_resolve(unknown, none, none, &set, &e), -EINVAL);
    assert_non_null(strstr(e.text, "allow_caps"));
    assert_int_equal(set, 7);
}

static void test_names(void **state)
{
    char *names[CAPABILITIES_MAX + 1];
    uint64_t set;

    (void)state;
    capabilities_names(0, names);
    assert_null(names[0]);
    capabilities_names(NET_BIND_SERVICE | 1, names);
    assert_string_equal(names[0], "chown");
    assert_string_equal(names[1], "net_bind_service");
    assert_null(names[2]);
    capabilities_names(DEFAULT_SET, names);
    assert_int_equal(capabilities_parse(names, &set, NULL), 0);
    assert_true(set == DEFAULT_SET);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rule),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
