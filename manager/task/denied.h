/* SPDX-License-Identifier: MIT
 *
 * Whom the agent's configuration lets tasks run as: client { options { "user.denylist",
 * "user.checked_drivers" } } and plugin { config { denied_host_uids, denied_host_gids } }.
 */
#pragma once

#include <stdbool.h>

#include "manager/config/config.h"
#include "shared/err.h"
#include "shared/proto/spec.h"

/* Whether tasks of `driver` may name that `user`; `confined`: its ids are none of this host's own.
 * -EPERM with the cause and the mend. */
int denied_check_user(const struct config *config, const char *driver, const char *user,
                      bool confined, struct err *e);

/* The same for the ids that the user has, once they are known. */
int denied_check_ids(const struct config *config, const char *driver, const struct exec_spec *spec,
                     struct err *e);
