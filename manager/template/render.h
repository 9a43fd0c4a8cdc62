/* SPDX-License-Identifier: MIT
 *
 * The order of the manager (manager/task/templates.c), carried out: every template of one task is
 * rendered, and again whenever something at Vault or Consul has changed.
 *
 * The order: {"templates": [{"name", "destination", "data" or "source", "perms", "uid", "gid",
 * "left", "right", "strict", "env"}], "env", "denied", "task", "paths", "sandbox", "once", "vars",
 * "vault", "consul", "vault_retry", "consul_retry", "wait_ms", "stale", "quiet_ms",
 * "quiet_max_ms"}. Descriptor 3 is the
 * allocation's directory.
 *
 * Messages, in each round: {"render": N, "sha": HEX, "changed": BOOL, "env": {…}} for every
 * template; then {"done": true} or {"missing": [NAME]}, with "watch": [PATH], the files read, from
 * the allocation's directory or absolute, and "stays": BOOL, whether it goes on by itself. An error
 * is {"error": TEXT, "may_pass": BOOL}, the last message; one between two rounds {"trouble": TEXT}.
 */
#pragma once

#include <jansson.h>

enum {
    RENDER_ALLOC_FD = 3
};

/* Returns the exit code. */
int render(const json_t *order);
