/* SPDX-License-Identifier: MIT
 *
 * `cleat-executor exec`: one more command inside a running task (shared/proto/exec.h).
 */
#pragma once

/* Takes the program's own arguments, which begin with its name and "exec". Returns the exit code.
 */
int exec_main(int argc, char **argv);
