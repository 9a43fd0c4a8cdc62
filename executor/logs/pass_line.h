/* SPDX-License-Identifier: MIT
 *
 * The short way of lines that come alone, from the pipe into the segment, past pump and loop. What
 * it takes is handed out by the pump before a wait, is kept on the stack of who waits, and is given
 * back after: in between the pump knows of nothing, and nobody may ask it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "executor/logs/pump.h"

enum {
    LINE = 512, /* what is longer is not alone for long, or rare */
};

struct line_way {
    int from, to;           /* pipe and live segment */
    unsigned int checks;    /* whether the segment is in its place, since the pump's own */
    char last;              /* byte that was written */
    uint64_t room;          /* for so many bytes nothing is to be decided; 0: the way is closed */
    uint64_t checked_ticks; /* clock_ticks() at the newest check */
    uint64_t passed;        /* bytes written */
    size_t rest_at, rest;   /* what was read into `line` and could not be written */
};

/* Fills `way` in; closed where the pump has something to decide or a timer runs for it. */
void line_way_open(struct line_way *way, const struct pump *p);

/* The pipe is readable: reads and writes what a slow writer left there. Returns true when that was
 * all, and nothing is to be done by others; else the way is to be closed, with the same `line`. */
bool line_way_pass(struct line_way *way, char line[LINE]);

/* Tells the pump what was passed on, and leaves to it what could not be written: its owner may hear
 * news. To be called once for each open, before anything else is asked of the pump. */
void line_way_close(const struct line_way *way, const char line[LINE], struct pump *p);
