/* SPDX-License-Identifier: MIT
 *
 * CPUs that tasks have to themselves (`resources { cores = N }`). Tasks without cores, and with
 * them executors and manager where the host allows it, share what is left; the first CPU is always
 * theirs.
 */
#pragma once

#include <sched.h>
#include <stddef.h>

#include "manager/state.h"
#include "shared/err.h"

enum {
    CORES_TEXT_MAX = 4096
};

/* Reads a list such as "0-3,5" (cpuset(7), "List format"). -EINVAL. */
int cores_parse(const char *text, cpu_set_t *ret_cpus);

/* Writes one. */
void cores_format(const cpu_set_t *cpus, char buf[CORES_TEXT_MAX]);

/* Keeps tasks without cores of their own off reserved ones; to be called when these may have
 * changed.
 */
void cores_share(const struct manager *m);

/* Whether this node has as many CPUs to give away as `def` asks for. -EINVAL. */
int cores_check(const struct manager *m, const struct job_task *def, struct err *e);

/* Sets task->cpus aside for a task that asks for cores, if that was not done before. -EAGAIN: too
 * many are taken. */
int cores_reserve(struct task *task, struct err *e);

/* Takes over what the spec in `dir` says a running task has. */
void cores_adopt(struct task *task, const char *dir);

/* Gives the task's CPUs back to the others. Idempotent. */
void cores_release(struct task *task);
