/* SPDX-License-Identifier: MIT
 *
 * The directory of a task's logs. It lies in one that tasks can write to, who may remove it, put
 * another in its place, or a link: it is opened beneath the shared directory without following any,
 * and what is open is held on to unless there is another real directory at the path. One in the
 * shared directory that was removed is made again; one elsewhere is its owner's.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "shared/err.h"
#include "shared/proto/spec.h"

struct log_dir {
    int fd;                       /* O_PATH; keeps its number for life; -1: logs are disabled */
    const struct exec_spec *spec; /* borrowed */
    dev_t dev;
    ino_t ino;
    uint32_t generation; /* grows when another directory is behind `fd` … */
    uint32_t made;       /* … and this too, when it was made because the last was removed */
};

#define LOG_DIR_INIT                                                                               \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/* Opens nothing and is 0 where logs are disabled. */
int log_dir_open(struct log_dir *d, const struct exec_spec *spec, struct err *e);

/* Takes over a descriptor opened by another release of this program; -1 is fine. */
void log_dir_adopt(struct log_dir *d, const struct exec_spec *spec, int fd);

/* Looks whether the directory is still the one at its path; else opens the one that is, or makes
 * it.
 */
void log_dir_check(struct log_dir *d);

void log_dir_close(struct log_dir *d);
