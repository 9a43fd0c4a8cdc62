/* SPDX-License-Identifier: MIT
 *
 * cleat alloc restart, alloc signal, alloc stop; job restart, job eval.
 */
#pragma once

#include "tools/cleat/cli.h"

int alloc_restart(struct cli *cli);
int alloc_signal(struct cli *cli);
int alloc_stop(struct cli *cli);
int job_restart(struct cli *cli);
int job_eval(struct cli *cli);
