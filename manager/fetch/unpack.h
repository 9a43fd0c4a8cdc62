/* SPDX-License-Identifier: MIT
 *
 * Archives, by libarchive, into the current directory and nowhere else.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "manager/fetch/part.h"
#include "shared/artifact.h"
#include "shared/err.h"

enum {
    UNPACK_DEPTH_MAX = 100, /* directories in each other */
};

struct unpack {
    enum artifact_archive archive;
    const char *filename; /* of one compressed file */
    uint64_t max_bytes, max_files;
    bool inspected; /* no link may lead out */
};

/* Reads `part`, which may still grow, by a new reader. What is hostile or over a limit ends it:
 * -EINVAL, -EFBIG, with the entry's name in `e`. setuid, setgid and sticky bits, owners and
 * extended attributes are dropped. Of a part that was begun anew meanwhile nothing counts, nor what
 * this returns.
 */
int unpack(struct part *part, struct part_reader *reader, const struct unpack *how, struct err *e);

/* A path of an archive: relative, without "..", not too deep. Normal otherwise. */
int unpack_check_path(const char *path, struct err *e);

/* A link's target at `path`: it may not lead out of what `path` is relative to. ".." is allowed at
 * its beginning only: so the answer does not hang on what other links are in the way. */
bool unpack_link_stays(const char *path, const char *target);
