/* SPDX-License-Identifier: MIT
 *
 * What this host is and can do, under Nomad's names.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "manager/config/config.h"
#include "shared/cgroup_layout.h"

/* Attributes, string to string (kernel.name, cpu.numcores, driver.exec …). New reference. */
json_t *fingerprint_attributes(const struct config *config, const struct cgroup_layout *cgroup);

/* The speed of one core: 1000 where the host does not say. */
uint64_t fingerprint_core_mhz(const json_t *attributes);

/* The node object of GET /v1/node/:id. New reference. */
json_t *fingerprint_node(const struct config *config, const struct cgroup_layout *cgroup,
                         const char *node_id, json_t *attributes);
