/* SPDX-License-Identifier: MIT
 *
 * Finds where a reader starts. Inside of reader.c.
 */
#pragma once

#include "logrotate/reader.h"

/* Begins a search among the segments there are. Negative errno. */
int search_new(struct log_reader *r, const struct reader_start *start,
               struct reader_search **ret_search, struct err *e);

/* One step. READER_DATA: `r` is at the start; READER_BUSY; negative errno. */
int search_step(struct reader_search *s, struct log_reader *r);

/* NULL is fine; returns NULL. */
struct reader_search *search_free(struct reader_search *s);
