/* SPDX-License-Identifier: MIT
 *
 * Both ways take the same rules. They are inherited: groups that the task makes below its own can
 * only have less.
 */
#include "executor/isolation/devices.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "shared/cgroupfs.h"
#include "shared/cleanup.h"
#include "shared/device_filter.h"

#define USE (BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE)
#define CHAR BPF_DEVCG_DEV_CHAR
#define BLOCK BPF_DEVCG_DEV_BLOCK

/* The numbers are the kernel's (Documentation/admin-guide/devices.txt). Those in front are opened
 * most. */
static const struct device_rule usual[] = {
    {CHAR, 1, 3, USE},            /* null */
    {CHAR, 136, DEVICE_ANY, USE}, /* pts */
    {CHAR, 1, 9, USE},            /* urandom */
    {CHAR, 1, 8, USE},            /* random */
    {CHAR, 1, 5, USE},            /* zero */
    {CHAR, 1, 7, USE},            /* full */
    {CHAR, 5, 0, USE},            /* tty */
    {CHAR, 5, 1, USE},            /* console */
    {CHAR, 5, 2, USE},            /* ptmx */
    {CHAR, DEVICE_ANY, DEVICE_ANY, BPF_DEVCG_ACC_MKNOD},
    {BLOCK, DEVICE_ANY, DEVICE_ANY, BPF_DEVCG_ACC_MKNOD},
};

/* False: there is no such device, which the stage that makes its node will tell. */
static bool rule_of(const struct spec_device *device, struct device_rule *ret_rule)
{
    struct stat st;

    if (stat(device->source, &st) < 0 || (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)))
        return false;
    *ret_rule = (struct device_rule){
        .type = S_ISCHR(st.st_mode) ? CHAR : BLOCK,
        .major = major(st.st_rdev),
        .minor = minor(st.st_rdev),
        .access = BPF_DEVCG_ACC_MKNOD |
                  (strchr(device->permissions, 'r') ? BPF_DEVCG_ACC_READ : 0) |
                  (strchr(device->permissions, 'w') ? BPF_DEVCG_ACC_WRITE : 0),
    };
    return true;
}

static size_t list_rules(const struct exec_spec *spec, struct device_rule rules[DEVICE_RULES_MAX])
{
    size_t n = ARRAY_LEN(usual);

    memcpy(rules, usual, sizeof(usual));
    for (size_t i = 0; i < spec->n_devices && n < DEVICE_RULES_MAX; i++)
        n += rule_of(&spec->devices[i], &rules[n]);
    return n;
}

static const char *number(int64_t value, char buf[24])
{
    if (value == DEVICE_ANY)
        return "*";
    (void)snprintf(buf, 24, "%lld", (long long)value);
    return buf;
}

static int allow(int file, const struct device_rule *rule)
{
    char text[64], major_text[24], minor_text[24];
    int n = snprintf(text, sizeof(text), "%c %s:%s %s%s%s", rule->type == CHAR ? 'c' : 'b',
                     number(rule->major, major_text), number(rule->minor, minor_text),
                     rule->access & BPF_DEVCG_ACC_READ ? "r" : "",
                     rule->access & BPF_DEVCG_ACC_WRITE ? "w" : "",
                     rule->access & BPF_DEVCG_ACC_MKNOD ? "m" : "");

    return write(file, text, (size_t)n) < 0 ? -errno : 0;
}

static int write_rules(int leaf, const struct device_rule *rules, size_t n)
{
    autofd int file = openat(leaf, "devices.allow", O_WRONLY | O_CLOEXEC);
    int r = file < 0 ? -errno : cgroupfs_write(leaf, "devices.deny", "a");

    for (size_t i = 0; !r && i < n; i++)
        r = allow(file, &rules[i]);
    return r;
}

static int attach_program(int leaf, const struct device_rule *rules, size_t n)
{
    autofd int program = device_filter_load(rules, n);

    return program < 0 ? program : device_filter_attach(leaf, program);
}

int devices_restrict(const struct cgroup *cg, const struct exec_spec *spec, struct err *e)
{
    int v1 = cg->dir_fd[CGROUP_DEVICES], unified = cg->dir_fd[CGROUP_UNIFIED], r = -EOPNOTSUPP;
    struct device_rule rules[DEVICE_RULES_MAX];
    size_t n;

    if (!spec->limits.own_devices)
        return 0;
    n = list_rules(spec, rules);
    if (v1 >= 0)
        r = write_rules(v1, rules, n);
    else if (unified >= 0)
        r = attach_program(unified, rules, n);
    return r ? err_sys(e, r, "restrict the devices of %s", cg->name) : 0;
}
