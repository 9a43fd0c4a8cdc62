/* SPDX-License-Identifier: MIT
 *
 * What is left of tasks that no record wants any more: after a crash, or a record that was lost.
 */
#pragma once

#include "manager/core.h"

/* To be called once the records are loaded: kills executors, empties and removes cgroups and undoes
 * mounts that lie in this node's own directories and belong to no live allocation. */
void reap_leftovers(struct manager *m);
