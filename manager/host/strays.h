/* SPDX-License-Identifier: MIT
 *
 * What is left of a task whose executor died, where no cgroup holds it together: processes that
 * have its NOMAD_ALLOC_ID and NOMAD_TASK_NAME in the environment they were started with.
 */
#pragma once

/* SIGKILLs them; `task` NULL: of every task. 0: there are none; -EAGAIN: there were, they are
 * dying. A process that left its environment behind is not found; one of another user is passed
 * over. */
int strays_kill(const char *alloc_id, const char *task);
