/* SPDX-License-Identifier: MIT
 *
 * The program: type, access, major and minor of what is asked for go into registers; then for each
 * rule a few comparisons that jump to the next one, and "allowed" if none did; at the end,
 * "denied".
 */
#include "shared/device_filter.h"

#include <errno.h>

#include "shared/cleanup.h"
#include "shared/sys.h"

enum {
    HEAD = 6,     /* instructions before the rules */
    RULE_MAX = 8, /* of a rule */
    TAIL = 2,     /* after them */
    ALL_ACCESS = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE,
};

/* Registers. The context comes in CONTEXT. */
enum {
    RESULT = BPF_REG_0,
    CONTEXT = BPF_REG_1,
    TYPE,
    ACCESS,
    MAJOR,
    MINOR,
    SCRATCH,
};

static struct bpf_insn load(uint8_t reg, size_t offset)
{
    return (struct bpf_insn){.code = BPF_LDX | BPF_MEM | BPF_W,
                             .dst_reg = reg,
                             .src_reg = CONTEXT,
                             .off = (int16_t)offset};
}

/* reg = reg OP value, in 32 bits. */
static struct bpf_insn compute(uint8_t op, uint8_t reg, uint32_t value)
{
    return (struct bpf_insn){
        .code = (uint8_t)(BPF_ALU | op | BPF_K), .dst_reg = reg, .imm = (int32_t)value};
}

static struct bpf_insn copy(uint8_t to, uint8_t from)
{
    return (struct bpf_insn){.code = BPF_ALU | BPF_MOV | BPF_X, .dst_reg = to, .src_reg = from};
}

/* Leaves the rule if the register is not the value. The distance is not known yet: `off` 0. */
static struct bpf_insn unless(uint8_t reg, uint32_t value)
{
    return (struct bpf_insn){
        .code = BPF_JMP32 | BPF_JNE | BPF_K, .dst_reg = reg, .imm = (int32_t)value};
}

static size_t add_result(struct bpf_insn *at, uint32_t result)
{
    at[0] = compute(BPF_MOV, RESULT, result);
    at[1] = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
    return 2;
}

static size_t add_rule(struct bpf_insn *at, const struct device_rule *rule)
{
    size_t n = 0, jumps;

    at[n++] = unless(TYPE, rule->type);
    if (rule->major != DEVICE_ANY)
        at[n++] = unless(MAJOR, (uint32_t)rule->major);
    if (rule->minor != DEVICE_ANY)
        at[n++] = unless(MINOR, (uint32_t)rule->minor);
    if (rule->access != ALL_ACCESS) {
        at[n++] = copy(SCRATCH, ACCESS);
        at[n++] = compute(BPF_AND, SCRATCH, ~rule->access);
        at[n++] = unless(SCRATCH, 0);
    }
    jumps = n;
    n += add_result(at + n, 1);
    for (size_t i = 0; i < jumps; i++)
        if (BPF_CLASS(at[i].code) == BPF_JMP32)
            at[i].off = (int16_t)(n - i - 1);
    return n;
}

int device_filter_load(const struct device_rule *rules, size_t n)
{
    struct bpf_insn program[HEAD + RULE_MAX * DEVICE_RULES_MAX + TAIL];
    union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
                           .insns = (uint64_t)(uintptr_t)program,
                           .license = (uint64_t)(uintptr_t) "MIT"};
    size_t size = 0;
    int fd;

    if (n > DEVICE_RULES_MAX)
        return -E2BIG;
    program[size++] = load(TYPE, offsetof(struct bpf_cgroup_dev_ctx, access_type));
    program[size++] = copy(ACCESS, TYPE);
    program[size++] = compute(BPF_AND, TYPE, 0xffff);
    program[size++] = compute(BPF_RSH, ACCESS, 16);
    program[size++] = load(MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major));
    program[size++] = load(MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor));
    for (size_t i = 0; i < n; i++)
        size += add_rule(program + size, &rules[i]);
    size += add_result(program + size, 0);
    attr.insn_cnt = (uint32_t)size;
    fd = sys_bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
    return fd < 0 ? -errno : fd;
}

int device_filter_attach(int cgroup_fd, int program)
{
    union bpf_attr attr = {.target_fd = (uint32_t)cgroup_fd,
                           .attach_bpf_fd = (uint32_t)program,
                           .attach_type = BPF_CGROUP_DEVICE,
                           .attach_flags = BPF_F_ALLOW_MULTI};

    return sys_bpf(BPF_PROG_ATTACH, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

int device_filter_probe(void)
{
    autofd int program = device_filter_load(NULL, 0);

    return program < 0 ? program : 0;
}
