/* SPDX-License-Identifier: MIT
 *
 * Order matters: the bounding set is cut while CAP_SETPCAP is still there; PR_SET_KEEPCAPS carries
 * the permitted set over setresuid(2); then the sets are written, and the ambient set last, because
 * it may only hold what is permitted and inheritable. Ambient is what survives execve(2) of a plain
 * file by a user that is not root: without it the kept capabilities would be of no use to `nobody`.
 */
#include "executor/isolation/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared/cleanup.h"

#include "shared/cleanup.h"

/* Of capabilities(7). Not libcap-ng's: that brings name services and the dynamic loader along. */
static const char *const names[] = {
    [CAP_CHOWN] = "chown",
    [CAP_DAC_OVERRIDE] = "dac_override",
    [CAP_DAC_READ_SEARCH] = "dac_read_search",
    [CAP_FOWNER] = "fowner",
    [CAP_FSETID] = "fsetid",
    [CAP_KILL] = "kill",
    [CAP_SETGID] = "setgid",
    [CAP_SETUID] = "setuid",
    [CAP_SETPCAP] = "setpcap",
    [CAP_LINUX_IMMUTABLE] = "linux_immutable",
    [CAP_NET_BIND_SERVICE] = "net_bind_service",
    [CAP_NET_BROADCAST] = "net_broadcast",
    [CAP_NET_ADMIN] = "net_admin",
    [CAP_NET_RAW] = "net_raw",
    [CAP_IPC_LOCK] = "ipc_lock",
    [CAP_IPC_OWNER] = "ipc_owner",
    [CAP_SYS_MODULE] = "sys_module",
    [CAP_SYS_RAWIO] = "sys_rawio",
    [CAP_SYS_CHROOT] = "sys_chroot",
    [CAP_SYS_PTRACE] = "sys_ptrace",
    [CAP_SYS_PACCT] = "sys_pacct",
    [CAP_SYS_ADMIN] = "sys_admin",
    [CAP_SYS_BOOT] = "sys_boot",
    [CAP_SYS_NICE] = "sys_nice",
    [CAP_SYS_RESOURCE] = "sys_resource",
    [CAP_SYS_TIME] = "sys_time",
    [CAP_SYS_TTY_CONFIG] = "sys_tty_config",
    [CAP_MKNOD] = "mknod",
    [CAP_LEASE] = "lease",
    [CAP_AUDIT_WRITE] = "audit_write",
    [CAP_AUDIT_CONTROL] = "audit_control",
    [CAP_SETFCAP] = "setfcap",
    [CAP_MAC_OVERRIDE] = "mac_override",
    [CAP_MAC_ADMIN] = "mac_admin",
    [CAP_SYSLOG] = "syslog",
    [CAP_WAKE_ALARM] = "wake_alarm",
    [CAP_BLOCK_SUSPEND] = "block_suspend",
    [CAP_AUDIT_READ] = "audit_read",
    [CAP_PERFMON] = "perfmon",
    [CAP_BPF] = "bpf",
    [CAP_CHECKPOINT_RESTORE] = "checkpoint_restore",
};

static int capability_of(const char *name)
{
    if (strncasecmp(name, "cap_", 4) == 0)
        name += 4;
    for (size_t cap = 0; cap < ARRAY_LEN(names); cap++)
        if (strcasecmp(names[cap], name) == 0)
            return (int)cap;
    return -1;
}

int privileges_resolve(struct plan *plan, struct err *e)
{
    if (!plan->spec->caps)
        return 0;
    for (char **name = plan->spec->caps; *name; name++) {
        int cap = capability_of(*name);

        if (cap < 0)
            return err_set(e, -EINVAL,
                           "unknown capability \"%s\": see capabilities(7) for the names", *name);
        plan->caps |= 1ULL << cap;
    }
    return 0;
}

int privileges_stage_caps_bound(struct plan *plan, const char **ret_arg)
{
    (void)ret_arg;
    for (int cap = 0; cap < 64; cap++) {
        if (plan->caps >> cap & 1)
            continue;
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
            continue;
        if (errno == EINVAL)
            break; /* past the last capability of this kernel */
        /* EPERM: the executor is not privileged itself; then there is nothing to give up that it
         * has, unless the capability is in the set. */
        if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
            return -errno;
    }
    return 0;
}

/* Outside of the task's user namespace nobody may. The secrets directory stays the manager's
 * user's, who lets nobody near it otherwise. */
static int give_what_is_its(const struct plan *plan)
{
    const struct exec_spec *spec = plan->spec;
    autofd int secrets = spec->shared_dir && plan->task_pidfd < 0
                             ? open("/secrets", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                             : -1;

    if (secrets >= 0 && fchmod(secrets, 0777) < 0)
        return -errno;

    if (plan->tty)
        return fchown(STDIN_FILENO, spec->uid, (gid_t)-1) < 0 ? -errno : 0;
    if (plan->task_pidfd >= 0 || spec->logs.disabled)
        return 0;
    return fchown(STDOUT_FILENO, spec->uid, spec->gid) < 0 ||
                   fchown(STDERR_FILENO, spec->uid, spec->gid) < 0
               ? -errno
               : 0;
}

int privileges_stage_user(struct plan *plan, const char **ret_arg)
{
    const struct exec_spec *spec = plan->spec;

    *ret_arg = spec->user;
    if (spec->rootless) {
        int r = give_what_is_its(plan);

        if (r)
            return r;
    }
    if (plan->spec->caps && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return -errno;
    /* The raw calls: one thread, so glibc's all-threads dance is not needed here. */
    if (syscall(SYS_setgroups, spec->n_groups, spec->groups) < 0 ||
        syscall(SYS_setresgid, spec->gid, spec->gid, spec->gid) < 0 ||
        syscall(SYS_setresuid, spec->uid, spec->uid, spec->uid) < 0)
        return -errno;
    return 0;
}

int privileges_stage_caps(struct plan *plan, const char **ret_arg)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    uint32_t low = (uint32_t)plan->caps, high = (uint32_t)(plan->caps >> 32);
    struct __user_cap_data_struct data[2] = {{low, low, low}, {high, high, high}};

    (void)ret_arg;
    if (syscall(SYS_capset, &header, data) < 0)
        return -errno;
    if (plan->spec->uid == 0)
        return 0; /* root gets the bounding set at execve(2) anyway */
    for (int cap = 0; cap < 64; cap++)
        if ((plan->caps >> cap & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
            return -errno;
    return 0;
}
