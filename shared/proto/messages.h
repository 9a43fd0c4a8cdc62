/* SPDX-License-Identifier: MIT
 *
 * Tables that more than one message uses. Private to shared/proto.
 */
#pragma once

#include "shared/proto/fields.h"

extern const struct field task_event_fields[];
extern const struct field spec_restart_fields[];
extern const struct field spec_log_fields[];
extern const struct field spec_terms_fields[];
