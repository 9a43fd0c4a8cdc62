/* SPDX-License-Identifier: MIT
 *
 * New allocations in the places of others of the same version: of those that failed, and of one
 * that somebody wants away. Recorded before anything is stopped or started, as any registration.
 */
#pragma once

#include "manager/core.h"

/* Replaces what failed of the job's newest version, which is not stopped. *ret_n: how many. */
int replace_failed(struct manager *m, struct job_record *record, size_t *ret_n, struct err *e);
