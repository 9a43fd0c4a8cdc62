/* SPDX-License-Identifier: MIT
 *
 * manager/manager.h over plain lists, for tests of what stands on it. A struct manager is made by
 * the test, zeroed.
 */
#pragma once

#include "manager/manager.h"

struct manager {
    const struct config *config;
    struct job_record *jobs;
    struct alloc *allocs;
    void (*on_change)(void *arg, struct alloc *alloc);
    void *on_change_arg;
    void (*stop_done)(void *arg); /* the test calls it */
    void *stop_done_arg;
    struct job *registered; /* what manager_job_register() was given; owned */
    int register_result;
    int n_tasks_read; /* by stats_task() */
};
