/* SPDX-License-Identifier: MIT
 *
 * From a task of an allocation to the executor's order (shared/proto/spec.h).
 */
#pragma once

#include <jansson.h>

#include "manager/config/config.h"
#include "manager/state.h"
#include "shared/cgroup_layout.h"
#include "shared/err.h"
#include "shared/proto/terms.h"

struct spec_build_input {
    const struct config *config;
    const struct cgroup_layout *cgroup;
    const char *node_id;
    const json_t *attributes;
};

/* Encodes the spec of `task`. The caller frees *ret_data. -EINVAL, -ENOENT …: the driver refuses
 * the task, with the cause and the mend in `e`. */
int spec_build(const struct spec_build_input *in, const struct task *task, char **ret_data,
               size_t *ret_size, struct err *e);

/* The terms it is to run on. -EINVAL: it has an unknown kill_signal. */
int spec_build_terms(const struct config *config, const struct task *task,
                     struct spec_terms *ret_terms, struct err *e);

/* What the manager itself follows when an executor died. */
void spec_build_restart(const struct task *task, struct spec_restart *ret_restart);
