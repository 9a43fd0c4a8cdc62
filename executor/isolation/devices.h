/* SPDX-License-Identifier: MIT
 *
 * Which devices a task can open, whatever it may find or make a node of: the usual ones and those
 * of its spec. Nodes of any device can be made, as elsewhere (runc, crun).
 */
#pragma once

#include "executor/isolation/cgroup.h"
#include "shared/err.h"
#include "shared/proto/spec.h"

/* Restricts the leaves of `cg`, through v1's controller where the spec names that, else by a
 * program on the unified one. Negative errno with `e`. */
int devices_restrict(const struct cgroup *cg, const struct exec_spec *spec, struct err *e);
