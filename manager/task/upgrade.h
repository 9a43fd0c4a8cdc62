/* SPDX-License-Identifier: MIT
 *
 * Live upgrade of all executors, one after another: each is told to become the configured executor
 * binary, and the next one's turn comes when it has told how that went.
 */
#pragma once

#include <jansson.h>

struct manager;

/* Looks how the executor whose turn it is gets on. Called once per turn of the loop. */
void upgrade_on_turn(struct manager *m);

/* Drops an upgrade under way; `done` is not called. */
void upgrade_cancel(struct manager *m);
