/* SPDX-License-Identifier: MIT
 *
 * A helper program's side of manager/worker.h: the order on standard input, messages on standard
 * output, errors for the log on stderr, and no life without the manager.
 */
#pragma once

#include <jansson.h>

#include "shared/err.h"

enum {
    HELPER_ORDER_MAX = 4 << 20,
    HELPER_EXIT_ORDER = 65, /* the order was no order */
};

/* To be called first, and again after any change of the user, which takes it back: the process is
 * killed when its parent dies. Ends the program if that has happened already. */
void helper_die_with_parent(void);

/* Reads the order, a JSON object (new reference). -E2BIG, -EBADMSG, -EIO. */
int helper_read_order(json_t **ret_order, struct err *e);

/* Sends a message (reference taken over). Ends the program when nobody reads them. */
void helper_say(json_t *message);
