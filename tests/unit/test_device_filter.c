/* SPDX-License-Identifier: MIT
 *
 * shared/device_filter.h: the kernel's verifier takes every shape of rule.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/cleanup.h"
#include "shared/device_filter.h"

/* Where bpf(2) is not permitted, everything must say so alike. */
static int expected(void)
{
    int r = device_filter_probe();

    assert_true(r == 0 || r == -EPERM || r == -EINVAL || r == -ENOSYS);
    return r;
}

static void test_every_shape(void **state)
{
    static const int64_t numbers[] = {DEVICE_ANY, 0, 7, UINT32_MAX >> 12};

    (void)state;
    for (uint32_t access = 1; access < 8; access++)
        for (size_t major = 0; major < ARRAY_LEN(numbers); major++)
            for (size_t minor = 0; minor < ARRAY_LEN(numbers); minor++) {
                const struct device_rule rules[] = {
                    {BPF_DEVCG_DEV_CHAR, numbers[major], numbers[minor], access},
                    {BPF_DEVCG_DEV_BLOCK, numbers[minor], numbers[major], access},
                };
                autofd int program = device_filter_load(rules, ARRAY_LEN(rules));

                assert_int_equal(program < 0 ? program : 0, expected());
            }
}

static void test_the_most(void **state)
{
    struct device_rule rules[DEVICE_RULES_MAX + 1];
    autofd int program = -1;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        rules[i] = (struct device_rule){BPF_DEVCG_DEV_CHAR, 4, (int64_t)i, BPF_DEVCG_ACC_READ};
    assert_int_equal(device_filter_load(rules, DEVICE_RULES_MAX + 1), -E2BIG);
    program = device_filter_load(rules, DEVICE_RULES_MAX);
    assert_int_equal(program < 0 ? program : 0, expected());
    assert_true(device_filter_attach(STDIN_FILENO, program) < 0); /* no cgroup */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_shape),
        cmocka_unit_test(test_the_most),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
