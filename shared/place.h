/* SPDX-License-Identifier: MIT
 *
 * Where a manager keeps its data and meets `cleat` when nobody says where: the system's places for
 * root, those of the XDG Base Directory Specification for another user.
 */
#pragma once

/* /var/lib/cleat; else $XDG_DATA_HOME/cleat, which is ~/.local/share/cleat by default. The caller
 * frees it; NULL: out of memory. */
char *place_data_dir(void);

/* unix:///run/cleat/cleat.sock; else cleat/cleat.sock in $XDG_RUNTIME_DIR, or in /run/user/UID if
 * that is this user's; where there is neither, cleat.sock in place_data_dir(). The caller frees it;
 * NULL: out of memory. */
char *place_address(void);

/* Makes the directories above `path` that are missing. 0 or a negative errno. */
int place_make_parents(const char *path);

/* For a client: the system's where only that one is there. */
char *place_address_to_call(void);
