/* SPDX-License-Identifier: MIT
 *
 * Finished allocations are kept for people to look at. Their directories go first, oldest first, as
 * client { gc_* } says: when there are more than gc_max_allocs of them, or the disk has fewer free
 * blocks or inodes than the thresholds ask for. Their records go, with what is left of them, beyond
 * the newest GC_KEEP, and when they are older than gc_max_age; a job that is done with goes with
 * its last allocation. manager_gc() (manager/manager.h) removes all of them.
 */
#pragma once

#include "manager/core.h"

enum {
    GC_KEEP = 500,
    GC_BATCH = 50, /* of the records: removed together, once there are that many too many */
};

void gc_init(struct manager *m);
/* Removals under way go on by themselves. */
void gc_deinit(struct manager *m);

/* Removes a directory with all that tasks left in it, and waits for that. 0 or a negative errno. */
int gc_remove_dir(const struct config *config, char *dir);

/* Something new is to be started: the disk is looked at before the loop sleeps. */
void gc_make_room(struct manager *m);

/* Begins to remove what there is too much of. Cheap when there is not. */
void gc_consider(struct manager *m);
