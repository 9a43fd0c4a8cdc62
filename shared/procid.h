/* SPDX-License-Identifier: MIT
 *
 * A process is known by pid + start time + boot id, never by pid alone (a pid is reused).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BOOT_ID_BYTES 37 /* 36 characters and the terminator */

/* The kernel's random id of this boot (/proc/sys/kernel/random/boot_id). Negative errno. */
int procid_boot_id(char ret_boot_id[BOOT_ID_BYTES]);

/* True when `pid` is gone, or is to die by a SIGKILL it has not got round to yet. */
bool procid_is_dying(pid_t pid);

/* Start time of `pid` in clock ticks since boot (field 22 of /proc/PID/stat). -ESRCH if gone. */
int procid_start_time(pid_t pid, uint64_t *ret_start);
