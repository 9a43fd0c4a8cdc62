/* SPDX-License-Identifier: MIT
 *
 * What follows after a job was changed, for the commands that do so.
 */
#pragma once

#include <jansson.h>

#include "tools/cleat/cli.h"

/* `reply` is the manager's to a change of the job that was asked for at `called_ns`: tells of its
 * allocations, and waits for them unless -detach. Returns an exit code. */
int job_registered(const struct cli *cli, const char *job_id, const json_t *reply,
                   json_int_t called_ns);
