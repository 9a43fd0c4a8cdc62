/* SPDX-License-Identifier: MIT
 *
 * Launches periodic jobs at their times. manager.h has what the API asks for.
 */
#pragma once

#include "manager/manager.h"

void periodic_init(struct manager *m);
void periodic_deinit(struct manager *m);

/* To be called when a job came, changed or was stopped: sets the timer for the nearest launch. A
 * launch that was missed, because no manager was there, is made up for in the loop's next turn. */
void periodic_schedule(struct manager *m);
