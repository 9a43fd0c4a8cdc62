/* SPDX-License-Identifier: MIT */
#pragma once

/* cleat-executor remove SUBUID SUBGID N DIR…: 0, or EXEC_EXIT_FAILED when something is left. */
int remove_main(int argc, char **argv);
