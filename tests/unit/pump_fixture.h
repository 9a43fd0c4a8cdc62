/* SPDX-License-Identifier: MIT
 *
 * A pump between a real pipe and a real directory, with a loop that only turns when told to. What
 * goes wrong with the files is decided by `fault`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "executor/logs/pass_line.h"
#include "tests/unit/logdir.h"

#define NAME "p.stdout"

extern struct logdir logs;
extern struct exec_spec spec;
extern struct log_dir dir;
extern struct ev_loop *loop;
extern struct pump pump;
extern uint64_t lost_bytes, reported; /* the latter by PUMP_MENDED and PUMP_GAVE_UP */
extern unsigned int heard[PUMP_GAVE_UP + 1];
extern int fault;            /* what writing and making files fails with */
extern bool full, unlimited; /* what the file system says of itself */

/* For cmocka. */
int pump_set_up(void **state);
int pump_tear_down(void **state);

/* Makes it the pump of a pipe, and returns the task's end. */
int attach(void);

void put(int fd, const char *text);

/* Time passes: a try to write is due. */
void turn(void);

/* The short way: a wait in which the pipe is readable. Whether it was all that was to be done. */
bool pass(void);

/* The same, and the pump has looked after its place just now. */
bool pass_line(void);

/* All segments one after the other; the caller frees. */
char *read_all(size_t *ret_size);

void expect(const char *text);
