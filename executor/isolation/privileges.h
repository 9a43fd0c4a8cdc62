/* SPDX-License-Identifier: MIT
 *
 * Ids and capabilities: from names to what the kernel takes (before the clone), and giving up
 * everything else (TASK side).
 */
#pragma once

#include "executor/isolation/plan.h"

/* Turns the spec's capability names into plan->caps. -EINVAL with
 * the unknown name in `e`. */
int privileges_resolve(struct plan *plan, struct err *e);

int privileges_stage_caps_bound(struct plan *plan, const char **ret_arg);
int privileges_stage_user(struct plan *plan, const char **ret_arg);
int privileges_stage_caps(struct plan *plan, const char **ret_arg);
