/* SPDX-License-Identifier: MIT
 *
 * Tables that more than one message uses. Private to shared/proto.
 */
#pragma once

#include "shared/proto/fields.h"

extern const struct field task_event_fields[];
