/* SPDX-License-Identifier: MIT
 *
 * The environment of the next attempt: the manager may have written the spec anew since the last
 * one, because a template rendered other variables.
 */
#pragma once

#include "shared/proto/spec.h"

struct reload {
    struct exec_spec *fresh; /* owns what spec->env points to; NULL: the spec itself does */
};

/* Takes over the environment of the spec in `state_dir`, if it can be read and has another one. */
void reload_env(struct reload *reload, int state_dir, struct exec_spec *spec);
void reload_deinit(struct reload *reload);
