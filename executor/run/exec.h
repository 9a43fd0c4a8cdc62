/* SPDX-License-Identifier: MIT
 *
 * `cleat-executor exec`: one more command inside a running task (shared/proto/exec.h).
 */
#pragma once

/* Takes the program's own arguments, which begin with its name and "exec", and ends the process
 * with the exit code; returns one only when the arguments are wrong. */
int exec_main(int argc, char **argv);
