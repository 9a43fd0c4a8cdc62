/* SPDX-License-Identifier: MIT
 *
 * exec: the command runs in a root of its own, made of read-only binds of the host's system
 * directories, in private mount, pid and ipc namespaces, as an unprivileged user.
 * The command is looked up by the executor, inside that root.
 */
#include <errno.h>
#include <fnmatch.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "manager/config/capabilities.h"
#include "manager/host/rootless.h"
#include "manager/task/driver.h"
#include "shared/cleanup.h"

/* Who is not root does without cgroups if need be: it is said when a job is registered. */
static const char *problem(const struct config *config, const struct cgroup_layout *cgroup,
                           bool *ret_detected)
{
    const struct rootless *rootless = rootless_get(config);

    *ret_detected = !rootless->problem;
    return rootless->on ? rootless->problem : cgroup->reason;
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

static int check_devices(const struct config *config, const struct driver_config *options,
                         struct err *e)
{
    for (size_t i = 0; i < options->n_devices; i++) {
        const char *path = options->devices[i].host_path;
        char *const *allowed = config->exec.allow_devices;

        while (*allowed && fnmatch(*allowed, path, FNM_PATHNAME) != 0)
            allowed++;
        if (!*allowed)
            return err_set(e, -EINVAL,
                           "the device \"%.64s\" is not allowed on this node; remove it from the "
                           "job, or have it put into allow_devices of plugin \"exec\" "
                           "{ config { } }",
                           path);
    }
    return 0;
}

static int check(const struct config *config, const struct driver_config *options, struct err *e)
{
    uint64_t caps;
    int r = check_devices(config, options, e);

    if (r)
        return r;
    if (options->n_devices && rootless_get(config)->on)
        return err_set(e, -EINVAL,
                       "only root can give a task devices; remove them from the job, or start "
                       "cleat-manager as root");
    if (options->seccomp == SECCOMP_MODE_UNCONFINED && !config->exec.allow_unconfined_seccomp)
        return err_set(e, -EINVAL,
                       "seccomp = \"unconfined\" is not allowed on this node; remove it from the "
                       "job, or have allow_unconfined_seccomp = true put into plugin \"exec\" "
                       "{ config { } }");
    return capabilities_resolve(config->exec.allow_caps, options->cap_add, options->cap_drop, &caps,
                                e);
}

static void plan_devices(const struct driver_config *options, struct bag *bag,
                         struct exec_spec *spec)
{
    spec->n_devices = options->n_devices;
    spec->devices = bag_alloc(bag, options->n_devices * sizeof(*spec->devices));
    for (size_t i = 0; i < options->n_devices; i++)
        spec->devices[i] = (struct spec_device){
            .source = bag_strdup(bag, options->devices[i].host_path),
            .target = bag_strdup(bag, options->devices[i].container_path),
            .permissions = bag_strdup(bag, options->devices[i].permissions),
        };
}

static bool is_private(const char *mode, bool host_by_default)
{
    return *mode ? strcmp(mode, "private") == 0 : !host_by_default;
}

static void plan_namespaces(const struct config *config, const struct driver_config *options,
                            struct bag *bag, struct exec_spec *spec)
{
    spec->private_pid = is_private(options->pid_mode, config->exec.default_pid_mode);
    spec->private_ipc = is_private(options->ipc_mode, config->exec.default_ipc_mode);
    spec->private_uts = is_private(options->uts_mode, !*options->hostname);
    spec->private_cgroup = is_private(options->cgroup_mode, true);
    spec->private_net = options->no_network;
    if (options->userns && !spec->rootless) {
        spec->userns_base = (uint32_t)config->exec.userns_base;
        spec->userns_size = SPEC_USERNS_SIZE;
    }
    spec->no_pivot_root = config->exec.no_pivot_root;
    if (*options->hostname)
        spec->hostname = bag_strdup(bag, options->hostname);
}

static int plan(const struct config *config, const struct driver_config *options,
                struct taskenv *env, struct bag *bag, struct exec_spec *spec, struct err *e)
{
    const struct passwd *pw;
    uint64_t caps;
    int r = capabilities_resolve(config->exec.allow_caps, options->cap_add, options->cap_drop,
                                 &caps, e);

    if (r)
        return r;
    driver_set_process(options, env, bag, spec);
    spec->caps = bag_alloc(bag, (CAPABILITIES_MAX + 1) * sizeof(*spec->caps));
    capabilities_names(caps, spec->caps);
    plan_binds(config, bag, spec);
    plan_devices(options, bag, spec);
    plan_namespaces(config, options, bag, spec);
    spec->no_new_privs = true;
    spec->seccomp = options->seccomp != SECCOMP_MODE_UNCONFINED;
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
    .check = check,
    .plan = plan,
};
