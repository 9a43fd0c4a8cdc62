/* SPDX-License-Identifier: MIT
 *
 * How much of its ephemeral disk an allocation has in use. Where it has a quota the file system
 * knows; elsewhere cleat-disk counts, when somebody asks for it: Nomad does not count at all.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "manager/state.h"

/* {"SizeMB", "Enforced", and where it is known: "UsedBytes", "Partial" (some of it could not be
 * looked at), "Timestamp" (when it was counted)} (new reference). Never blocks. */
json_t *disk_usage_to_json(const struct alloc *alloc);

/* Has it counted, unless the file system knows or the last count is fresh. True while that is under
 * way: manager->on_change() tells the end, whatever became of it. */
bool disk_usage_refresh(struct alloc *alloc);

/* For alloc_free(). */
void disk_usage_free(struct disk_usage *usage);
