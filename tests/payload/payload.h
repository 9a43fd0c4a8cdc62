/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

/* Prints name=value as one line. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints "VERB ARG=ok", or "VERB ARG=ERRNAME" by errno when r < 0. */
void say_result(const char *verb, const char *arg, int r);

/* Ways out of a task (escape.c); false: it is none of these verbs. */
bool escape_step(const char *verb, const char *arg);
