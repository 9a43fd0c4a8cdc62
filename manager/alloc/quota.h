/* SPDX-License-Identifier: MIT
 *
 * ephemeral_disk { size }, where the file system of the allocations has project quotas: each
 * allocation is a project, and the file system lets it have no more than that. Elsewhere the size
 * bounds logs only. It holds against mistakes, not against malice: the owner of a file may give it
 * to another project, and on ext4 whoever has CAP_SYS_RESOURCE is not bound.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "manager/state.h"
#include "shared/err.h"

/* Whether the file system that `dir` is on accounts for projects and keeps to their limits. */
bool quota_is_on(const char *dir);

/* Makes the directory `fd` one of the project, as all that is made in it from then on, and limits
 * the project. Doing it again does no harm. */
int quota_set(int fd, uint32_t project, int64_t size_mb);

struct quota_usage {
    uint64_t bytes, files; /* in use */
    uint64_t limit_bytes;  /* 0: none */
};

/* All zero for a project that never was. */
int quota_get(int fd, uint32_t project, struct quota_usage *ret_usage);

/* Gives an allocation a project, and writes that to its record; unless it has one, or the node has
 * no quotas, or its directory was made before there were any. */
int quota_assign(struct alloc *alloc, struct err *e);

/* The allocation's directory, just made, becomes the project's; nothing is in it yet. */
int quota_apply(const struct alloc *alloc, struct err *e);

/* What the allocation has in use; negative where nobody knows. */
int quota_look(const struct alloc *alloc, struct quota_usage *ret_usage);

/* The allocation's directory is gone: so is its limit. */
void quota_release(struct alloc *alloc);
