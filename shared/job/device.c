/* SPDX-License-Identifier: MIT
 *
 * Each element is read by a table, as blocks are.
 */
#include "shared/job/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/cleanup.h"
#include "shared/job/schema.h"

enum {
    DEVICES_MAX = 256
};

static int check_host_path(struct schema_context *ctx, const struct schema_field *field,
                           const void *obj, struct schema_source source)
{
    const struct device *device = obj;

    (void)field;
    if (device->host_path[0] == '/' && !strstr(device->host_path, "/../"))
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL, "must be an absolute path, such as \"/dev/fuse\"");
}

static int check_container_path(struct schema_context *ctx, const struct schema_field *field,
                                const void *obj, struct schema_source source)
{
    const struct device *device = obj;
    const char *name = strrchr(device->container_path, '/');

    (void)field;
    if (strncmp(device->container_path, "/dev/", 5) == 0 && name[1] &&
        !strstr(device->container_path, "/.."))
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "a task's devices are below /dev: write \"/dev/…\", not \"%.64s\"",
                       device->container_path);
}

static int check_permissions(struct schema_context *ctx, const struct schema_field *field,
                             const void *obj, struct schema_source source)
{
    const char *text = ((const struct device *)obj)->permissions;

    (void)field;
    if (*text && !text[strspn(text, "rwm")])
        return 0;
    return schema_fail(ctx, source.pos, -EINVAL,
                       "must be made of \"r\", \"w\" and \"m\", not \"%.64s\"", text);
}

static const struct schema_field fields[] = {
    SCHEMA_FIELD(STRING, device, host_path, "host_path", "host_path", .required = true,
                 .check = check_host_path),
    SCHEMA_FIELD(STRING, device, container_path, "container_path", "container_path",
                 .check = check_container_path),
    SCHEMA_FIELD(STRING, device, permissions, "cgroup_permissions", "cgroup_permissions",
                 .def = "rwm", .check = check_permissions),
};

static const struct schema device_schema = {
    .what = "device",
    .size = sizeof(struct device),
    .fields = fields,
    .n_fields = ARRAY_LEN(fields),
};

static int read_one(const json_t *json, size_t index, struct device *device, struct err *e)
{
    struct schema_context ctx = {.e = e};
    int r = schema_init(&device_schema, device);

    (void)schema_enter(&ctx, "devices[%zu]", index);
    if (r)
        return r;
    if (!json_is_object(json))
        return schema_fail(&ctx, (struct hcl_pos){0}, -EINVAL,
                           "must be a map, such as { host_path = \"/dev/fuse\" }");
    r = schema_decode(&ctx, &device_schema, (struct schema_source){.json = json}, device);
    if (!r && !*device->container_path) {
        free(device->container_path);
        device->container_path = strdup(device->host_path);
        if (!device->container_path)
            return -ENOMEM;
        schema_leave(&ctx, 0);
        (void)schema_enter(&ctx, "devices[%zu].container_path", index);
        r = check_container_path(&ctx, NULL, device, (struct schema_source){.json = json});
    }
    return r;
}

int device_read_list(const json_t *list, struct device **ret_devices, size_t *ret_n, struct err *e)
{
    size_t n = json_array_size(list);
    struct device *devices;
    int r = 0;

    if ((list && !json_is_array(list)) || n > DEVICES_MAX)
        return err_set(e, -EINVAL, "\"devices\" must be a list of at most %d maps", DEVICES_MAX);
    devices = calloc(n + 1, sizeof(*devices));
    if (!devices)
        return err_sys(e, -ENOMEM, "devices");
    for (size_t i = 0; !r && i < n; i++)
        r = read_one(json_array_get(list, i), i, &devices[i], e);
    if (r) {
        device_free_list(devices, n);
        return r == -ENOMEM ? err_sys(e, r, "devices") : r;
    }
    *ret_devices = devices;
    *ret_n = n;
    return 0;
}

void device_free_list(struct device *devices, size_t n)
{
    for (size_t i = 0; devices && i < n; i++)
        schema_deinit(&device_schema, &devices[i]);
    free(devices);
}
