/* SPDX-License-Identifier: MIT
 *
 * A decoded spec and all it points to live in one msgpack zone; an assembled one (the manager's) is
 * the assembler's to free. spec_free() knows only the first kind.
 */
#include "shared/proto/spec.h"

#include <errno.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "shared/cleanup.h"
#include "shared/proto/fields.h"
#include "shared/proto/messages.h"
#include "shared/proto/terms.h"

struct gid_box {
    gid_t gid;
};

static const struct field group_fields[] = {FIELD(struct gid_box, gid, UINT), {0}};

static const struct field bind_fields[] = {
    FIELD(struct spec_bind, source, STRING), FIELD(struct spec_bind, target, STRING), {0}};

static const struct field mount_fields[] = {
    FIELD(struct spec_mount, source, STRING),
    FIELD(struct spec_mount, target, STRING),
    FIELD(struct spec_mount, read_only, BOOL),
    FIELD(struct spec_mount, propagation, UINT, .max = SPEC_PROPAGATION_N - 1),
    {0}};

static const struct field device_fields[] = {FIELD(struct spec_device, source, STRING),
                                             FIELD(struct spec_device, target, STRING),
                                             FIELD(struct spec_device, permissions, STRING),
                                             {0}};

static const struct field rlimit_fields[] = {
    FIELD(struct spec_rlimit, resource, UINT, .max = RLIM_NLIMITS - 1),
    FIELD(struct spec_rlimit, soft, UINT),
    FIELD(struct spec_rlimit, hard, UINT),
    {0}};

static const struct field cgroup_fields[] = {
    FIELD(struct spec_cgroup, unified, STRING, .optional = true),
    FIELD(struct spec_cgroup, memory, STRING, .optional = true),
    FIELD(struct spec_cgroup, cpu, STRING, .optional = true),
    FIELD(struct spec_cgroup, freezer, STRING, .optional = true),
    FIELD_SPARSE(struct spec_cgroup, pids, STRING),
    FIELD_SPARSE(struct spec_cgroup, cpuset, STRING),
    FIELD_SPARSE(struct spec_cgroup, io, STRING),
    FIELD_SPARSE(struct spec_cgroup, cpuacct, STRING),
    FIELD_SPARSE(struct spec_cgroup, devices, STRING),
    FIELD(struct spec_cgroup, v2_controllers, BOOL),
    FIELD_SPARSE(struct spec_cgroup, executor, STRING),
    {0}};

static const struct field limits_fields[] = {
    FIELD_SPARSE(struct spec_limits, memory_low_bytes, UINT),
    FIELD_SPARSE(struct spec_limits, cpu_quota_us, UINT),
    FIELD_SPARSE(struct spec_limits, cpu_period_us, UINT, .max = 1000000),
    FIELD_SPARSE(struct spec_limits, pids, UINT),
    FIELD_SPARSE(struct spec_limits, cpus, STRING),
    FIELD_SPARSE(struct spec_limits, io_weight, UINT, .max = 10000),
    FIELD_SPARSE(struct spec_limits, oom_group, BOOL),
    FIELD_SPARSE(struct spec_limits, own_devices, BOOL),
    {0}};

static const struct field spec_fields[] = {
    FIELD(struct exec_spec, alloc_id, STRING),
    FIELD(struct exec_spec, task, STRING),
    FIELD(struct exec_spec, isolation, UINT, .max = SPEC_ISOLATION_N - 1),
    FIELD(struct exec_spec, args, STRINGS),
    FIELD(struct exec_spec, env, STRINGS),
    FIELD(struct exec_spec, task_dir, STRING),
    FIELD(struct exec_spec, shared_dir, STRING, .optional = true),
    FIELD(struct exec_spec, log_dir, STRING),
    FIELD(struct exec_spec, work_dir, STRING, .optional = true),
    FIELD(struct exec_spec, user, STRING, .optional = true),
    FIELD(struct exec_spec, uid, UINT),
    FIELD(struct exec_spec, gid, UINT),
    {.key = "groups",
     .kind = FIELD_LIST,
     .offset = offsetof(struct exec_spec, groups),
     .size = sizeof(struct gid_box),
     .count_offset = offsetof(struct exec_spec, n_groups),
     .sub = group_fields},
    FIELD(struct exec_spec, set_user, BOOL),
    {.key = "binds",
     .kind = FIELD_LIST,
     .offset = offsetof(struct exec_spec, binds),
     .size = sizeof(struct spec_bind),
     .count_offset = offsetof(struct exec_spec, n_binds),
     .sub = bind_fields},
    FIELD(struct exec_spec, userns_base, UINT, .sparse = true),
    FIELD(struct exec_spec, userns_size, UINT, .sparse = true),
    FIELD(struct exec_spec, rootless, BOOL, .sparse = true),
    FIELD(struct exec_spec, subuid, UINT, .sparse = true),
    FIELD(struct exec_spec, subgid, UINT, .sparse = true),
    FIELD(struct exec_spec, n_subids, UINT, .sparse = true),
    {.key = "mounts",
     .kind = FIELD_LIST,
     .sparse = true,
     .offset = offsetof(struct exec_spec, mounts),
     .size = sizeof(struct spec_mount),
     .count_offset = offsetof(struct exec_spec, n_mounts),
     .sub = mount_fields},
    {.key = "devices",
     .kind = FIELD_LIST,
     .sparse = true,
     .offset = offsetof(struct exec_spec, devices),
     .size = sizeof(struct spec_device),
     .count_offset = offsetof(struct exec_spec, n_devices),
     .sub = device_fields},
    FIELD(struct exec_spec, private_pid, BOOL),
    FIELD(struct exec_spec, private_ipc, BOOL),
    FIELD(struct exec_spec, private_uts, BOOL, .sparse = true),
    FIELD(struct exec_spec, private_cgroup, BOOL, .sparse = true),
    FIELD(struct exec_spec, private_net, BOOL, .sparse = true),
    FIELD(struct exec_spec, hostname, STRING, .sparse = true),
    FIELD(struct exec_spec, no_pivot_root, BOOL, .sparse = true),
    FIELD(struct exec_spec, stdin_path, STRING, .sparse = true),
    FIELD(struct exec_spec, oom_score_adj, INT, .sparse = true),
    FIELD(struct exec_spec, nice, INT, .sparse = true),
    {.key = "rlimits",
     .kind = FIELD_LIST,
     .sparse = true,
     .offset = offsetof(struct exec_spec, rlimits),
     .size = sizeof(struct spec_rlimit),
     .count_offset = offsetof(struct exec_spec, n_rlimits),
     .sub = rlimit_fields},
    FIELD(struct exec_spec, no_new_privs, BOOL),
    FIELD(struct exec_spec, seccomp, BOOL, .sparse = true),
    FIELD(struct exec_spec, caps, STRINGS, .optional = true),
    FIELD(struct exec_spec, cgroup, MAP, .sub = cgroup_fields),
    FIELD(struct exec_spec, cpu_shares, UINT),
    FIELD(struct exec_spec, memory_bytes, UINT),
    FIELD_SPARSE(struct exec_spec, limits, MAP, .sub = limits_fields),
    FIELD(struct exec_spec, restart, MAP, .sub = spec_restart_fields),
    FIELD(struct exec_spec, kill_signal, INT),
    FIELD(struct exec_spec, kill_timeout_ns, UINT),
    FIELD(struct exec_spec, shutdown_delay_ns, UINT),
    FIELD(struct exec_spec, logs, MAP, .sub = spec_log_fields),
    FIELD_SPARSE(struct exec_spec, foreign_seq, UINT),
    FIELD(struct exec_spec, order, STRING, .sparse = true),
    FIELD_SPARSE(struct exec_spec, definition, UINT),
    FIELD_SPARSE(struct exec_spec, terms_id, UINT),
    {0}};

/* The spec comes first, so that the public pointer is also the box's. */
struct spec_box {
    struct exec_spec spec;
    msgpack_zone zone;
};

int spec_encode(const struct exec_spec *spec, char **ret_data, size_t *ret_size)
{
    msgpack_sbuffer out;
    msgpack_packer pk;
    int r;

    msgpack_sbuffer_init(&out);
    msgpack_packer_init(&pk, &out, msgpack_sbuffer_write);
    r = fields_pack(&pk, spec_fields, spec);
    if (r || out.size > SPEC_MAX_BYTES) {
        msgpack_sbuffer_destroy(&out);
        return r ? -ENOMEM : -E2BIG;
    }
    *ret_size = out.size;
    *ret_data = msgpack_sbuffer_release(&out);
    return 0;
}

static bool users_fit(const struct exec_spec *spec)
{
    uint32_t size = spec->userns_size;
    bool fit = spec->set_user && spec->uid < size && spec->gid < size && spec->userns_base &&
               spec->userns_base <= INT32_MAX - size;

    for (size_t i = 0; fit && i < spec->n_groups; i++)
        fit = spec->groups[i] < size;
    return fit;
}

static bool subids_fit(const struct exec_spec *spec)
{
    bool fit =
        spec->uid <= spec->n_subids && spec->gid <= spec->n_subids && spec->subuid && spec->subgid;

    for (size_t i = 0; fit && i < spec->n_groups; i++)
        fit = spec->groups[i] <= spec->n_subids;
    return fit;
}

/* Rules that go beyond a field's own range. */
static int check(const struct exec_spec *spec, struct err *e)
{
    struct spec_terms terms;

    spec_terms_of(spec, &terms);
    if (spec_terms_check(&terms, e) < 0) {
        err_wrap(e, "spec");
        return -EBADMSG;
    }
    if (!spec->args[0])
        return err_set(e, -EBADMSG, "spec: \"args\" is empty, there is nothing to run");
    if (!spec->task[0] || strchr(spec->task, '/'))
        return err_set(e, -EBADMSG, "spec: \"task\" is no file name: \"%s\"", spec->task);
    if (spec->work_dir && spec->work_dir[0] != '/')
        return err_set(e, -EBADMSG, "spec: \"work_dir\" is not absolute: \"%s\"", spec->work_dir);
    for (size_t i = 0; i < spec->n_mounts; i++)
        if (spec->mounts[i].source[0] != '/' || spec->mounts[i].target[0] != '/')
            return err_set(e, -EBADMSG, "spec: \"mounts\" has a path that is not absolute");
    for (size_t i = 0; i < spec->n_devices; i++)
        if (spec->devices[i].source[0] != '/' || strncmp(spec->devices[i].target, "/dev/", 5) != 0)
            return err_set(e, -EBADMSG, "spec: \"devices\" has a target outside /dev: \"%s\"",
                           spec->devices[i].target);
    if (spec->userns_size && !users_fit(spec))
        return err_set(e, -EBADMSG, "spec: \"userns_size\" has no room for the task's ids");
    if (spec->rootless && (spec->isolation != SPEC_ISOLATION_CHROOT || spec->userns_size))
        return err_set(e, -EBADMSG, "spec: \"rootless\" is for chroot isolation, and once only");
    if (spec->rootless && spec->set_user != (spec->n_subids > 0))
        return err_set(e, -EBADMSG, "spec: \"rootless\" has other ids only with \"n_subids\"");
    if (spec->n_subids && (!spec->rootless || !subids_fit(spec)))
        return err_set(e, -EBADMSG, "spec: \"n_subids\" has no room for the task's ids");
    if (spec->hostname && !spec->private_uts)
        return err_set(e, -EBADMSG, "spec: \"hostname\" without \"private_uts\"");
    if (spec->stdin_path && spec->stdin_path[0] != '/')
        return err_set(e, -EBADMSG, "spec: \"stdin_path\" is not absolute: \"%s\"",
                       spec->stdin_path);
    if (spec->oom_score_adj < 0 || spec->oom_score_adj > 1000)
        return err_set(e, -EBADMSG, "spec: \"oom_score_adj\" %d is not 0 to 1000",
                       spec->oom_score_adj);
    if (spec->nice < -20 || spec->nice > 19)
        return err_set(e, -EBADMSG, "spec: \"nice\" %d is not -20 to 19", spec->nice);
    for (size_t i = 0; i < spec->n_rlimits; i++)
        if (spec->rlimits[i].soft > spec->rlimits[i].hard)
            return err_set(e, -EBADMSG, "spec: \"rlimits\" has a soft limit above its hard one");
    if (spec->seccomp && !spec->no_new_privs)
        return err_set(e, -EBADMSG, "spec: \"seccomp\" without \"no_new_privs\"");
    if (spec->limits.cpu_quota_us &&
        (spec->limits.cpu_period_us < 1000 || spec->limits.cpu_quota_us < 1000))
        return err_set(e, -EBADMSG,
                       "spec: \"limits\" has a CPU quota of less than 1 ms, or no period");
    for (size_t i = 0; i < spec->n_binds; i++)
        if (spec->binds[i].source[0] != '/' || spec->binds[i].target[0] != '/')
            return err_set(e, -EBADMSG, "spec: \"binds\" has a path that is not absolute");
    return 0;
}

int spec_decode(const char *data, size_t size, struct exec_spec **ret_spec, struct err *e)
{
    struct spec_box *box;
    int r;

    if (size > SPEC_MAX_BYTES)
        return err_set(e, -EBADMSG, "spec: larger than %d bytes", SPEC_MAX_BYTES);
    box = calloc(1, sizeof(*box));
    /* As large as nearly every spec turns out, pointers included: in one piece, before what
     * decoding needs for a moment, it leaves no hole in the heap of an executor. */
    if (!box || !msgpack_zone_init(&box->zone, size + size / 4)) {
        free(box);
        return err_sys(e, -ENOMEM, "spec");
    }
    r = fields_decode(data, size, spec_fields, &box->spec, &box->zone, e);
    if (!r)
        r = check(&box->spec, e);
    if (r < 0) {
        (void)spec_free(&box->spec);
        return r;
    }
    *ret_spec = &box->spec;
    return 0;
}

struct exec_spec *spec_free(struct exec_spec *spec)
{
    if (spec) {
        struct spec_box *box = container_of(spec, struct spec_box, spec);

        msgpack_zone_destroy(&box->zone);
        free(box);
    }
    return NULL;
}
