/* SPDX-License-Identifier: MIT
 *
 * `cleat-executor run`: one task in the foreground, without a manager.
 */
#pragma once

#include <stdbool.h>

/* argv[0] is "run". `hangs_up`: SIGHUP stops the task, as SIGTERM does. Returns the exit code: the
 * task's, 128+N if signal N ended it; as env(1) does, 127 when the command was not found, 126 when
 * it could not be executed, 125 for any other failure of ours. */
int run_main(int argc, char **argv, bool hangs_up);
