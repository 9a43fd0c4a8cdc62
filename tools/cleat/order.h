/* SPDX-License-Identifier: MIT
 *
 * cleat alloc restart, alloc signal.
 */
#pragma once

#include "tools/cleat/cli.h"

int alloc_restart(struct cli *cli);
int alloc_signal(struct cli *cli);
