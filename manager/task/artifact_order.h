/* SPDX-License-Identifier: MIT
 *
 * From a task's artifacts to the orders of cleat-fetch (manager/fetch/order.h).
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "manager/state.h"
#include "shared/err.h"

struct artifact_order {
    json_t *json;
    uint64_t hash;           /* of what decides about the result */
    const char *destination; /* in `json`: relative to the allocation's directory */
    double timeout_s;        /* 0: none */
};

/* True when there is any. */
bool artifact_orders_wanted(const struct task *task);

/* The caller frees the array by artifact_orders_free(). -EINVAL, -ENOTSUP: one of them is wrong
 * once its variables are known. */
int artifact_orders_make(const struct task *task, struct artifact_order **ret_orders, size_t *ret_n,
                         struct err *e);

void artifact_orders_free(struct artifact_order *orders, size_t n);
