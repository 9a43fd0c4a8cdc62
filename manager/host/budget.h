/* SPDX-License-Identifier: MIT
 *
 * How many descriptors and processes there can be: what thousands of tasks run out of first.
 */
#pragma once

#include <jansson.h>

#include "manager/state.h"
#include "shared/err.h"

/* Sets the attributes "cleat.limit.descriptors" (of this manager) and "cleat.limit.processes" (of
 * it and its executors together; left out where there is no limit), and logs what they are enough
 * for. */
void budget_probe(json_t *attributes);

/* -ENOSPC: the manager would run out of descriptors with so many tasks beside those it has. */
int budget_check(const struct manager *m, size_t tasks, struct err *e);

/* How many processes the tasks of `job` are at least, with their executors. */
double budget_processes(const struct job *job);
