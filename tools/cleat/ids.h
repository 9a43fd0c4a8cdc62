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
