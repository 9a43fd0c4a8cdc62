/* SPDX-License-Identifier: MIT
 *
 * A manager with nothing but its jobs and their records, in a directory of its own: nothing of it
 * runs, and no executor is started.
 */
#pragma once

#include "manager/core.h"

struct fixture {
    char dir[64];
    struct config config; /* host1 in dc1, with raw_exec */
    struct manager m;     /* a node with Linux 6.1.9 */
};

/* For cmocka: *state is the fixture. */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);

/* Another manager takes over what is on disk; this one leaves it as a crash does. */
void fixture_restart(struct fixture *f);

/* The same, a step at a time: nothing is flushed, and nothing loaded. */
void fixture_close(struct fixture *f);
void fixture_open(struct fixture *f);
