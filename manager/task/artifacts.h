/* SPDX-License-Identifier: MIT
 *
 * A step before a task's start: its artifacts are got by cleat-fetch, three at once. What is in its
 * place is on record, so neither a restart of the task nor of the manager gets it again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "manager/task/prepare.h"

extern const struct prepare_step artifacts_step;

struct artifacts_progress {
    uint64_t bytes;
    uint64_t total; /* 0: not known */
    uint64_t rate;  /* bytes a second */
};

/* False when the task downloads nothing at the moment. */
bool artifacts_progress(const struct task *task, struct artifacts_progress *ret_progress);
