/* SPDX-License-Identifier: MIT
 *
 * exec: the command runs in a root of its own, made of read-only binds of the host's system
 * directories, in private mount, pid and ipc namespaces, as an unprivileged user.
 * The command is looked up by the executor, inside that root.
 */
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "manager/driver.h"
#include "shared/cleanup.h"

/* The default capabilities of Docker, which Nomad's exec shares; NULL-terminated. */
static char *const default_caps[] = {
    "audit_write", "chown",  "dac_override",     "fowner",  "fsetid", "kill",       "mknod",
    "setfcap",     "setgid", "net_bind_service", "setpcap", "setuid", "sys_chroot", NULL};

static const char *problem(const struct config *config, const struct cgroup_layout *cgroup,
                           bool *ret_detected)
{
    (void)config;
    *ret_detected = geteuid() == 0;
    if (geteuid() != 0)
        return "Driver must run as root; start cleat-manager as root";
    return cgroup->reason;
}

/* Nomad passes over what the host does not have. */
static void plan_binds(const struct config *config, struct bag *bag, struct exec_spec *spec)
{
    spec->binds = bag_alloc(bag, config->n_chroot_env * sizeof(*spec->binds));
    for (size_t i = 0; i < config->n_chroot_env; i++) {
        if (access(config->chroot_env[i].source, F_OK) < 0)
            continue;
        spec->binds[spec->n_binds].source = config->chroot_env[i].source;
        spec->binds[spec->n_binds].target = config->chroot_env[i].target;
        spec->n_binds++;
    }
}

static int plan(const struct config *config, const struct task *task, struct taskenv *env,
                struct bag *bag, struct exec_spec *spec, struct err *e)
{
    const struct passwd *pw;
    int r = driver_args(task, env, bag, &spec->args, e);

    if (r)
        return r;
    plan_binds(config, bag, spec);
    spec->private_pid = true;
    spec->private_ipc = true;
    spec->no_new_privs = true;
    spec->caps = (char **)default_caps;
    pw = getpwuid(spec->uid);
    taskenv_default(env, "USER", spec->user);
    taskenv_default(env, "LOGNAME", spec->user);
    taskenv_default(env, "HOME", pw ? pw->pw_dir : "/");
    return 0;
}

const struct driver driver_exec = {
    .name = "exec",
    .isolation = SPEC_ISOLATION_CHROOT,
    .default_user = "nobody",
    .problem = problem,
    .plan = plan,
};
