/* SPDX-License-Identifier: MIT
 *
 * Which devices the processes of a cgroup may open and make nodes of, as a BPF program on its v2
 * group (kernel, admin-guide/cgroup-v2.rst, "Device controller"). It needs no v2 controller, so it
 * works on hybrid hosts as well. cgroup v1 has a controller with files for it instead.
 */
#pragma once

#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DEVICE_ANY = -1,
    DEVICE_RULES_MAX = 320, /* the program stays far below the kernel's limit of instructions */
};

/* What is allowed; all else is not. */
struct device_rule {
    uint32_t type; /* BPF_DEVCG_DEV_CHAR or _BLOCK */
    int64_t major; /* or DEVICE_ANY */
    int64_t minor;
    uint32_t access; /* BPF_DEVCG_ACC_* */
};

/* Loads the program for up to DEVICE_RULES_MAX rules. Returns a descriptor, or a negative errno:
 * -EPERM without CAP_BPF and CAP_NET_ADMIN, -EINVAL where the kernel has no such programs. */
int device_filter_load(const struct device_rule *rules, size_t n);

/* Puts it on the group `cgroup_fd` (not O_PATH), beside those of the groups above. It stays until
 * the group is removed. Negative errno. */
int device_filter_attach(int cgroup_fd, int program);

/* Whether this process may load one: 0, or why not. */
int device_filter_probe(void);
