/* SPDX-License-Identifier: MIT
 *
 * cleat alloc logs. (logcat.c is cleat logcat, which needs no manager.)
 */
#pragma once

#include "tools/cleat/cli.h"

int alloc_logs(struct cli *cli);
