/* SPDX-License-Identifier: MIT
 *
 * cleat alloc exec.
 */
#pragma once

#include "tools/cleat/cli.h"

/* Returns the command's exit code, or enum cli_exit. */
int alloc_exec(struct cli *cli);
