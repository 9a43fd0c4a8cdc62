/* SPDX-License-Identifier: MIT
 *
 * One task under supervision: wires life cycle, launch, cgroup, logs, record and control together
 * on one loop. Outlives every manager; ends when the task is dead for good.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>

#include "executor/attempt.h"
#include "executor/logs/pass_line.h"
#include "shared/err.h"
#include "shared/proto/spec.h"
#include "shared/proto/status.h"

struct handover;
struct supervisor;

/* Takes over `spec` (on success) and starts its task. `state_dir` (borrowed) is the task's state
 * directory and `status_fd` its locked record (record_lock(); taken over in any case), or both are
 * -1 for a run without a manager: then the task has this process's stdout and stderr if the spec's
 * logs are disabled, and under chroot isolation with binds its root is a fresh tmpfs mounted on
 * task_dir. The task may be dead already on return. */
int supervisor_new(struct ev_loop *loop, struct exec_spec *spec, int state_dir, int status_fd,
                   struct supervisor **ret_supervisor, struct err *e);

/* Goes on with a task that an earlier release of this very process supervised: takes over `spec`
 * and the descriptors in `h`. Cannot fail but for want of memory, since the task runs. */
int supervisor_resume(struct ev_loop *loop, const struct handover *h, struct exec_spec *spec,
                      const struct task_status *status, struct supervisor **ret_supervisor,
                      struct err *e);

/* Runs the loop until the task is dead for good, or left to a successor. */
void supervisor_run(struct supervisor *s);

/* For wait.c, around a wait of supervisor_run(): see executor/logs/pass_line.h. */
void supervisor_open_ways(struct line_way ways[STREAM_N]);
void supervisor_close_ways(const struct line_way ways[STREAM_N], const char line[LINE]);

/* As the commands of the same name (proto/wire.h). */
void supervisor_stop(struct supervisor *s);

/* Kills all of the task at once, when it was asked to stop before. */
void supervisor_kill(struct supervisor *s);

/* Stops the task as well, because the machine or all of its tasks go down: on record it is not dead
 * but pending, and whoever supervises it next starts it again, by its restart policy. */
void supervisor_leave(struct supervisor *s);

/* The account so far; borrowed. */
const struct task_status *supervisor_status(const struct supervisor *s);

/* The stage at which the last attempt failed to start, or NULL; *ret_error is its negative errno.
 */
const char *supervisor_failed_stage(const struct supervisor *s, int *ret_error);

/* NULL is fine; returns NULL. Whatever still runs is killed. */
struct supervisor *supervisor_free(struct supervisor *s);
