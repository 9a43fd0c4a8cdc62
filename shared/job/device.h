/* SPDX-License-Identifier: MIT
 *
 * Devices as a job asks for them, with Docker's names:
 * devices = [{ host_path = "/dev/fuse", container_path = …, cgroup_permissions = "rw" }]
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "shared/err.h"

struct device {
    char *host_path;
    char *container_path; /* below /dev/; host_path by default */
    char *permissions;    /* of "rwm" */
};

/* Reads the list (NULL: none) into a malloc'ed array; free with device_free_list(). -EINVAL with
 * the place in `e`, -ENOMEM. */
int device_read_list(const json_t *list, struct device **ret_devices, size_t *ret_n, struct err *e);

/* NULL is fine. */
void device_free_list(struct device *devices, size_t n);
