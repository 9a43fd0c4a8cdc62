/* SPDX-License-Identifier: MIT
 *
 * The filter is copied to the stack, its placeholders (executor/isolation/sysfilter_gen.c) are
 * replaced by what the task's capabilities make of them, and the kernel gets the copy.
 */
#include "executor/isolation/sysfilter.h"

#include <assert.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>

#include "shared/sys.h"

static uint32_t settle(uint32_t result, uint64_t caps)
{
    const struct sysfilter_condition *condition;
    uint32_t error = result & SECCOMP_RET_DATA;

    if ((result & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_ERRNO || error < SYSFILTER_PLACEHOLDER)
        return result;
    condition = &sysfilter_conditions[error - SYSFILTER_PLACEHOLDER];
    return condition->caps & caps ? SECCOMP_RET_ALLOW
                                  : SECCOMP_RET_ERRNO | (uint32_t)condition->error;
}

int sysfilter_load(uint64_t caps)
{
    struct sock_filter copy[SYSFILTER_MAX];
    struct sock_fprog program = {.len = sysfilter_program_length, .filter = copy};

    assert(program.len <= SYSFILTER_MAX);
    memcpy(copy, sysfilter_program, program.len * sizeof(copy[0]));
    for (unsigned short i = 0; i < program.len; i++)
        if (copy[i].code == (BPF_RET | BPF_K))
            copy[i].k = settle(copy[i].k, caps);
    /* SPEC_ALLOW: without it older kernels switch off speculation for the task, which costs more
     * than the filter; what that guards against does not run in the task's own address space. */
    return sys_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) < 0
               ? -errno
               : 0;
}

int sysfilter_stage(struct plan *plan, const char **ret_arg)
{
    (void)ret_arg;
    return sysfilter_load(plan->caps);
}
