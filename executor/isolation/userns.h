/* SPDX-License-Identifier: MIT
 *
 * A user namespace for the task alone (TASK side). It is entered last, after everything was mounted
 * and made: root in it owns none of the task's other namespaces, so its capabilities reach no
 * further than processes and files of the ids that are mapped.
 */
#pragma once

#include "executor/isolation/plan.h"

int userns_stage(struct plan *plan, const char **ret_arg);
