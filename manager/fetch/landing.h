/* SPDX-License-Identifier: MIT
 *
 * Where an artifact goes: the directory it ends up in, and in there, under a name of its own, the
 * one it is got together in:
 *   <destination>/<stage>/work   <stage> is for this user alone, so nobody else can reach into work
 * A task may have been at work in the destination: no link is followed on the way there.
 */
#pragma once

#include <sys/types.h>

#include "manager/fetch/confine.h"
#include "manager/fetch/order.h"

struct landing {
    int dir;        /* the destination; with mode = "file" the directory that it is in */
    int stage;      /* below it, for this user alone */
    int work;       /* below that, of the user who does the work */
    char name[256]; /* of the one file; "" in other modes */
};

#define LANDING_INIT                                                                               \
    {                                                                                              \
        .dir = -1, .stage = -1, .work = -1                                                         \
    }

/* Makes the directories. -ELOOP: something that is no directory is in the way. */
int landing_open(const struct fetch_order *order, const struct confine *worker,
                 struct landing *ret_landing, struct err *e);

/* Looks through what was got and moves it into its place. */
int landing_finish(const struct landing *landing, const struct fetch_order *order, struct err *e);

/* Removes the stage with what is in it, and closes all. */
void landing_close(struct landing *landing, const struct fetch_order *order);
