/* SPDX-License-Identifier: MIT
 *
 * The log of a program, one line per message on stderr: `2026-01-02T03:04:05.678Z [INFO]  text`.
 * The sink never blocks: stderr is written with one write(2) per line; when it has no room, such as
 * a pipe that nobody reads, the line is dropped and counted, and the next line that fits says how
 * many were lost.
 */
#pragma once

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARN,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_N
};

/* Messages below `level` are dropped. Default INFO. */
void log_set_level(enum log_level level);

/* "debug" … "error", any case; -EINVAL. */
int log_level_parse(const char *text);

void log_message(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_message(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) log_message(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...) log_message(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) log_message(LOG_LEVEL_ERROR, __VA_ARGS__)
