/* SPDX-License-Identifier: MIT */
#pragma once

#include <jansson.h>

#include "manager/config/config.h"

/* "config" of GET /v1/agent/self (new reference). */
json_t *agent_config_json(const struct config *c);
