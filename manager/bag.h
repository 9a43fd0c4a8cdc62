/* SPDX-License-Identifier: MIT
 *
 * A bag of allocations that live and die together: what is assembled for one launch.
 * Nothing here fails for lack of memory: the pieces are small, and a manager that runs out of
 * memory may die, since the next one finds everything again.
 */
#pragma once

#include <stddef.h>

struct bag_piece;

struct bag {
    struct bag_piece *pieces;
};

#define BAG_INIT                                                                                   \
    {                                                                                              \
        NULL                                                                                       \
    }

/* Zeroed memory of `size` bytes, alive until bag_clear(). */
void *bag_alloc(struct bag *bag, size_t size);
char *bag_strdup(struct bag *bag, const char *text);
char *bag_printf(struct bag *bag, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void bag_clear(struct bag *bag);

#define autobag __attribute__((cleanup(bag_clear)))
