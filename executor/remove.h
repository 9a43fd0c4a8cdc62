/* SPDX-License-Identifier: MIT */
#pragma once

/* cleat-executor remove SUBUID SUBGID N DIR…: 0, or EXEC_EXIT_FAILED when something is left, which
 * stderr says once for each DIR. N of 0: no ids but the caller's. */
int remove_main(int argc, char **argv);
