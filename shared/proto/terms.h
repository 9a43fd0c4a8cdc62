/* SPDX-License-Identifier: MIT
 *
 * The terms a task runs on: what of its order (proto/spec.h) its executor acts by and the task
 * itself is never told. They can change under a running task (CTL_TERMS in proto/wire.h).
 */
#pragma once

#include <stdint.h>

#include "shared/err.h"
#include "shared/proto/spec.h"

struct spec_terms {
    uint64_t id; /* of what is below: spec_terms_id() */
    struct spec_restart restart;
    int kill_signal;
    uint64_t kill_timeout_ns;
    uint64_t shutdown_delay_ns;
    struct spec_logs logs;
};

/* Those of `spec`, and into it. Whether a task logs at all is none of them: its descriptors would
 * change. Terms that differ in that leave the limits of its logs alone. */
void spec_terms_of(const struct exec_spec *spec, struct spec_terms *ret_terms);
void spec_take_terms(struct exec_spec *spec, const struct spec_terms *terms);

/* A number that differs where the terms do, and is never 0. Made by the manager and only compared
 * by others: one of another release may number the same terms otherwise. */
uint64_t spec_terms_id(const struct spec_terms *terms);

/* -EBADMSG for terms that no task can run on. */
int spec_terms_check(const struct spec_terms *terms, struct err *e);
