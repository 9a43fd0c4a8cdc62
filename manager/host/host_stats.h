/* SPDX-License-Identifier: MIT
 *
 * What the host as a whole uses right now, read when somebody asks.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

/* Nomad's HostStats. CPU percentages are over the time since the last question, or since the host
 * was started; disk is what holds `dir`. `core_mhz`: of one core. New reference. */
json_t *host_stats(const char *dir, uint64_t core_mhz);
