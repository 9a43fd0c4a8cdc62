/* SPDX-License-Identifier: MIT
 *
 * The contract between a manager and `cleat-executor exec`, which runs one more command inside a
 * running task:
 *
 *   cleat-executor exec [-tty] [-control] STATE_DIR -- COMMAND [ARG …]
 *
 * STATE_DIR is the task's (proto/wire.h). Descriptors 0, 1 and 2 become the command's own; with
 * -tty the command gets a new terminal, 0 feeds it (its end is the terminal's end-of-file key), 1
 * carries all that it shows, and 2 carries nothing but messages of the executor itself.
 *
 * With -control, descriptor EXEC_CTL_FD is read: a new window size per EXEC_SIZE_BYTES, and its end
 * says that nobody wants the command any more: the command's process group is killed.
 *
 * The exit code is the command's, 128+N when signal N ended it, or one of enum exec_exit with a
 * line on descriptor 2 that says why.
 */
#pragma once

#include <stdint.h>

enum {
    EXEC_CTL_FD = 3,
    EXEC_SIZE_BYTES = 4,
};

/* `cleat-executor run` uses the same. */
enum exec_exit {
    EXEC_EXIT_FAILED = 125,         /* the task does not run; a stage failed; wrong arguments … */
    EXEC_EXIT_NOT_EXECUTABLE = 126, /* the command is there and cannot be executed */
    EXEC_EXIT_NOT_FOUND = 127,
};

/* In characters; 0 is allowed and means unknown (ioctl_tty(2)). */
struct exec_size {
    uint16_t height;
    uint16_t width;
};

/* Each number little-endian, height first. */
void exec_size_encode(const struct exec_size *size, unsigned char buf[EXEC_SIZE_BYTES]);
void exec_size_decode(const unsigned char buf[EXEC_SIZE_BYTES], struct exec_size *ret_size);
