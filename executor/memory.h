/* SPDX-License-Identifier: MIT
 *
 * Giving memory back to the kernel. A host runs thousands of executors, nearly all of them idle:
 * what start-up touched and idling does not need is the larger part of their cost.
 */
#pragma once

/* Returns the free heap and the unused stack. Contents in use are kept. */
void memory_trim(void);

/* For the stub init only, which never returns from its function: lets go of heap, data and all of
 * the stack but the caller's page and the one above. Plain system calls and errno work afterwards;
 * anything else of libc must not be called. */
void memory_shed(void);
