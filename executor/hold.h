/* SPDX-License-Identifier: MIT
 *
 * `cleat-executor hold`: the main process of an init system's unit whose cgroup has all executors
 * and tasks in it, so that nothing done to the manager's unit touches them.
 */
#pragma once

/* Makes the groups `executors` and `hold` below this process's own, enters the latter, tells the
 * init system that it is ready and waits for SIGTERM. Then has every process in `executors` stop
 * its task and leave it to a successor (SIGPWR), and returns when all are gone. Returns the exit
 * code. */
int hold_main(void);
