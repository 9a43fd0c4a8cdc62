/* SPDX-License-Identifier: MIT
 *
 * The step that writes what a job was dispatched with to the task's dispatch_payload file.
 */
#pragma once

#include "manager/task/prepare.h"

extern const struct prepare_step payload_step;

/* Writes `size` bytes to `file` below the directory local/ of a task. Tasks may write there: no
 * link is followed, and what has the file's name is replaced. Negative errno. */
int payload_write(const char *alloc_dir, const char *task, const char *file, const void *data,
                  size_t size);
