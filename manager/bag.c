/* SPDX-License-Identifier: MIT
 *
 * Each piece is one malloc with a link in front of it, so that a memory checker sees overruns.
 */
#include "manager/bag.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bag_piece {
    struct bag_piece *next;
    max_align_t data[];
};

void *bag_alloc(struct bag *bag, size_t size)
{
    struct bag_piece *piece = calloc(1, sizeof(*piece) + size);

    assert(piece);
    piece->next = bag->pieces;
    bag->pieces = piece;
    return piece->data;
}

char *bag_strdup(struct bag *bag, const char *text)
{
    size_t size = strlen(text) + 1;

    return memcpy(bag_alloc(bag, size), text, size);
}

char *bag_printf(struct bag *bag, const char *fmt, ...)
{
    va_list ap, again;
    char *text;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    assert(n >= 0);
    text = bag_alloc(bag, (size_t)n + 1);
    (void)vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return text;
}

void bag_clear(struct bag *bag)
{
    while (bag->pieces) {
        struct bag_piece *piece = bag->pieces;

        bag->pieces = piece->next;
        free(piece);
    }
}
