/* SPDX-License-Identifier: MIT
 *
 * Giving memory back to the kernel. A host runs thousands of executors, nearly all of them idle:
 * what start-up touched and idling does not need is the larger part of their cost.
 */
#pragma once

/* Returns the free heap, the unused stack, code and constants. To be called with little on the
 * stack. Contents in use are kept. */
void memory_trim(void);

/* For the stub init only: lets go of heap, data and all of the stack but one page, on which it
 * calls `go_on`, which never returns. Plain system calls and errno work there; anything else of
 * libc must not be called. */
void memory_shed(void (*go_on)(int), int arg) __attribute__((noreturn));
