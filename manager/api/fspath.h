/* SPDX-License-Identifier: MIT
 *
 * Where a path of an allocation's tree really is, and whether the API may show it.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "manager/config/config.h"
#include "manager/state.h"
#include "shared/err.h"

struct fs_node {
    int fd; /* O_PATH */
    struct stat st;
    bool secret; /* a task's secrets directory itself: it may be seen, not looked into */
};

#define FS_NODE_INIT                                                                               \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/* Finds `path` ("alloc/logs", "/web/local/x" …). Links are followed while they stay inside.
 *   -EXDEV  "Path escapes the alloc directory", by ".." or by a link
 *   -EACCES below a secrets directory; or of the host's tree, and not readable by everyone
 *   -ENOENT, -ENOTDIR, -ELOOP … */
int fspath_open(const struct alloc *alloc, const struct config *config, const char *path,
                struct fs_node *ret_node, struct err *e);

/* Opens the node for reading: a regular file. -EISDIR; -EINVAL for devices, pipes, sockets. */
int fspath_open_file(const struct fs_node *node, struct err *e);

/* Opens the node for readdir(3). -ENOTDIR; -EACCES for secrets. */
int fspath_open_dir(const struct fs_node *node, struct err *e);

void fs_node_close(struct fs_node *node);

/* Removes ".", ".." and empty parts from `path`, which becomes relative ("" is the root). Writes at
 * most `size` bytes. -EXDEV when it climbs above the root, -ENAMETOOLONG. */
int fspath_clean(const char *path, char *buf, size_t size);
