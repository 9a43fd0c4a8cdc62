/* SPDX-License-Identifier: MIT
 *
 * Ids shortened to a unique prefix.
 */
#pragma once

#include "tools/cleat/cli.h"

/* The whole id of the job or allocation that `prefix` begins; the caller frees *ret_id. Several
 * fit, or none: CLI_NOT_FOUND, and the candidates on stderr. */
int find_job_id(const struct cli *cli, const char *prefix, char **ret_id);
int find_alloc_id(const struct cli *cli, const char *prefix, char **ret_id);

/* The task that is meant: `wanted`, or where that is NULL the only one; the caller frees *ret_task.
 * No such task, or several: the tasks on stderr, and CLI_NOT_FOUND or CLI_USAGE. */
int find_task_name(const struct cli *cli, const char *id, const char *wanted, char **ret_task);

/* The same, escaped for use in a URL. */
int find_task(const struct cli *cli, const char *id, const char *wanted, char **ret_task);
