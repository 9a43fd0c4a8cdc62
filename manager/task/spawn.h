/* SPDX-License-Identifier: MIT
 *
 * Starting the executor and the manager's other programs.
 */
#pragma once

#include <stddef.h>

#include "shared/err.h"

#define SPAWN_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Raises this process's limit of descriptors, of which each task takes two. Executors, and so the
 * tasks, keep the limit from before. To be called once, before the first spawn. */
void spawn_raise_limit(void);

/* Starts `program` in a session of its own, or where the manager has no terminal in a process group
 * of its own, with `fds` (n of them, borrowed, above 2 each) at 0, 1, 2 … and /dev/null in the
 * place of those of 0, 1, 2 that are not given. `env` NULL: SPAWN_PATH alone. Returns its pidfd,
 * which the caller closes, and waits for. */
int spawn_executor(const char *program, char *const *argv, char *const *env, const int *fds, int n,
                   struct err *e);

/* The same for any program. `what` it is, for the message. */
int spawn_program(const char *program, char *const *argv, char *const *env, const int *fds, int n,
                  const char *what, struct err *e);
