/* SPDX-License-Identifier: MIT
 *
 * Waiting for a job's allocations, by blocking queries: the manager answers when something changes.
 */
#pragma once

#include <jansson.h>

#include "tools/cleat/cli.h"

/* Until every allocation of that version is complete, or all its main tasks run, for a second.
 * CLI_FAILED when one failed, or a constraint keeps some from being placed; the reason is told on
 * stderr, and so are failures after `since_ns`. Progress goes to stdout unless cli->json. */
int follow_start(const struct cli *cli, const char *job_id, json_int_t version,
                 json_int_t since_ns);

/* Until every allocation of the job is at its end. */
int follow_stop(const struct cli *cli, const char *job_id);
