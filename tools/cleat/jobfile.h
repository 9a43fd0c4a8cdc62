/* SPDX-License-Identifier: MIT
 *
 * Reading a job file, here and not in the manager, so that messages show file, line and column, and
 * file() reads what its user may.
 */
#pragma once

#include "shared/job/job.h"
#include "tools/cleat/cli.h"

/* The job of the file at `path` ("-": standard input), with the values of -var, -var-file and
 * NOMAD_VAR_*. Else an exit code; all that is wrong was said. */
int job_file_read(const struct cli *cli, const char *path, struct job **ret_job);
