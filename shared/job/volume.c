/* SPDX-License-Identifier: MIT
 *
 * A destination is looked at twice: as written when the job comes in, and when the task starts,
 * once its variables are replaced. Either is for messages: the executor makes mount points beneath
 * the task's root whatever the path is.
 */
#include "shared/job/volume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"

/* ---- volume ---- */

static int check_type(struct schema_context *ctx, const struct schema_field *field, const void *obj,
                      struct schema_source source)
{
    const struct job_volume *volume = obj;

    (void)field;
    if (!*volume->type || strcmp(volume->type, "host") == 0)
        return 0;
    if (strcmp(volume->type, "csi") == 0)
        return schema_fail(ctx, source.pos, -ENOTSUP,
                           "volumes of the type \"csi\" are not supported by this release; use "
                           "type = \"host\", with a host_volume of the agent's configuration");
    return schema_fail(ctx, source.pos, -EINVAL,
                       "there is no type \"%.64s\" of volumes; write \"host\"", volume->type);
}

static const struct schema_field volume_fields[] = {
    SCHEMA_FIELD(STRING, job_volume, name, NULL, "Name", .required = true),
    SCHEMA_FIELD(STRING, job_volume, type, "type", "Type", .required = true, .check = check_type),
    SCHEMA_FIELD(STRING, job_volume, source, "source", "Source", .required = true),
    SCHEMA_FIELD(BOOL, job_volume, read_only, "read_only", "ReadOnly"),
    SCHEMA_LATER("access_mode", "AccessMode"),
    SCHEMA_LATER("attachment_mode", "AttachmentMode"),
    SCHEMA_LATER("mount_options", "MountOptions"),
    SCHEMA_LATER("per_alloc", "PerAlloc"),
    SCHEMA_LATER("sticky", "Sticky"),
};

const struct schema volume_schema = {
    .what = "volume",
    .size = sizeof(struct job_volume),
    .labelled = true,
    .fields = volume_fields,
    .n_fields = ARRAY_LEN(volume_fields),
};

/* ---- volume_mount ---- */

static bool is_at(const char *path, const char *top)
{
    size_t n = strlen(top);

    return strncmp(path, top, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool has_dotdot(const char *path)
{
    for (; *path; path += strcspn(path, "/")) {
        path += strspn(path, "/");
        if (is_at(path, ".."))
            return true;
    }
    return false;
}

int volume_check_destination(const char *path, struct err *e)
{
    if (*path != '/' || has_dotdot(path))
        return err_set(e, -EINVAL,
                       "a volume's destination is an absolute path without \"..\", not \"%.64s\"",
                       path);
    path += strspn(path, "/") - 1;
    if (!path[1] || is_at(path, "/proc") || is_at(path, "/sys") || is_at(path, "/dev"))
        return err_set(e, -EINVAL,
                       "a volume cannot be shown at \"%.64s\", which is the task's root or the "
                       "kernel's; choose another destination",
                       path);
    return 0;
}

static int check_destination(struct schema_context *ctx, const struct schema_field *field,
                             const void *obj, struct schema_source source)
{
    const struct job_volume_mount *mount = obj;
    struct err e = ERR_INIT;

    (void)field;
    if (!*mount->destination || strncmp(mount->destination, "${", 2) == 0 ||
        volume_check_destination(mount->destination, &e) == 0)
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL, "%s", e.text);
}

static const char *const propagation_names[JOB_PROPAGATION_N + 1] = {"private", "host-to-task",
                                                                     "bidirectional"};

static const struct schema_field volume_mount_fields[] = {
    SCHEMA_FIELD(POS, job_volume_mount, pos, NULL, NULL),
    SCHEMA_FIELD(STRING, job_volume_mount, volume, "volume", "Volume", .required = true),
    SCHEMA_FIELD(STRING, job_volume_mount, destination, "destination", "Destination",
                 .required = true, .check = check_destination),
    SCHEMA_FIELD(BOOL, job_volume_mount, read_only, "read_only", "ReadOnly"),
    SCHEMA_FIELD(ENUM, job_volume_mount, propagation, "propagation_mode", "PropagationMode",
                 .def = "private", .names = propagation_names),
    SCHEMA_LATER("selinux_label", "SELinuxLabel"),
};

const struct schema volume_mount_schema = {
    .what = "volume_mount",
    .size = sizeof(struct job_volume_mount),
    .fields = volume_mount_fields,
    .n_fields = ARRAY_LEN(volume_mount_fields),
};

/* ---- what holds between them ---- */

static int fail_undefined(struct schema_context *ctx, const struct job_group *group,
                          const struct job_volume_mount *mount)
{
    autofree const char **names = calloc(group->n_volumes + 1, sizeof(*names));
    char hint[SCHEMA_HINT_SIZE];

    if (!names)
        return -ENOMEM;
    for (size_t i = 0; i < group->n_volumes; i++)
        names[i] = group->volumes[i].name;
    return schema_fail(ctx, mount->pos, -EINVAL,
                       "the volume_mount asks for the volume \"%.64s\", which the group \"%.64s\" "
                       "does not have%s Add volume \"%.64s\" { … } to the group",
                       mount->volume, group->name,
                       schema_hint(schema_nearest(mount->volume, names), hint), mount->volume);
}

int volume_check_mounts(struct schema_context *ctx, const struct job_group *group,
                        const struct job_task *task)
{
    for (size_t i = 0; i < task->n_volume_mounts; i++) {
        const struct job_volume_mount *mount = &task->volume_mounts[i];

        if (!job_group_find_volume(group, mount->volume))
            return fail_undefined(ctx, group, mount);
        for (size_t j = 0; j < i; j++)
            if (strcmp(task->volume_mounts[j].destination, mount->destination) == 0)
                return schema_fail(ctx, mount->pos, -EINVAL,
                                   "two volumes are to be at \"%.64s\"; move one",
                                   mount->destination);
    }
    return 0;
}
