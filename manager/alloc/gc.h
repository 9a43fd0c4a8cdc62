/* SPDX-License-Identifier: MIT
 *
 * Finished allocations are kept for people to look at: the newest GC_KEEP of them. Older ones go,
 * with their directories; a job that is done with goes with its last allocation. manager_gc()
 * (manager/manager.h) removes all of them.
 */
#pragma once

#include "manager/core.h"

enum {
    GC_KEEP = 500,
    GC_BATCH = 50, /* removed together, once there are that many too many */
};

void gc_init(struct manager *m);
/* The removal of directories under way goes on by itself. */
void gc_deinit(struct manager *m);

/* Removes a directory with all that tasks left in it, and waits for that. 0 or a negative errno. */
int gc_remove_dir(const struct config *config, char *dir);

/* Begins to remove the oldest finished allocations if there are too many. Cheap when there are not.
 */
void gc_consider(struct manager *m);
