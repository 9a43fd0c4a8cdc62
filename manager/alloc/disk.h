/* SPDX-License-Identifier: MIT
 *
 * ephemeral_disk { sticky = true }: an allocation takes over alloc/data, and each task its local/,
 * from the one that had its place in the group before. That one must have ended; until then the
 * tasks of the new one wait. What cannot be moved is said, and the task starts without it. With
 * disk quotas what is moved counts for the new one from then on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "manager/state.h"
#include "manager/task/prepare.h"

/* The step of a task that waits and moves. */
extern const struct prepare_step disk_step;

/* `alloc` has ended and is tidied up: tasks that waited for it go on. */
void disk_released(const struct alloc *alloc);

/* Allocations that are yet to take something over, sorted by their place. `allocs` is to be
 * freed. */
struct disk_waiting {
    struct alloc **allocs;
    size_t n;
};

void disk_find_waiting(const struct manager *m, struct disk_waiting *ret);

/* Whether one of them is to take over what `alloc`, which is tidied up, has. */
bool disk_is_awaited(const struct disk_waiting *waiting, const struct alloc *alloc);
