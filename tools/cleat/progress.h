/* SPDX-License-Identifier: MIT
 *
 * How far downloads are, as a bar.
 */
#pragma once

#include <jansson.h>

enum {
    PROGRESS_TEXT = 160
};

/* "[#####-----]  52%  1.0 GiB of 2.0 GiB, 12 MiB/s, 1m23s left" of a task's state; NULL when it
 * downloads nothing. */
const char *progress_text(const json_t *task, char buf[PROGRESS_TEXT]);

/* Shows the bar of the first task among `allocs` that downloads on the last line of the terminal,
 * in the place of the one before; only where standard output is a terminal. */
void progress_show(const json_t *allocs);

/* Takes it away again; to be called before anything else is printed. */
void progress_clear(void);
